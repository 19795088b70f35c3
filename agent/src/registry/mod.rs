//! Which cgroups exist, and what happened to them.
//!
//! A pure state machine: it takes kernel events and walks, and returns the changes that become events for users. It does
//! no I/O, reads no clock and knows nothing of BPF.
//!
//! The kernel reports directories: on v1 a container has one per hierarchy, each with an id of its own. Users think of
//! one cgroup per path, so directories with the same path are merged: a cgroup is created with its first directory and
//! removed with its last.
//!
//! Walks and events are combined in this order: programs are attached, the tree is walked, everything in the ring is
//! applied, then the walk is applied. A cgroup that only the walk found existed before the programs were attached. What
//! an event created or removed after the walk began stays as the event says. So each cgroup is seen exactly once.

mod change;
mod known;
mod rename;
mod tombstones;
mod walk;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

pub use change::{Change, ChangeKind};
pub use known::{KnownCgroup, cut_name};
pub use tombstones::Tombstone;
pub use walk::{FinishedWalk, WalkMark, Walked};

use crate::identity::identify;
use crate::model::{
    CgroupKey, CgroupPath, CgroupStats, HierarchyId, Identity, LifecycleEvent, LifecycleKind, Source,
};
use change::News;
use tombstones::Tombstones;

/// One directory of one hierarchy.
#[derive(Clone, Debug)]
struct Node {
    path: CgroupPath,
    /// The kernel cut the path. The next walk finds the whole path.
    path_cut: bool,
    /// The number of the input that added or moved it.
    changed: u64,
    /// Whether a process is in it or below. A walk does not find this out.
    populated: Option<bool>,
}

/// A cgroup: all directories with one path.
#[derive(Clone, Debug)]
pub struct Cgroup {
    pub identity: Arc<Identity>,
    /// Its directories, at least one.
    pub members: Vec<CgroupKey>,
    /// The directory that every event about the cgroup names: its first one.
    named_by: CgroupKey,
    /// OOM kills of its own processes that were reported.
    pub oom_kills: u64,
    /// See [`KnownCgroup::kills_before`].
    kills_before: i64,
    /// When the kernel created it, if an event said so. A directory's own time changes when its inode is recreated.
    pub created: Option<SystemTime>,
    /// Whether processes run in it. Unknown for a cgroup that a walk found, until its first event.
    running: Option<bool>,
    /// The values after the end of its last process, until a new process starts.
    pub last: Option<Arc<CgroupStats>>,
    /// A look found no process of its own. Events and walks reset this.
    looked_empty: bool,
}

impl Cgroup {
    /// Whether processes may run in it: `false` only if the kernel reported that there are none in it or below, or if a
    /// look found none and nothing has happened since.
    pub fn may_run(&self) -> bool {
        self.running != Some(false) && !self.looked_empty
    }

    fn report(&self, kind: ChangeKind, path: &CgroupPath, path_cut: bool, news: &mut News) {
        news.push(kind, path, path_cut, self.named_by, &self.identity);
    }

    fn member_in(&self, hierarchy: HierarchyId) -> Option<CgroupKey> {
        self.members.iter().find(|member| member.hierarchy == hierarchy).copied()
    }
}

#[cfg(test)]
impl Cgroup {
    /// A cgroup that has just begun.
    pub(crate) fn fixture(identity: Identity, members: Vec<CgroupKey>) -> Self {
        Self {
            identity: Arc::new(identity),
            named_by: members.first().copied().unwrap_or(CgroupKey { hierarchy: HierarchyId::V2, id: 0 }),
            members,
            oom_kills: 0,
            kills_before: 0,
            created: None,
            running: None,
            last: None,
            looked_empty: false,
        }
    }
}

/// All cgroups.
#[derive(Debug, Default)]
pub struct Registry {
    nodes: HashMap<CgroupKey, Node>,
    cgroups: BTreeMap<CgroupPath, Cgroup>,
    tombstones: Tombstones,
    containers: u64,
    /// Number of applied inputs: a directory with a higher number than a walk's is newer than the walk.
    applied: u64,
    walk: Option<walk::Running>,
    needs_walk: bool,
}

impl Registry {
    /// An empty registry that keeps at most `tombstones` removed cgroups.
    pub fn new(tombstones: usize) -> Self {
        Self { tombstones: Tombstones::new(tombstones), ..Self::default() }
    }

    /// Every cgroup, by path.
    pub fn cgroups(&self) -> impl Iterator<Item = (&CgroupPath, &Cgroup)> {
        self.cgroups.iter()
    }

