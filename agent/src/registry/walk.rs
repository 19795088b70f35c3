//! Combines a walk's findings with the events that came during the walk.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use super::change::News;
use super::{Change, ChangeKind, Registry};
use crate::model::{CgroupKey, CgroupPath, HierarchyId, Source};

/// The moment at which a walk began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkMark(u64);

/// What the registry notes while a walk runs.
#[derive(Debug)]
pub(super) struct Running {
    mark: WalkMark,
    /// Directories that were removed since the walk began: it may have found them before.
    pub(super) removed: HashSet<CgroupKey>,
}

/// A finished walk.
#[derive(Clone, Debug)]
pub struct Walked {
    /// When it ended.
    pub time: SystemTime,
    /// The hierarchies that were walked completely.
    pub hierarchies: Vec<HierarchyId>,
    /// Every directory that was found.
    pub found: Vec<(CgroupKey, CgroupPath)>,
    /// The source of changes that this walk finds; `None` for the first walk, whose findings are older than the agent.
    pub source: Option<Source>,
    /// Containers with processes; `None` if the walk did not look.
    pub populated: Option<HashSet<CgroupPath>>,
}

/// A walk, what it found, and what it cost.
#[derive(Clone, Debug)]
pub struct FinishedWalk {
    /// Where it began.
    pub mark: WalkMark,
    /// The tree.
    pub walked: Walked,
    /// Wall time.
    pub duration: Duration,
    /// The cgroups' own counts of OOM kills, where they were read.
    pub kills: HashMap<CgroupPath, u64>,
}

impl Registry {
    /// Notes that a walk begins. A second call replaces the first: only one walk can be applied.
    pub fn begin_walk(&mut self) -> WalkMark {
        self.applied += 1;
        let mark = WalkMark(self.applied);
        self.walk = Some(Running { mark, removed: HashSet::new() });
        mark
    }

    /// Applies a walk that began at `mark`. Everything in the ring must be applied before.
    pub fn apply_walk(&mut self, mark: WalkMark, walked: &Walked) -> Vec<Change> {
        let Some(running) = self.walk.take_if(|running| running.mark == mark) else { return Vec::new() };
        self.applied += 1;
        self.cgroups.values_mut().for_each(|cgroup| cgroup.looked_empty = false);
        // A cgroup missing from the first walk was known to the previous agent and is gone.
        let mut news = News::new(walked.time, walked.source.unwrap_or(Source::Recovered));
        self.remove_unseen(&running, walked, &mut news);
        for (key, path) in &walked.found {
            if !running.removed.contains(key) {
                self.found(*key, path, walked.source.is_some().then_some(&mut news), mark);
            }
        }
        if let Some(populated) = &walked.populated {
            self.looked_populated(populated, &mut news);
        }
        news.changes
    }

    /// Applies a look at which containers run. An event about a container is newer and stays.
    fn looked_populated(&mut self, populated: &HashSet<CgroupPath>, news: &mut News) {
        for (path, cgroup) in self.cgroups.iter_mut().filter(|(_, cgroup)| cgroup.identity.is_container()) {
            let mut nodes = cgroup.members.iter().filter_map(|member| self.nodes.get(member));
            if nodes.any(|node| node.path_cut || node.populated.is_some()) {
                continue;
            }
            let now = populated.contains(path);
            let kind = match (cgroup.running.replace(now), now) {
                (Some(false), true) => ChangeKind::ContainerStarted,
                (Some(true), false) => ChangeKind::ContainerExited,
                _ => continue,
            };
            cgroup.report(kind, path, false, news);
        }
    }

    fn remove_unseen(&mut self, running: &Running, walked: &Walked, news: &mut News) {
        let seen: HashSet<CgroupKey> = walked.found.iter().map(|(key, _)| *key).collect();
        let mut gone: Vec<(CgroupPath, CgroupKey)> = self
            .nodes
            .iter()
            .filter(|(key, node)| {
                walked.hierarchies.contains(&key.hierarchy)
                    && !seen.contains(key)
                    && node.changed < running.mark.0
            })
            .map(|(key, node)| (node.path.clone(), *key))
            .collect();
        // Children before their parents, in the kernel's order.
        gone.sort_unstable();
        for (_, key) in gone.into_iter().rev() {
            self.remove(key, news);
        }
    }

    fn found(&mut self, key: CgroupKey, path: &CgroupPath, news: Option<&mut News>, mark: WalkMark) {
        let Some(node) = self.nodes.get(&key) else {
            return self.add(key, path.clone(), false, news);
        };
        if node.path == *path || (node.changed >= mark.0 && !node.path_cut) {
            return;
        }
        let (old, was_cut, populated) = (node.path.clone(), node.path_cut, node.populated);
        if was_cut {
            self.complete_cut_path(key, &old, path, populated);
        } else if let Some(news) = news {
            // The event of a rename was lost. Children come later in the caller's loop, already moved or not.
            self.move_subtree(key, &old, path, news);
        }
    }

    /// Replaces a cut path by the whole one. This is not news for users.
    fn complete_cut_path(
        &mut self,
        key: CgroupKey,
        old: &CgroupPath,
        path: &CgroupPath,
        populated: Option<bool>,
    ) {
        let running = self.cgroups.remove(old).and_then(|cgroup| {
            self.containers -= u64::from(cgroup.identity.is_container());
            cgroup.running
        });
        self.add(key, path.clone(), false, None);
        if let Some(node) = self.nodes.get_mut(&key) {
            node.populated = populated;
        }
        if let Some(cgroup) = self.cgroups.get_mut(path) {
            cgroup.running = cgroup.running.or(running);
        }
    }
}
