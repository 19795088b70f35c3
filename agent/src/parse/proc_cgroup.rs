//! `/proc/<pid>/cgroup`: in which cgroup of each hierarchy a process is.
//!
//! Manual: <https://man7.org/linux/man-pages/man7/cgroups.7.html>
//!
//! ```text
//! 9:name=systemd:/init.scope
//! 4:memory:/kubepods/pod1:2
//! 0::/
//! ```
//! The hierarchy's number (0 is v2), its controllers, the path. A path may itself hold `:`; the kernel adds
//! ` (deleted)` to the v2 path of a cgroup that is gone, and a cgroup may have a name that ends so.

use super::ParseError;
use super::scan::{Line, decimal, lines, split_once, text};
use crate::model::{CgroupPath, HierarchyId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcCgroup {
    pub hierarchy: HierarchyId,
    /// Its controllers, and `name=...` for a named v1 hierarchy; none for v2.
    pub controllers: Vec<String>,
    /// The process's cgroup there.
    pub path: CgroupPath,
}

/// `/proc/<pid>/cgroup`, in its order.
pub fn proc_cgroup(input: &[u8]) -> Result<Vec<ProcCgroup>, ParseError> {
    let found = lines(input).map(|line| membership(&line)).collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() { Err(ParseError::Empty { wanted: "a line for each hierarchy" }) } else { Ok(found) }
}

fn membership(line: &Line<'_>) -> Result<ProcCgroup, ParseError> {
    let fields = || {
        let (number, rest) = split_once(line.text, b':')?;
        let (controllers, path) = split_once(rest, b':')?;
        Some((u32::try_from(decimal(number)?).ok()?, controllers, path))
    };
    let (number, controllers, path) = fields().ok_or_else(|| line.refused("NUMBER:CONTROLLERS:PATH"))?;
    if !path.starts_with(b"/") {
        return Err(line.refused("a path that starts with \"/\""));
    }
    let controllers = controllers.split(|&b| b == b',').filter(|name| !name.is_empty());
    Ok(ProcCgroup {
        hierarchy: HierarchyId(number),
        controllers: controllers.map(text).collect(),
        path: CgroupPath::from_bytes(path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_of_hierarchies() {
        let found = proc_cgroup(b"9:name=systemd:/init.scope\n2:cpu,cpuacct:/a:b/c d\n0::/\xff\n").unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(
            (found[0].hierarchy, found[0].controllers.as_slice()),
            (HierarchyId(9), &["name=systemd".to_owned()][..])
        );
        assert_eq!(found[1].controllers, ["cpu", "cpuacct"]);
        assert_eq!(found[1].path, CgroupPath::from("/a:b/c d"));
        assert_eq!((found[2].hierarchy, found[2].controllers.len()), (HierarchyId::V2, 0));
        assert_eq!(found[2].path.as_bytes(), b"/\xff");
    }

    #[test]
    fn garbage_is_refused() {
        for refused in
            [&b""[..], b"4\n", b"4:memory\n", b"x:memory:/\n", b"4:memory:relative\n", b"4294967296::/\n"]
        {
            assert!(proc_cgroup(refused).is_err(), "{refused:?}");
        }
    }
}
