//! Renames. Only v1 has them; each concerns one directory in its hierarchy.

use super::change::News;
use super::{Cgroup, Registry};
use crate::model::{CgroupKey, CgroupPath, LifecycleEvent};

impl Registry {
    pub(super) fn renamed(&mut self, event: &LifecycleEvent, news: &mut News) {
        let new = self.path_of(event);
        match self.nodes.get(&event.key) {
            Some(node) => {
                let old = node.path.clone();
                self.move_subtree(event.key, &old, &new, news);
            }
            None => {
                // Its children are unknown too.
                self.needs_walk = true;
                self.add(event.key, new, event.path_cut, Some(news));
            }
        }
    }

    /// Moves a directory and all below it in its hierarchy.
    pub(super) fn move_subtree(
        &mut self,
        key: CgroupKey,
        old: &CgroupPath,
        new: &CgroupPath,
        news: &mut News,
    ) {
        if old == new {
            return;
        }
        let below = |path: &CgroupPath, cgroup: &Cgroup| {
            Some((cgroup.member_in(key.hierarchy)?, path.clone(), path.rebase(old, new)?))
        };
        let moves: Vec<(CgroupKey, CgroupPath, CgroupPath)> =
            self.cgroups.range(old.clone()..).filter_map(|(path, cgroup)| below(path, cgroup)).collect();
        for (member, from, to) in moves {
            let populated = self.nodes.get(&member).and_then(|node| node.populated);
            self.add_renamed(member, to.clone(), false, Some(&mut *news), Some(from.clone()));
            if let Some(node) = self.nodes.get_mut(&member) {
                node.populated = populated;
            }
            self.carry_over(&from, &to);
            self.leave(member, &from, false, news);
        }
    }

    /// Keeps the age and the state of a renamed cgroup.
    fn carry_over(&mut self, from: &CgroupPath, to: &CgroupPath) {
        let Some((created, running)) = self.cgroups.get(from).map(|old| (old.created, old.running)) else {
            return;
        };
        if let Some(new) = self.cgroups.get_mut(to).filter(|new| new.members.len() == 1) {
            (new.created, new.running) = (created, running);
        }
    }
}
