//! What `/proc` says of a process that the kernel kills: read at once, as the process dies meanwhile.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::files::{HostRoot, comm, process_cgroup, tgid};
use crate::model::{Hierarchy, HierarchyId, LookedUp, OomKill};

/// Looks into `/proc`, each on a thread that may block.
pub(crate) struct LookUps {
    host: HostRoot,
    hierarchies: Arc<[Hierarchy]>,
    running: JoinSet<LookedUp>,
}

impl LookUps {
    pub(crate) fn new(host: HostRoot, hierarchies: Arc<[Hierarchy]>) -> Self {
        Self { host, hierarchies, running: JoinSet::new() }
    }

    /// Looks the process up. What is found is right, what is not found stays absent.
    pub(crate) fn start(&mut self, kill: OomKill) {
        let (host, hierarchies, known) = (self.host.clone(), self.hierarchies.clone(), kill.clone());
        let look = tokio::task::spawn_blocking(move || look_up(&host, &hierarchies, kill));
        self.running.spawn(async move {
            look.await.unwrap_or_else(|error| {
                tracing::error!(%error, "a look-up of an OOM victim failed");
                LookedUp { kill: known, path: None, found_tgid: false }
            })
        });
    }

    /// The next finished look-up; waits for ever when there is none. Cancel-safe.
    pub(crate) async fn next(&mut self) -> LookedUp {
        loop {
            match self.running.join_next().await {
                Some(Ok(looked)) => return looked,
                Some(Err(error)) => tracing::error!(%error, "the result of a look-up is lost"),
                None => std::future::pending().await,
            }
        }
    }
}

fn look_up(host: &HostRoot, hierarchies: &[Hierarchy], mut kill: OomKill) -> LookedUp {
    let Some(pid) = kill.victim.pid else { return LookedUp { kill, path: None, found_tgid: false } };
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
    LookedUp { kill, path, found_tgid }
}

/// Where memory is accounted: the v1 hierarchy with the controller, else v2.
pub(crate) fn memory_hierarchy(hierarchies: &[Hierarchy]) -> HierarchyId {
    let memory = hierarchies.iter().find(|hierarchy| hierarchy.has("memory"));
    memory.map_or(HierarchyId::V2, |hierarchy| hierarchy.id)
}
