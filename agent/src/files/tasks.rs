//! Reads processes and their tasks from `/proc`: descriptors, states, run queue times, referenced memory.
//!
//! Each process costs some system calls, so nothing of this is read unless a set wants it. Other users' descriptors,
//! limits and memory maps take `CAP_SYS_PTRACE`.

use std::os::unix::ffi::OsStrExt;

use super::{FilesError, HostRoot};
use crate::model::{Limit, MetricSet, MetricSets, SchedStats, TaskStates};
use crate::parse;

/// The readings of one process. `None` where it may not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Open descriptors, and how many of them are sockets.
    pub descriptors: Option<Descriptors>,
    /// Run queue times by task.
    pub sched: Vec<(u32, SchedStats)>,
    pub states: TaskStates,
    /// Memory referenced since it was last cleared, in bytes.
    pub referenced_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptors {
    pub open: u64,
    /// Those that are sockets.
    pub sockets: u64,
}

/// Reads of a process what `sets` want; `None` when it is gone. Each of its tasks costs a file for [`MetricSet::Sched`], and
/// one for [`MetricSet::CpuLoad`].
pub fn process_facts(host: &HostRoot, pid: u32, sets: MetricSets) -> Option<ProcessFacts> {
    let mut facts = ProcessFacts::default();
    if sets.has(MetricSet::Process) {
        facts.descriptors = match descriptors(host, pid) {
            Err(error) if error.is_gone() => return None,
            read => read.ok(),
        };
    }
    if sets.has(MetricSet::ReferencedMemory) {
        let read = host.parse(format!("/proc/{pid}/smaps_rollup"), parse::referenced_bytes);
        // A kernel thread has no memory of its own, an empty file or ESRCH: it is none that is gone.
        facts.referenced_bytes = read.ok().flatten();
    }
    if sets.has_any(&[MetricSet::Sched, MetricSet::CpuLoad]) {
        let tasks = std::fs::read_dir(host.proc().join(format!("{pid}/task"))).ok()?;
        for task in tasks.flatten() {
            let Some(tid) = task.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            read_task(host, (pid, tid), sets, &mut facts);
        }
    }
    Some(facts)
}

/// A task that ended meanwhile adds nothing.
fn read_task(host: &HostRoot, (pid, tid): (u32, u32), sets: MetricSets, facts: &mut ProcessFacts) {
    if sets.has(MetricSet::Sched) {
        let read = host.parse(format!("/proc/{pid}/task/{tid}/schedstat"), parse::schedstat);
        facts.sched.extend(read.ok().map(|sched| (tid, sched)));
    }
    if sets.has(MetricSet::CpuLoad) {
        let read = host.parse(format!("/proc/{pid}/task/{tid}/stat"), parse::task_state);
        facts.states = facts.states.plus(read.unwrap_or_default());
    }
}

fn descriptors(host: &HostRoot, pid: u32) -> Result<Descriptors, FilesError> {
    let dir = host.proc().join(format!("{pid}/fd"));
    let mut found = Descriptors::default();
    let entries = std::fs::read_dir(&dir).map_err(|error| FilesError::io(&dir, error))?;
    for entry in entries.flatten() {
        found.open += 1;
        let link = std::fs::read_link(entry.path());
        found.sockets +=
            u64::from(link.is_ok_and(|target| target.as_os_str().as_bytes().starts_with(b"socket:")));
    }
    Ok(found)
}

/// The soft limit of open files of a process; `None` when it cannot be read.
pub fn open_files_limit(host: &HostRoot, pid: u32) -> Option<Limit> {
    host.parse(format!("/proc/{pid}/limits"), parse::open_files_limit).ok().flatten()
}

/// Makes the kernel forget which pages of a process were referenced, so that counting begins anew.
///
/// # Errors
/// When the process is gone or may not be written to.
pub fn clear_referenced(host: &HostRoot, pid: u32) -> Result<(), FilesError> {
    let path = host.proc().join(format!("{pid}/clear_refs"));
    std::fs::write(&path, "1").map_err(|error| FilesError::io(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;

    const ALL: MetricSets = MetricSets::all();

    #[test]
    fn all_of_a_process() {
        let fixture = Fixture::new();
        fixture.link("proc/7/fd/0", "/dev/null");
        fixture.link("proc/7/fd/1", "socket:[17]");
        fixture.file("proc/7/smaps_rollup", "Referenced: 4 kB\n");
        fixture.file("proc/7/limits", "Max open files  1024  4096 files\n");
        for (tid, state) in [(7, 'S'), (8, 'R')] {
            fixture.file(&format!("proc/7/task/{tid}/schedstat"), format!("{tid} 2 3\n"));
            fixture.file(&format!("proc/7/task/{tid}/stat"), format!("{tid} (x) {state} 1\n"));
        }
        let mut facts = process_facts(&fixture.host(), 7, ALL).unwrap();
        facts.sched.sort_by_key(|(tid, _)| *tid);
        assert_eq!(facts.descriptors, Some(Descriptors { open: 2, sockets: 1 }));
        assert_eq!(facts.referenced_bytes, Some(4096));
        assert_eq!(
            facts.sched.iter().map(|(tid, sched)| (*tid, sched.run_nsec)).collect::<Vec<_>>(),
            [(7, 7), (8, 8)]
        );
        assert_eq!(facts.states, TaskStates { running: 1, sleeping: 1, ..TaskStates::default() });
        assert_eq!(open_files_limit(&fixture.host(), 7), Some(Limit::Value(1024)));
        assert_eq!(process_facts(&fixture.host(), 9, ALL), None, "gone");
        clear_referenced(&fixture.host(), 7).unwrap();
        assert_eq!(std::fs::read(fixture.path("proc/7/clear_refs")).unwrap(), b"1");
    }

    #[test]
    fn this_process_is_read_as_it_is() {
        let host = HostRoot::default();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let facts = process_facts(&host, std::process::id(), ALL).unwrap();
        let descriptors = facts.descriptors.unwrap();
        assert!(descriptors.sockets >= 1 && descriptors.open > descriptors.sockets, "{descriptors:?}");
        assert!(facts.referenced_bytes.unwrap() > 0);
        // The kernel's list of tasks may skip one while another test's thread ends.
        let runs = || process_facts(&host, std::process::id(), ALL).unwrap().states.running > 0;
        assert!((0..100).any(|_| runs()), "the one that reads");
        assert!(facts.sched.iter().any(|(_, sched)| sched.run_nsec > 0));
        drop(socket);
    }

    #[test]
    fn a_process_without_memory_is_not_gone() {
        let fixture = Fixture::new();
        fixture.link("proc/2/fd/0", "/dev/null");
        fixture.file("proc/2/task/2/schedstat", "1 2 3\n");
        let facts = process_facts(&fixture.host(), 2, ALL).unwrap();
        assert_eq!((facts.referenced_bytes, facts.sched.len()), (None, 1));
    }
}
