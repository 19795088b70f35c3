//! Reads a process's cgroups, thread group and name from `/proc/<pid>`, where the kernel's event lacks them.

use super::{FilesError, HostRoot, directory_key};
use crate::model::{CgroupKey, CgroupPath, Hierarchy, HierarchyId};
use crate::parse;

/// The cgroup of a process or thread in each of the hierarchies, from `/proc/<pid>/cgroup`.
///
/// In a cgroup namespace of its own the agent sees other cgroups relative to that namespace (`/../x`). Such a path
/// names no cgroup for sure and is left out.
///
/// # Errors
/// When the file cannot be read (the process may be gone: [`FilesError::is_gone`]) or understood.
pub fn process_cgroup(
    host: &HostRoot,
    pid: u32,
    hierarchies: &[Hierarchy],
) -> Result<Vec<(HierarchyId, CgroupPath)>, FilesError> {
    let found = host.parse(format!("/proc/{pid}/cgroup"), parse::proc_cgroup)?;
    let known = |id| hierarchies.iter().any(|hierarchy| hierarchy.id == id);
    let sure = |path: &CgroupPath| path.components().all(|name| name != b"..");
    let found = found.into_iter().filter(|line| known(line.hierarchy) && sure(&line.path));
    Ok(found.map(|line| (line.hierarchy, line.path)).collect())
}

/// The memory cgroup of the agent itself; `None` where it is not certain: a private cgroup namespace shows the root for
/// any cgroup.
pub fn own_memory_cgroup(host: &HostRoot, hierarchies: &[Hierarchy]) -> Option<CgroupKey> {
    let memory = hierarchies.iter().find(|hierarchy| hierarchy.has("memory"))?;
    let lines = host.parse("/proc/self/cgroup", parse::proc_cgroup).ok()?;
    let path = lines.into_iter().find(|line| line.hierarchy == memory.id)?.path;
    if path.is_root() { None } else { directory_key(memory, &path) }
}

/// Processes that the kernel has killed for memory since the machine started, from `/proc/vmstat`; `None` where this kernel
/// does not count them (before 4.13).
pub fn oom_kills(host: &HostRoot) -> Result<Option<u64>, FilesError> {
    host.parse("/proc/vmstat", |text| parse::value_of(text, "oom_kill"))
}

/// The process (thread group) of a thread, from `/proc/<pid>/status`.
///
/// # Errors
/// When the file cannot be read (the process may be gone: [`FilesError::is_gone`]) or understood.
pub fn tgid(host: &HostRoot, pid: u32) -> Result<u32, FilesError> {
    host.parse(format!("/proc/{pid}/status"), parse::tgid)
}

/// The command name of a process or thread, from `/proc/<pid>/comm`; it is not always UTF-8.
///
/// # Errors
/// When the file cannot be read (the process may be gone: [`FilesError::is_gone`]).
pub fn comm(host: &HostRoot, pid: u32) -> Result<Vec<u8>, FilesError> {
    let mut name = host.read(format!("/proc/{pid}/comm"))?;
    // The kernel ends it with a newline; one inside of it is the name's own.
    name.pop_if(|last| *last == b'\n');
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;
    use crate::files::hierarchies;

    #[test]
    fn only_known_hierarchies_are_returned() {
        let fixture = Fixture::v1();
        fixture.file("proc/7/cgroup", "4:memory:/a:b\n3:freezer:/c\n0::/d\n");
        let found = process_cgroup(&fixture.host(), 7, &hierarchies(&fixture.host()).unwrap()).unwrap();
        assert_eq!(found, [(HierarchyId(4), CgroupPath::from("/a:b"))]);
    }

    #[test]
    fn a_path_relative_to_the_own_namespace_is_left_out() {
        let fixture = Fixture::v2();
        fixture.file("proc/7/cgroup", "0::/../../podB\n");
        fixture.file("proc/8/cgroup", "0::/..a\n");
        let hierarchies = hierarchies(&fixture.host()).unwrap();
        assert_eq!(process_cgroup(&fixture.host(), 7, &hierarchies).unwrap(), []);
        assert_eq!(process_cgroup(&fixture.host(), 8, &hierarchies).unwrap().len(), 1);
    }

    #[test]
    fn the_process_of_a_thread() {
        let fixture = Fixture::new();
        fixture.file("proc/8/status", "Name:\tx\nTgid:\t7\n");
        assert_eq!(tgid(&fixture.host(), 8).unwrap(), 7);
        assert!(tgid(&fixture.host(), 9).unwrap_err().is_gone());
    }

    #[test]
    fn a_name_is_what_the_kernel_has() {
        let fixture = Fixture::v1();
        fixture.file("proc/7/comm", &b"a\nb\xff\n"[..]);
        assert_eq!(comm(&fixture.host(), 7).unwrap(), b"a\nb\xff");
        assert!(comm(&fixture.host(), 8).unwrap_err().is_gone());
    }
}
