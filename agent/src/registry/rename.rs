//! Renames: only v1 has them, each for the directory that is renamed, in its own hierarchy.

use super::change::Origin;
use super::tombstones::Tombstone;
use super::{Cgroup, Change, ChangeKind, Registry};
use crate::model::{CgroupKey, CgroupPath, LifecycleEvent};

impl Registry {
    pub(super) fn renamed(&mut self, event: &LifecycleEvent, origin: Origin, changes: &mut Vec<Change>) {
        let new = self.path_of(event);
        match self.nodes.get(&event.key) {
            Some(node) => {
                let old = node.path.clone();
                self.move_subtree(event.key, &old, &new, origin, changes);
            }
            None => {
                // Its children are not known either.
                self.needs_walk = true;
                self.add(event.key, new, event.path_cut, Some(origin), changes);
            }
        }
    }

    /// Moves a directory and all below it in its hierarchy.
    pub(super) fn move_subtree(
        &mut self,
        key: CgroupKey,
        old: &CgroupPath,
        new: &CgroupPath,
        origin: Origin,
        changes: &mut Vec<Change>,
    ) {
        if old == new {
            return;
        }
        let below = |path: &CgroupPath, cgroup: &Cgroup| {
            let member = cgroup.members.iter().find(|member| member.hierarchy == key.hierarchy);
            member.and_then(|member| path.rebase(old, new).map(|to| (*member, path.clone(), to)))
        };
        let moves: Vec<(CgroupKey, CgroupPath, CgroupPath)> =
            self.cgroups.range(old.clone()..).filter_map(|(path, cgroup)| below(path, cgroup)).collect();
        for (member, from, to) in moves {
            let populated = self.nodes.get(&member).and_then(|node| node.populated);
            self.add_renamed(member, to.clone(), false, Some(origin), Some(from.clone()), changes);
            if let Some(node) = self.nodes.get_mut(&member) {
                node.populated = populated;
            }
            self.carry_over(&from, &to);
            self.leave(member, &from, origin, changes);
        }
    }

    /// A new name makes no new cgroup: it is as old as before, and runs as before.
    fn carry_over(&mut self, from: &CgroupPath, to: &CgroupPath) {
        let Some((created, running)) = self.cgroups.get(from).map(|old| (old.created, old.running)) else {
            return;
        };
        if let Some(new) = self.cgroups.get_mut(to).filter(|new| new.members.len() == 1) {
            (new.created, new.running) = (created, running);
        }
    }

    /// Takes a directory out of the cgroup of its old path.
    fn leave(&mut self, key: CgroupKey, path: &CgroupPath, origin: Origin, changes: &mut Vec<Change>) {
        let Some(cgroup) = self.cgroups.get_mut(path) else { return };
        cgroup.members.retain(|member| *member != key);
        if cgroup.members.is_empty()
            && let Some(cgroup) = self.cgroups.remove(path)
        {
            self.containers -= u64::from(cgroup.identity.is_container());
            changes.push(Change::new(
                ChangeKind::CgroupRemoved,
                origin,
                path,
                false,
                cgroup.named_by,
                &cgroup.identity,
            ));
            self.tombstones.bury(path.clone(), Tombstone::of(&cgroup, origin.time));
        }
    }
}
