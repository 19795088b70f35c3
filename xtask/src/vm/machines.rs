//! Which machines there are: kernels of Debian's suites by cgroup layout.

use anyhow::{Result, bail};

/// One virtual machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Machine {
    /// As on the command line.
    pub(super) name: &'static str,
    /// The Debian suite whose newest cloud kernel it boots.
    pub(super) suite: &'static str,
    /// `v1`, `hybrid` or `v2`, for its init.
    pub(super) cgroups: &'static str,
    /// Further kernel arguments.
    pub(super) arguments: &'static str,
}

const fn machine(name: &'static str, suite: &'static str, cgroups: &'static str) -> Machine {
    Machine { name, suite, cgroups, arguments: "" }
}

/// Those that differ in what they offer: v1 lost its memory controller in 6.12, fields came in 6.1.
const ALL: [Machine; 8] = [
    machine("5.10-v1", "bullseye", "v1"),
    machine("5.10-v2", "bullseye", "v2"),
    machine("6.1-v1", "bookworm", "v1"),
    machine("6.1-hybrid", "bookworm", "hybrid"),
    machine("6.1-v2", "bookworm", "v2"),
    machine("6.12-v2", "bookworm-backports", "v2"),
    machine("7-v2", "sid", "v2"),
    Machine { arguments: "lockdown=confidentiality", ..machine("7-v2-lockdown", "sid", "v2") },
];

/// The three that differ most: the oldest kernel, the newest, and no memory of the kernel's for BPF.
const FEW: [&str; 3] = ["5.10-v1", "6.12-v2", "7-v2-lockdown"];

/// All machines.
pub(super) fn all() -> Vec<&'static Machine> {
    ALL.iter().collect()
}

/// Those of every run of the test command.
pub(super) fn few() -> Vec<&'static Machine> {
    ALL.iter().filter(|machine| FEW.contains(&machine.name)).collect()
}

/// Those with one of these names, or with names that begin so: `6.1` means three, and not 6.12. All for no names.
///
/// # Errors
/// A name means none.
pub(super) fn choose(names: &[String]) -> Result<Vec<&'static Machine>> {
    let means = |name: &str, machine: &Machine| {
        machine.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    for name in names {
        if !ALL.iter().any(|machine| means(name, machine)) {
            let all = ALL.iter().map(|machine| machine.name).collect::<Vec<_>>().join(", ");
            bail!("no machine {name:?}: wanted {all}, or the first part of one");
        }
    }
    let chosen = |machine: &&Machine| names.is_empty() || names.iter().any(|name| means(name, machine));
    Ok(ALL.iter().filter(chosen).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Vec<&'static str> {
        let names: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
        choose(&names).unwrap().into_iter().map(|m| m.name).collect()
    }

    #[test]
    fn a_first_part_means_all_that_begin_so() {
        assert_eq!(chosen(&["6.1"]), ["6.1-v1", "6.1-hybrid", "6.1-v2"]);
        assert_eq!(chosen(&["7-v2-lockdown", "5.10-v1"]), ["5.10-v1", "7-v2-lockdown"]);
        assert_eq!(chosen(&[]).len(), ALL.len());
        assert_eq!(few().len(), FEW.len());
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known() {
        let error = choose(&["4.19".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("4.19") && error.contains("6.1-hybrid"), "{error}");
        assert!(choose(&["6".to_owned()]).is_err());
    }
}
