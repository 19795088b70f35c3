//! Removed cgroups are kept for a while: a kill may be read after the removal of its cgroup, and Prometheus must see the
//! last count of a container.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use super::Cgroup;
use crate::model::{CgroupKey, CgroupPath, CgroupStats, Identity};

/// A removed cgroup.
#[derive(Clone, Debug)]
pub struct Tombstone {
    pub identity: Arc<Identity>,
    /// OOM kills of its processes.
    pub oom_kills: u64,
    /// When it was removed.
    pub removed: SystemTime,
    /// Its values after the end of its last process.
    pub last: Option<Arc<CgroupStats>>,
}

impl Tombstone {
    pub(super) fn of(cgroup: &Cgroup, removed: SystemTime) -> Self {
        let last = cgroup.last.clone();
        Self { identity: cgroup.identity.clone(), oom_kills: cgroup.oom_kills, removed, last }
    }
}

/// A bounded number of tombstones. The oldest are dropped first.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    limit: usize,
    by_path: BTreeMap<CgroupPath, Tombstone>,
    by_key: HashMap<CgroupKey, CgroupPath>,
    /// In the order of removal. Entries of cgroups that came back are skipped.
    order: VecDeque<(SystemTime, CgroupPath)>,
    key_order: VecDeque<CgroupKey>,
}

impl Tombstones {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&CgroupPath, &Tombstone)> {
        self.by_path.iter()
    }

    pub(super) fn path_of(&self, key: CgroupKey) -> Option<&CgroupPath> {
        self.by_key.get(&key)
    }

    pub(super) fn count_oom_kill(&mut self, path: &CgroupPath) -> Option<Arc<Identity>> {
        let tombstone = self.by_path.get_mut(path)?;
        tombstone.oom_kills = tombstone.oom_kills.saturating_add(1);
        Some(tombstone.identity.clone())
    }

    pub(super) fn keep_last(&mut self, path: &CgroupPath, last: Arc<CgroupStats>) -> Option<u64> {
        let tombstone = self.by_path.get_mut(path)?;
        tombstone.last = Some(last);
        Some(tombstone.oom_kills)
    }

    pub(super) fn remember_key(&mut self, key: CgroupKey, path: &CgroupPath) {
        if self.by_key.insert(key, path.clone()).is_none() {
            self.key_order.push_back(key);
        }
        while self.key_order.len() > self.limit
            && let Some(oldest) = self.key_order.pop_front()
        {
            self.by_key.remove(&oldest);
        }
    }

    pub(super) fn bury(&mut self, path: CgroupPath, tombstone: Tombstone) {
        self.order.push_back((tombstone.removed, path.clone()));
        self.by_path.insert(path, tombstone);
        while self.order.len() > self.limit {
            self.drop_oldest();
        }
    }

    /// Takes the tombstone of a cgroup that came back.
    pub(super) fn take(&mut self, path: &CgroupPath) -> Option<Tombstone> {
        self.by_path.remove(path)
    }

    pub(super) fn expire(&mut self, until: SystemTime) {
        while self.order.front().is_some_and(|(removed, _)| *removed <= until) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((removed, path)) = self.order.pop_front() else { return };
        if self.by_path.get(&path).is_some_and(|tombstone| tombstone.removed == removed) {
            self.by_path.remove(&path);
        }
    }
}