    /// The number of cgroups.
    pub fn len(&self) -> u64 {
        self.cgroups.len() as u64
    }

    /// The number of containers.
    pub fn containers(&self) -> u64 {
        self.containers
    }

    /// Removed cgroups that are still kept, by path.
    pub fn tombstones(&self) -> impl Iterator<Item = (&CgroupPath, &Tombstone)> {
        self.tombstones.iter()
    }

    /// Whether an event made a walk necessary since the last call.
    pub fn take_needs_walk(&mut self) -> bool {
        std::mem::take(&mut self.needs_walk)
    }

    /// Applies a kernel event.
    pub fn apply(&mut self, event: &LifecycleEvent) -> Vec<Change> {
        self.applied += 1;
        let mut news = News::new(event.time, event.source);
        match event.kind {
            LifecycleKind::Created => self.created(event, &mut news),
            LifecycleKind::Removed => self.removed(event.key, &mut news),
            LifecycleKind::Renamed => self.renamed(event, &mut news),
            LifecycleKind::Populated(now) => self.populated(event.key, now, &mut news),
        }
        news.changes
    }

    /// The path of a directory, also of a recently removed one.
    pub fn path_of_key(&self, key: CgroupKey) -> Option<CgroupPath> {
        let node = self.nodes.get(&key).map(|node| &node.path);
        node.or_else(|| self.tombstones.path_of(key)).cloned()
    }

    /// The directory of a path in a hierarchy.
    pub fn key_of(&self, path: &CgroupPath, hierarchy: HierarchyId) -> Option<CgroupKey> {
        self.cgroups.get(path)?.member_in(hierarchy)
    }

    /// The directories of a cgroup.
    pub fn members(&self, path: &CgroupPath) -> Option<Vec<CgroupKey>> {
        Some(self.cgroups.get(path)?.members.clone())
    }

    /// Keeps the last values of a cgroup, also for its tombstone. Returns its OOM kills so far.
    pub fn keep_last(&mut self, path: &CgroupPath, last: Arc<CgroupStats>) -> u64 {
        match self.cgroups.get_mut(path) {
            // A process runs again: its values are in the cgroup's files.
            Some(cgroup) if cgroup.running == Some(true) => cgroup.oom_kills,
            Some(cgroup) => {
                cgroup.last = Some(last);
                cgroup.oom_kills
            }
            None => self.tombstones.keep_last(path, last).unwrap_or(0),
        }
    }

    /// Counts an OOM kill in the cgroup of that path. A removed cgroup is known for a while.
    pub fn oom_kill_at(&mut self, path: &CgroupPath) -> Option<Arc<Identity>> {
        if let Some(cgroup) = self.cgroups.get_mut(path) {
            cgroup.oom_kills = cgroup.oom_kills.saturating_add(1);
            return Some(cgroup.identity.clone());
        }
        self.tombstones.count_oom_kill(path)
    }

