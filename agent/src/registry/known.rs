//! What the next agent must know about the cgroups.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::change::Origin;
use super::{Change, ChangeKind, Registry};
use crate::identity::identify;
use crate::model::{CgroupKey, CgroupPath, Source};

/// What one agent leaves to the next about one cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCgroup {
    /// Its path. If the kernel cut it: the parent's path with [`cut_name`].
    pub path: CgroupPath,
    /// Whether only the parent's path is known.
    pub path_cut: bool,
    /// Its directories. Events name the first one.
    pub members: Vec<CgroupKey>,
    /// Whether processes ran in it, if known.
    pub running: Option<bool>,
    /// OOM kills of its own processes that were reported.
    pub oom_kills: u64,
    /// What the kernel had counted before the first report.
    pub kills_before: u64,
}

/// The name of a cgroup whose own name the kernel cut: its key, because the cut path is not unique.
pub fn cut_name(key: CgroupKey) -> String {
    format!("#{}:{}", key.hierarchy, key.id)
}

impl KnownCgroup {
    /// The changes after a reboot: every known cgroup is gone, children before their parents.
    pub fn all_gone(mut known: Vec<Self>, time: SystemTime) -> Vec<Change> {
        known.sort_unstable_by(|a, b| b.path.cmp(&a.path));
        let origin = Origin { time, source: Source::Recovered };
        let mut changes = Vec::new();
        for Self { path, path_cut, members, running, .. } in known {
            let Some(key) = members.first().filter(|_| !path.is_root()) else { continue };
            let identity = Arc::new(identify(&path));
            let change = |kind| Change::new(kind, origin, &path, path_cut, *key, &identity);
            if identity.is_container() && running == Some(true) {
                changes.push(change(ChangeKind::ContainerExited));
            }
            changes.push(change(ChangeKind::CgroupRemoved));
        }
        changes
    }
}

impl Registry {
    /// Takes over what the previous agent knew; must come before any other input. A cgroup that the first walk does not
    /// find was removed between the two agents.
    pub fn restore(&mut self, known: impl IntoIterator<Item = KnownCgroup>) {
        for KnownCgroup { path, path_cut, members, running, oom_kills, kills_before } in known {
            for key in members {
                self.add(key, path.clone(), path_cut, None, &mut Vec::new());
            }
            if let Some(cgroup) = self.cgroups.get_mut(&path) {
                cgroup.running = running;
                (cgroup.oom_kills, cgroup.kills_before) = (oom_kills, kills_before);
            }
        }
    }

    /// Every cgroup as the next agent must know it.
    pub fn known(&self) -> impl Iterator<Item = KnownCgroup> {
        let is_cut = |key: &CgroupKey| self.nodes.get(key).is_some_and(|node| node.path_cut);
        self.cgroups.iter().map(move |(path, cgroup)| KnownCgroup {
            path: path.clone(),
            path_cut: cgroup.members.iter().any(is_cut),
            members: cgroup.members.clone(),
            running: cgroup.running,
            oom_kills: cgroup.oom_kills,
            kills_before: cgroup.kills_before,
        })
    }

    /// Notes how many of the kernel's OOM kills happened before the first agent.
    pub fn kills_before(&mut self, counts: &HashMap<CgroupPath, u64>) {
        for (path, count) in counts {
            if let Some(cgroup) = self.cgroups.get_mut(path) {
                cgroup.kills_before = count.saturating_sub(cgroup.oom_kills);
            }
        }
    }

    /// Cgroups with fewer reported kills than the kernel has counted, and how many are missing.
    pub fn kills_untold(&self, counts: &HashMap<CgroupPath, u64>) -> Vec<(CgroupPath, u64)> {
        let untold = |(path, count): (&CgroupPath, &u64)| {
            let cgroup = self.cgroups.get(path)?;
            let missing = count.saturating_sub(cgroup.oom_kills + cgroup.kills_before);
            (missing > 0).then(|| (path.clone(), missing))
        };
        let mut untold: Vec<(CgroupPath, u64)> = counts.iter().filter_map(untold).collect();
        untold.sort_unstable();
        untold
    }
}
