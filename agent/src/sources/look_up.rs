//! OOM kills: one record per process, with what `/proc` adds where the hook cannot tell the cgroup.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;

use crate::files::{HostRoot, comm, process_cgroup, tgid};
use crate::model::{CgroupPath, Hierarchy, HierarchyId, OomKill};

/// The kernel marks other threads of a killed process when they meet the limit too. A process id is not used again
/// within this time on any sane machine.
const SAME_PROCESS: Duration = Duration::from_secs(10);
/// Processes remembered for that.
const REMEMBERED: usize = 1024;
/// Looks into `/proc` at once; a kill beyond that is reported without them.
const MAX_LOOKUPS: usize = 64;

/// A kill, and where `/proc` says that its process lived.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) kill: OomKill,
    pub(crate) path: Option<CgroupPath>,
    /// Whether the process id comes from `/proc` and not from the kernel's record.
    pub(crate) found_tgid: bool,
}

/// Filters repeats and runs the look-ups.
pub(crate) struct Kills {
    host: HostRoot,
    hierarchies: Arc<[Hierarchy]>,
    recent: VecDeque<(u32, SystemTime)>,
    lookups: JoinSet<Looked>,
}

impl Kills {
    pub(crate) fn new(host: HostRoot, hierarchies: Arc<[Hierarchy]>) -> Self {
        Self { host, hierarchies, recent: VecDeque::new(), lookups: JoinSet::new() }
    }

    /// Where memory is accounted: the v1 hierarchy with the controller, else v2.
    pub(crate) fn memory_hierarchy(&self) -> HierarchyId {
        memory_hierarchy(&self.hierarchies)
    }

    /// Whether this process was reported moments ago. Without a process id nothing is a repeat.
    pub(crate) fn is_repeat(&mut self, kill: &OomKill) -> bool {
        let Some(tgid) = kill.victim.tgid else { return false };
        let age = |time: SystemTime| kill.time.duration_since(time).unwrap_or_default();
        let known = self.recent.iter().any(|(id, time)| *id == tgid && age(*time) < SAME_PROCESS);
        if !known {
            self.recent.push_back((tgid, kill.time));
            if self.recent.len() > REMEMBERED {
                self.recent.pop_front();
            }
        }
        known
    }

    /// Whether no look-up runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.lookups.is_empty()
    }

    /// Whether another look-up may start.
    pub(crate) fn may_look_up(&self) -> bool {
        self.lookups.len() < MAX_LOOKUPS
    }

    /// Looks the process up in `/proc`, on a thread that may block.
    ///
    /// The process dies meanwhile: what is found is right, what is not found stays absent.
    pub(crate) fn look_up(&mut self, kill: OomKill) {
        let (host, hierarchies) = (self.host.clone(), self.hierarchies.clone());
        self.lookups.spawn_blocking(move || look_up(&host, &hierarchies, kill));
    }

    /// The next finished look-up; waits for ever when there is none. Cancel-safe.
    pub(crate) async fn looked_up(&mut self) -> Looked {
        loop {
            match self.lookups.join_next().await {
                Some(Ok(looked)) => return looked,
                Some(Err(error)) => tracing::error!(%error, "a look-up of an OOM victim failed"),
                None => std::future::pending().await,
            }
        }
    }
}

fn look_up(host: &HostRoot, hierarchies: &[Hierarchy], mut kill: OomKill) -> Looked {
    let Some(pid) = kill.victim.pid else { return Looked { kill, path: None, found_tgid: false } };
    let memory = memory_hierarchy(hierarchies);
    let path = process_cgroup(host, pid, hierarchies)
        .ok()
        .and_then(|found| found.into_iter().find(|(hierarchy, _)| *hierarchy == memory))
        .map(|(_, path)| path)
        // v1 shows a process that is going in the root, wherever it was: that says nothing.
        .filter(|path| !path.is_root());
    let found_tgid = kill.victim.tgid.is_none();
    if found_tgid {
        kill.victim.tgid = tgid(host, pid).ok();
    }
    if kill.victim.comm.is_none() {
        kill.victim.comm = comm(host, pid).ok();
    }
    Looked { kill, path, found_tgid }
}

fn memory_hierarchy(hierarchies: &[Hierarchy]) -> HierarchyId {
    let memory = hierarchies.iter().find(|hierarchy| hierarchy.has("memory"));
    memory.map_or(HierarchyId::V2, |hierarchy| hierarchy.id)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::model::{Decision, Source, Victim};

    fn kill(tgid: Option<u32>, second: u64) -> OomKill {
        let victim = Victim { pid: Some(7), tgid, ..Victim::default() };
        let time = UNIX_EPOCH + Duration::from_secs(second);
        OomKill {
            time,
            source: Source::TpBtf,
            cgroup: None,
            path: None,
            victim,
            decision: Decision::default(),
        }
    }

    #[test]
    fn threads_of_one_process_are_one_kill() {
        let mut kills = Kills::new(HostRoot::new("/"), Arc::from([]));
        assert!(!kills.is_repeat(&kill(Some(7), 100)));
        assert!(kills.is_repeat(&kill(Some(7), 103)));
        assert!(!kills.is_repeat(&kill(Some(8), 103)));
        assert!(!kills.is_repeat(&kill(Some(7), 111)), "the id may be another process by now");
        assert!(!kills.is_repeat(&kill(None, 111)) && !kills.is_repeat(&kill(None, 111)));
    }
}
