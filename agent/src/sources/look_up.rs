//! Reads `/proc` for a process that the kernel kills, at once: the process is about to be gone.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::files::{HostRoot, comm, process_cgroup, tgid};
use crate::model::{Hierarchy, LOOK_UPS_WITHIN, LookedUp, OomKill, memory_hierarchy};

/// Looks into `/proc`, each on a thread that may block.
pub(crate) struct LookUps {
    host: HostRoot,
    hierarchies: Arc<[Hierarchy]>,
    /// In the order in which they began, each with what is known without it.
    running: VecDeque<(OomKill, JoinHandle<LookedUp>)>,
}

impl LookUps {
    pub(crate) fn new(host: HostRoot, hierarchies: Arc<[Hierarchy]>) -> Self {
        Self { host, hierarchies, running: VecDeque::new() }
    }

    /// Looks the process up. What is found is right, what is not found stays absent.
    pub(crate) fn start(&mut self, kill: OomKill) {
        let (host, hierarchies, known) = (self.host.clone(), self.hierarchies.clone(), kill.clone());
        let look = tokio::task::spawn_blocking(move || look_up(&host, &hierarchies, kill));
        self.running.push_back((known, look));
    }

    /// The next finished look-up; waits for ever when there is none. Cancel-safe.
    pub(crate) async fn next(&mut self) -> LookedUp {
        let Some((_, look)) = self.running.front_mut() else { return std::future::pending().await };
        let looked = look.await;
        let known = self.running.pop_front().map(|(known, _)| known);
        match (looked, known) {
            (Err(error), Some(known)) => {
                tracing::error!(%error, "a look-up of an OOM victim failed");
                not_found(known)
            }
            (Ok(looked), _) => looked,
            (Err(_), None) => std::future::pending().await,
        }
    }

    /// All that run, at the end. Those that take too long found nothing.
    pub(crate) async fn finish(&mut self) -> Vec<LookedUp> {
        let mut found = Vec::new();
        let all = async {
            while !self.running.is_empty() {
                found.push(self.next().await);
            }
        };
        let _ = tokio::time::timeout(LOOK_UPS_WITHIN, all).await;
        found.extend(self.running.drain(..).map(|(known, _)| not_found(known)));
        found
    }
}

fn not_found(kill: OomKill) -> LookedUp {
    LookedUp { kill, path: None, found_tgid: false }
}

fn look_up(host: &HostRoot, hierarchies: &[Hierarchy], mut kill: OomKill) -> LookedUp {
    let Some(pid) = kill.victim.pid else { return not_found(kill) };
    let memory = memory_hierarchy(hierarchies);
    let path = process_cgroup(host, pid, hierarchies)
        .ok()
        .and_then(|found| found.into_iter().find(|(hierarchy, _)| *hierarchy == memory))
        .map(|(_, path)| path)
        // v1 shows an exiting process in the root, wherever it was.
        .filter(|path| !path.is_root());
    let found_tgid = kill.victim.tgid.is_none();
    if found_tgid {
        kill.victim.tgid = tgid(host, pid).ok();
    }
    if kill.victim.comm.is_none() {
        kill.victim.comm = comm(host, pid).ok();
    }
    LookedUp { kill, path, found_tgid }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::model::{Decision, Source, Victim};

    #[tokio::test]
    async fn at_the_end_each_kill_comes_back_also_when_its_look_up_hangs_or_fails() {
        let mut look_ups = LookUps::new(HostRoot::new("/nowhere"), Arc::from([]));
        let kill = |pid| OomKill {
            time: SystemTime::UNIX_EPOCH,
            source: Source::TpBtf,
            cgroup: None,
            path: None,
            victim: Victim { pid: Some(pid), ..Victim::default() },
            decision: Decision::default(),
        };
        look_ups.start(kill(7));
        look_ups.running.push_back((kill(8), tokio::spawn(async { panic!("as it may") })));
        look_ups.running.push_back((kill(9), tokio::spawn(std::future::pending())));
        let pids: Vec<_> = look_ups.finish().await.into_iter().map(|looked| looked.kill.victim.pid).collect();
        assert_eq!(pids, [Some(7), Some(8), Some(9)]);
    }
}
