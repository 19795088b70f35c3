//! Checks of what this host allows, and the note of a skipped test.

use std::io::Write;
use std::path::PathBuf;

use crate::cgroup::TestCgroup;
use crate::hierarchies::Hierarchies;

mod rungs;

pub use rungs::{Rung, bpf, victims_are_reported};

/// The file to which each skipped test adds a line `NAME: why`; the test command counts and repeats them.
pub const SKIP_LOG: &str = "CGTAP_TEST_SKIP_LOG";

/// Set by the init of our virtual machines.
pub const VIRTUAL: &str = "CGTAP_TEST_VIRTUAL";

/// The path of the cAdvisor to compare the agent with; empty when there is none.
pub const CADVISOR: &str = "CGTAP_TEST_CADVISOR";
/// The reason why [`CADVISOR`] is empty.
pub const CADVISOR_WHY: &str = "CGTAP_TEST_CADVISOR_WHY";

const CAP_SYS_RESOURCE: u32 = 24;

/// Either the host can run the test, or the reason why not.
pub type Check = Result<(), String>;

/// Whether the test is to be skipped. The reason goes to standard error, past the test runner's capture, and to the
/// file that [`SKIP_LOG`] names.
#[must_use]
pub fn skip_unless(test: &str, check: Check) -> bool {
    let Err(why) = check else { return false };
    let line = format!("skipped: {test}: {why}\n");
    // A failure to write the note must not fail a test that cannot run anyway.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os(SKIP_LOG) {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let _ = file.and_then(|mut f| f.write_all(line.as_bytes()));
    }
    true
}

/// Root, which makes cgroups and loads BPF.
///
/// # Errors
/// The reason, for another user.
pub fn root() -> Check {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err("needs root".to_owned()) }
}

/// Root, and a memory controller in which a cgroup can be made.
///
/// # Errors
/// The reason why not.
pub fn memory_cgroups() -> Check {
    root()?;
    let found = Hierarchies::of_this_host().map_err(|e| e.to_string())?;
    let memory = found.with("memory").ok_or("needs a memory controller, and no hierarchy has one")?;
    if rustix::fs::access(&memory.mount, rustix::fs::Access::WRITE_OK).is_err() {
        return Err(format!("needs to make cgroups, and {} is read only", memory.mount.display()));
    }
    Ok(())
}

/// Root that may mount file systems.
///
/// # Errors
/// The reason why not.
pub fn mounts() -> Check {
    root()?;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("cgtap-test", folder.path(), "tmpfs", flags, None)
        .map_err(|errno| format!("needs to mount file systems: {errno}"))?;
    rustix::mount::unmount(folder.path(), rustix::mount::UnmountFlags::DETACH).map_err(|e| e.to_string())
}

/// Whether BPF programs may read the kernel's memory by helper.
///
/// # Errors
/// The reason why not.
pub fn bpf_probe_read() -> Check {
    if lockdown_is_confidentiality() {
        return Err("needs bpf_probe_read_kernel, which lockdown=confidentiality refuses".to_owned());
    }
    Ok(())
}

/// A kernel that refuses its memory to BPF (`lockdown=confidentiality`).
///
/// # Errors
/// The reason, for any other.
pub fn lockdown() -> Check {
    root()?;
    if lockdown_is_confidentiality() { Ok(()) } else { Err("needs lockdown=confidentiality".to_owned()) }
}

fn lockdown_is_confidentiality() -> bool {
    std::fs::read_to_string("/sys/kernel/security/lockdown").is_ok_and(|t| t.contains("[confidentiality]"))
}

/// Cgroups that can be limited to less than a processor.
///
/// # Errors
/// The reason why not.
pub fn cpu_limit() -> Check {
    memory_cgroups()?;
    let cgroup = TestCgroup::new().map_err(|error| format!("{error:#}"))?;
    cgroup.limit_cpu(50).map(drop).map_err(|error| format!("needs to limit the processor: {error:#}"))
}

/// A virtual machine of the matrix. It has no other processes, so it may run out of memory.
///
/// # Errors
/// The reason, for any other.
pub fn machine_of_ours() -> Check {
    let first = std::fs::read_to_string("/proc/1/cmdline").unwrap_or_default();
    let comm = std::fs::read_to_string("/proc/1/comm").unwrap_or_default();
    if comm.trim() == "init" && first.starts_with("/init") && std::env::var_os(VIRTUAL).is_some() {
        return Ok(());
    }
    Err("takes all memory of the machine, and this one is not of `cargo xtask vm`".to_owned())
}

/// The capability to lower a process's `oom_score_adj`.
///
/// # Errors
/// The reason why not.
pub fn may_lower_oom_score() -> Check {
    if rungs::effective_capabilities()? >> CAP_SYS_RESOURCE & 1 == 1 {
        return Ok(());
    }
    Err("needs CAP_SYS_RESOURCE to set an oom_score_adj of -1000".to_owned())
}

/// The cAdvisor that the test command fetched.
///
/// # Errors
/// The reason why there is none.
pub fn cadvisor() -> Result<PathBuf, String> {
    match std::env::var_os(CADVISOR).filter(|path| !path.is_empty()) {
        Some(path) => Ok(PathBuf::from(path)),
        None => Err(std::env::var(CADVISOR_WHY)
            .unwrap_or_else(|_| format!("needs {CADVISOR}, which `cargo xtask test` sets"))),
    }
}

/// The path of a program, from `PATH` and the folders of system programs.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// A program is installed.
///
/// # Errors
/// The reason, with the Debian package to install.
pub fn program(name: &str, package: &str) -> Check {
    match find_program(name) {
        Some(_) => Ok(()),
        None => Err(format!("needs {name}: apt-get install {package}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_program_names_its_package() {
        let why = program("no-such-program-cgtap", "some-package").unwrap_err();
        assert!(why.contains("no-such-program-cgtap") && why.contains("some-package"), "{why}");
        assert_eq!(program("sh", "dash"), Ok(()));
    }

    #[test]
    fn only_a_failed_check_skips() {
        assert!(!skip_unless("host::none", Ok(())));
    }
}