    /// Notes that a look at these cgroups found no process of their own: no second look before an event or a walk.
    ///
    /// Has no effect on a cgroup that has had an event: its state is known without a look.
    pub fn looked_empty<'a>(&mut self, paths: impl IntoIterator<Item = &'a CgroupPath>) {
        for path in paths {
            if let Some(cgroup) = self.cgroups.get_mut(path).filter(|cgroup| cgroup.running.is_none()) {
                cgroup.looked_empty = true;
            }
        }
    }

    /// Forgets cgroups that were removed before `until`.
    pub fn expire(&mut self, until: SystemTime) {
        self.tombstones.expire(until);
    }

    fn created(&mut self, event: &LifecycleEvent, news: &mut News) {
        if self.nodes.contains_key(&event.key) {
            return;
        }
        let path = self.path_of(event);
        self.replace_stale(event.key, &path, news);
        self.add(event.key, path, event.path_cut, Some(news));
        if let Some(node) = self.nodes.get_mut(&event.key) {
            node.populated = Some(false);
        }
    }

    /// The path of a new directory. A cut path is not unique, so it gets the key as its name until the next walk.
    fn path_of(&mut self, event: &LifecycleEvent) -> CgroupPath {
        if !event.path_cut {
            return event.path.clone();
        }
        self.needs_walk = true;
        let above = event.parent.and_then(|parent| self.nodes.get(&parent));
        let known = above.map_or(&event.path, |node| &node.path);
        known.join(cut_name(event.key).as_bytes())
    }

    /// Removes another directory with the same path in the same hierarchy: the event of its removal was lost.
    fn replace_stale(&mut self, key: CgroupKey, path: &CgroupPath, news: &mut News) {
        let stale = self.key_of(path, key.hierarchy);
        if let Some(stale) = stale.filter(|stale| *stale != key) {
            self.needs_walk = true;
            self.remove(stale, news);
        }
    }

    fn removed(&mut self, key: CgroupKey, news: &mut News) {
        if let Some(walk) = &mut self.walk {
            walk.removed.insert(key);
        }
        self.remove(key, news);
    }

    fn populated(&mut self, key: CgroupKey, now: bool, news: &mut News) {
        let Some(node) = self.nodes.get_mut(&key) else { return };
        node.populated = Some(now);
        let (path, path_cut) = (node.path.clone(), node.path_cut);
        let Some(cgroup) = self.cgroups.get_mut(&path) else { return };
        // The last process leaves all hierarchies at once. Directories that a walk found have had no event yet.
        let elsewhere =
            cgroup.members.iter().any(|m| self.nodes.get(m).is_some_and(|n| n.populated == Some(true)));
        let before = cgroup.running;
        cgroup.running = Some(now || elsewhere);
        if now {
            cgroup.last = None;
        }
        cgroup.looked_empty = false;
        let kind = match (before, now || elsewhere) {
            (Some(false), true) => ChangeKind::ContainerStarted,
            (Some(true) | None, false) => ChangeKind::ContainerExited,
            _ => return,
        };
        if cgroup.identity.is_container() {
            cgroup.report(kind, &path, path_cut, news);
        }
    }

    /// Adds a directory. Without `news` it is none for users.
    fn add(&mut self, key: CgroupKey, path: CgroupPath, path_cut: bool, news: Option<&mut News>) {
        self.add_renamed(key, path, path_cut, news, None);
    }

    /// Like `add`, with the path that the directory had before.
    fn add_renamed(
        &mut self,
        key: CgroupKey,
        path: CgroupPath,
        path_cut: bool,
        news: Option<&mut News>,
        renamed_from: Option<CgroupPath>,
    ) {
        let node = Node { path: path.clone(), path_cut, changed: self.applied, populated: None };
        self.nodes.insert(key, node);
        if let Some(cgroup) = self.cgroups.get_mut(&path) {
            cgroup.members.push(key);
            return;
        }
        let identity = Arc::new(identify(&path));
        // The same path is the same series: the count of a service goes on after its restart.
        let oom_kills = self.tombstones.take(&path).map_or(0, |tombstone| tombstone.oom_kills);
        self.containers += u64::from(identity.is_container());
        let running = news.as_ref().map(|_| false);
        let mut created = None;
        if let Some(news) = news {
            news.push(ChangeKind::CgroupCreated { renamed_from }, &path, path_cut, key, &identity);
            created = Some(news.time).filter(|_| !matches!(news.source, Source::Walk | Source::Recovered));
        }
        let members = vec![key];
        self.cgroups.insert(
            path,
            Cgroup {
                identity,
                members,
                named_by: key,
                oom_kills,
                kills_before: oom_kills.cast_signed().wrapping_neg(),
                created,
                running,
                last: None,
                looked_empty: false,
            },
        );
    }

    fn remove(&mut self, key: CgroupKey, news: &mut News) {
        let Some(node) = self.nodes.remove(&key) else { return };
        if self.cgroups.contains_key(&node.path) {
            self.tombstones.remember_key(key, &node.path);
            self.leave(key, &node.path, node.path_cut, news);
        }
    }

    /// Takes a directory from the cgroup of that path, and buries the cgroup when it was the last one.
    fn leave(&mut self, key: CgroupKey, path: &CgroupPath, path_cut: bool, news: &mut News) {
        let Some(cgroup) = self.cgroups.get_mut(path) else { return };
        cgroup.members.retain(|member| *member != key);
        if !cgroup.members.is_empty() {
            return;
        }
        let Some(cgroup) = self.cgroups.remove(path) else { return };
        self.containers -= u64::from(cgroup.identity.is_container());
        // Where it moved, what runs in it goes on.
        if cgroup.running == Some(true) && cgroup.identity.is_container() && !self.nodes.contains_key(&key) {
            cgroup.report(ChangeKind::ContainerExited, path, path_cut, news);
        }
        cgroup.report(ChangeKind::CgroupRemoved, path, path_cut, news);
        self.tombstones.bury(path.clone(), Tombstone::of(&cgroup, news.time));
    }
}

#[cfg(test)]
mod tests;
