//! `/proc/cpuinfo`: processors, cores and packages.
//!
//! Manual: <https://man7.org/linux/man-pages/man5/proc_cpuinfo.5.html>
//!
//! ```text
//! processor : 0
//! physical id : 0
//! core id : 0
//!
//! processor : 1
//! ```
//! One block per online processor. Only x86 prints the two ids; elsewhere they are read from the topology in sysfs.

use std::collections::BTreeSet;

use super::ParseError;
use super::scan::{lines, split_once};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpuinfo {
    /// Blocks, one per online processor.
    pub processors: u64,
    /// Distinct (package, core) pairs; `None` where the ids are not printed.
    pub cores: Option<u64>,
    /// Distinct packages; `None` where the ids are not printed.
    pub packages: Option<u64>,
}

/// `/proc/cpuinfo`.
pub fn cpuinfo(input: &[u8]) -> Result<Cpuinfo, ParseError> {
    let (mut processors, mut package) = (0, None);
    let (mut cores, mut packages) = (BTreeSet::new(), BTreeSet::new());
    for line in lines(input) {
        let Some((key, value)) = split_once(line.text, b':') else { continue };
        let id = || line.number(value.trim_ascii(), "an id");
        match key.trim_ascii_end() {
            b"processor" => (processors, package) = (processors + 1, None),
            b"physical id" => {
                package = Some(id()?);
                packages.extend(package);
            }
            b"core id" => {
                cores.insert((package, id()?));
            }
            _ => {}
        }
    }
    if processors == 0 {
        return Err(ParseError::Empty { wanted: "a line of \"processor\"" });
    }
    let count = |found: usize| u64::try_from(found).ok().filter(|&n| n > 0);
    Ok(Cpuinfo { processors, cores: count(cores.len()), packages: count(packages.len()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_packages_of_two_threads() {
        let mut text = String::new();
        for (processor, package, core) in [(0, 0, 0), (1, 0, 0), (2, 1, 0), (3, 1, 0)] {
            text.push_str(&format!(
                "processor\t: {processor}\nphysical id\t: {package}\ncore id\t\t: {core}\n\n"
            ));
        }
        assert_eq!(
            cpuinfo(text.as_bytes()),
            Ok(Cpuinfo { processors: 4, cores: Some(2), packages: Some(2) })
        );
    }

    #[test]
    fn arm_prints_no_ids() {
        let text = b"processor\t: 0\nBogoMIPS\t: 50.00\n\nprocessor\t: 1\n";
        assert_eq!(cpuinfo(text), Ok(Cpuinfo { processors: 2, cores: None, packages: None }));
    }

    #[test]
    fn garbage_is_refused() {
        assert!(cpuinfo(b"").is_err());
        assert!(cpuinfo(b"processor\t: 0\ncore id\t: x\n").is_err());
    }
}
