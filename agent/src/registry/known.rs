//! What one agent leaves for the next.

use super::Registry;
use crate::model::{CgroupKey, CgroupPath};

/// What one agent tells the next of a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCgroup {
    /// Its path.
    pub path: CgroupPath,
    /// Its directories, the one that users are told of first.
    pub members: Vec<CgroupKey>,
    /// Whether processes ran in it; not always known.
    pub running: Option<bool>,
}

impl Registry {
    /// Takes over what the agent before knew, before anything else is applied. What a walk does not find of it went
    /// meanwhile.
    pub fn restore(&mut self, known: impl IntoIterator<Item = KnownCgroup>) {
        for KnownCgroup { path, members, running } in known {
            for key in members {
                self.add(key, path.clone(), false, None, &mut Vec::new());
            }
            if let Some(cgroup) = self.cgroups.get_mut(&path) {
                cgroup.running = running;
            }
        }
    }

    /// What an agent after this one has to know of the cgroups.
    pub fn known(&self) -> impl Iterator<Item = KnownCgroup> {
        let whole = |members: &[CgroupKey]| {
            !members.iter().any(|key| self.nodes.get(key).is_some_and(|n| n.path_cut))
        };
        self.cgroups.iter().filter(move |(_, cgroup)| whole(&cgroup.members)).map(|(path, cgroup)| {
            KnownCgroup { path: path.clone(), members: cgroup.members.clone(), running: cgroup.running }
        })
    }
}
