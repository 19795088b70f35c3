//! A walk's findings against what the events said meanwhile.

use std::collections::HashSet;
use std::time::SystemTime;

use super::change::Origin;
use super::{Change, ChangeKind, Registry};
use crate::model::{CgroupKey, CgroupPath, HierarchyId, Source};

/// The moment at which a walk began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkMark(u64);

/// What must be remembered while a walk runs.
#[derive(Debug)]
pub(super) struct Running {
    mark: WalkMark,
    /// Directories that went since; the walk may have seen them before.
    pub(super) removed: HashSet<CgroupKey>,
}

/// A finished walk.
#[derive(Clone, Debug)]
pub struct Walked {
    /// When it ended.
    pub time: SystemTime,
    /// The hierarchies that could be walked whole: nothing is said of the others.
    pub hierarchies: Vec<HierarchyId>,
    /// Every directory that was seen.
    pub found: Vec<(CgroupKey, CgroupPath)>,
    /// The source under which what it finds new is told; the first walk's findings were there before the agent.
    pub tell: Option<Source>,
    /// Containers in which there are processes; `None` when nobody looked.
    pub populated: Option<HashSet<CgroupPath>>,
}

impl Registry {
    /// Notes that a walk begins. One at a time: a second beginning replaces the first.
    pub fn begin_walk(&mut self) -> WalkMark {
        self.applied += 1;
        let mark = WalkMark(self.applied);
        self.walk = Some(Running { mark, removed: HashSet::new() });
        mark
    }

    /// Applies a walk that began at `mark`. Whatever the ring holds must have been applied before.
    pub fn apply_walk(&mut self, mark: WalkMark, walked: &Walked) -> Vec<Change> {
        let Some(running) = self.walk.take_if(|running| running.mark == mark) else { return Vec::new() };
        self.applied += 1;
        self.cgroups.values_mut().for_each(|cgroup| cgroup.looked_empty = false);
        // What a first walk misses is what an agent before has told of.
        let origin = Origin { time: walked.time, source: walked.tell.unwrap_or(Source::Recovered) };
        let mut changes = Vec::new();
        self.remove_unseen(&running, walked, origin, &mut changes);
        for (key, path) in &walked.found {
            if !running.removed.contains(key) {
                self.found(*key, path, walked.tell.map(|_| origin), mark, &mut changes);
            }
        }
        if let Some(populated) = &walked.populated {
            self.looked_populated(populated, origin, &mut changes);
        }
        changes
    }

    /// Somebody looked which containers run. What an event has said since stands.
    fn looked_populated(
        &mut self,
        populated: &HashSet<CgroupPath>,
        origin: Origin,
        changes: &mut Vec<Change>,
    ) {
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
            changes.push(Change::new(kind, origin, path, false, cgroup.named_by, &cgroup.identity));
        }
    }

    fn remove_unseen(
        &mut self,
        running: &Running,
        walked: &Walked,
        origin: Origin,
        changes: &mut Vec<Change>,
    ) {
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
        // Children before their parents, as the kernel does.
        gone.sort_unstable();
        for (_, key) in gone.into_iter().rev() {
            self.remove(key, origin, changes);
        }
    }

    fn found(
        &mut self,
        key: CgroupKey,
        path: &CgroupPath,
        tell: Option<Origin>,
        mark: WalkMark,
        changes: &mut Vec<Change>,
    ) {
        let Some(node) = self.nodes.get(&key) else {
            return self.add(key, path.clone(), false, tell, changes);
        };
        if node.path == *path || (node.changed >= mark.0 && !node.path_cut) {
            return;
        }
        let (old, was_cut, populated) = (node.path.clone(), node.path_cut, node.populated);
        if was_cut {
            self.settle_cut_path(key, &old, path, populated);
        } else if let Some(origin) = tell {
            // A rename was lost. Children come later in this loop and are moved with it or found in place.
            self.move_subtree(key, &old, path, origin, changes);
        }
    }

    /// The walk tells the whole path of a cgroup whose creation told a cut one: no news for the user.
    fn settle_cut_path(
        &mut self,
        key: CgroupKey,
        old: &CgroupPath,
        path: &CgroupPath,
        populated: Option<bool>,
    ) {
        let mut unsaid = Vec::new();
        let running = self.cgroups.remove(old).and_then(|cgroup| {
            self.containers -= u64::from(cgroup.identity.is_container());
            cgroup.running
        });
        self.add(key, path.clone(), false, None, &mut unsaid);
        if let Some(node) = self.nodes.get_mut(&key) {
            node.populated = populated;
        }
        if let Some(cgroup) = self.cgroups.get_mut(path) {
            cgroup.running = cgroup.running.or(running);
        }
    }
}
