//! What is known of the containers that run, and the early values of those that end.
//!
//! Shared by the threads that read. Containers are spread over a few readers with a lock each, so that a container whose files
//! the kernel is slow to read holds up few others.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::files::{self, CgroupReader, HostRoot, ReadSets};
use crate::identity::identify;
use crate::kernel::Paths;
use crate::model::{CgroupKey, CgroupPath, CgroupStats, Hierarchy, MetricSet, MetricSets};

/// Readers with a lock each.
const SHARDS: usize = 8;

/// Early values that a reader keeps for containers whose end is not reported yet.
const MAX_EARLY: usize = 256;

/// The exit of a last task takes less, also with much memory to give up. What was read longer ago was read at another exit,
/// of one of several cgroups inside the container, and is not its last.
const MAX_AGE: Duration = Duration::from_secs(30);

/// What is read: what only grows while a container lives, and what it had at most.
const SETS: ReadSets = ReadSets {
    metrics: MetricSets::none().with(MetricSet::Cpu).with(MetricSet::DiskIo),
    peaks: true,
    ..ReadSets::NONE
};

/// Containers, and their values that were read early.
pub(super) struct Containers {
    hierarchies: Arc<[Hierarchy]>,
    /// Finds containers that end before their start is reported here. It has to be by id: on v1 the kernel shows a task that is
    /// exiting in the root.
    paths: Option<Paths>,
    /// Containers that run, by each of their directories.
    running: RwLock<HashMap<CgroupKey, CgroupPath>>,
    shards: [Mutex<Shard>; SHARDS],
    spread: RandomState,
}

struct Shard {
    reader: CgroupReader,
    /// The directories of each container that runs.
    members: HashMap<CgroupPath, Vec<CgroupKey>>,
    /// What was read of containers whose last task began to exit.
    early: HashMap<CgroupPath, Early>,
}

struct Early {
    read: Instant,
    stats: Box<CgroupStats>,
}

impl Containers {
    pub(super) fn new(host: &HostRoot, hierarchies: Arc<[Hierarchy]>, max_open_files: usize) -> Self {
        let shard = || Shard {
            reader: CgroupReader::new(host.clone(), hierarchies.clone(), SETS, max_open_files / SHARDS),
            members: HashMap::new(),
            early: HashMap::new(),
        };
        let shards = std::array::from_fn(|_| Mutex::new(shard()));
        let paths = Paths::open(&hierarchies)
            .inspect_err(|error| tracing::debug!(%error, "no cgroup can be found by its id"))
            .ok();
        Self { shards, paths, hierarchies, running: RwLock::default(), spread: RandomState::new() }
    }

    /// A container runs: its files are opened, so that they need not be when there is no time.
    pub(super) fn open(&self, path: CgroupPath, members: Vec<CgroupKey>) {
        {
            let mut running = self.running.write();
            running.extend(members.iter().map(|key| (*key, path.clone())));
        }
        let mut shard = self.shard(&path);
        shard.reader.read_parts(&path, &members);
        shard.members.insert(path, members);
    }

    /// The last task of a cgroup begins to exit; it may be a container, or inside of one.
    pub(super) fn read_early(&self, cgroup: CgroupKey) {
        let running = self.running.read();
        let known = running.get(&cgroup).cloned();
        drop(running);
        let Some(path) = known.or_else(|| self.container_of(cgroup)) else { return };
        let mut shard = self.shard(&path);
        let Some(members) = shard.members.get(&path).cloned() else {
            // What is opened of it now is not needed again.
            let members = self.directories(&path);
            shard.read_early(&path, &members);
            shard.reader.forget(&path);
            return;
        };
        shard.read_early(&path, &members);
    }

    /// All that a container used, now that it has no process any more; `None` when its directory went first. What is read
    /// now has the moment of the exit too, unless the directories go meanwhile.
    pub(super) fn last(&self, path: &CgroupPath, members: &[CgroupKey]) -> Option<Box<CgroupStats>> {
        let mut shard = self.shard(path);
        let late = Some(shard.read(path, members)).filter(|stats| parts(stats).0);
        let early = shard.early.remove(path).filter(|early| early.read.elapsed() < MAX_AGE);
        let early = early.map(|early| early.stats);
        if early.as_ref().is_some_and(|early| late.as_ref().is_none_or(|late| parts(late) < parts(early))) {
            return early;
        }
        late
    }

    /// Forgets a container that is gone.
    pub(super) fn forget(&self, path: &CgroupPath) {
        let mut shard = self.shard(path);
        shard.early.remove(path);
        shard.reader.forget(path);
        let members = shard.members.remove(path).unwrap_or_default();
        drop(shard);
        let mut running = self.running.write();
        for key in members {
            running.remove(&key);
        }
    }

    /// Forgets all containers. One that runs is then found and opened when its last task begins to exit.
    pub(super) fn forget_all(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.early.clear();
            for (path, _) in std::mem::take(&mut shard.members) {
                shard.reader.forget(&path);
            }
        }
        self.running.write().clear();
    }

    fn shard(&self, path: &CgroupPath) -> MutexGuard<'_, Shard> {
        let [first, others @ ..] = &self.shards;
        let number = usize::try_from(self.spread.hash_one(path) % SHARDS as u64).unwrap_or_default();
        others.get(number).unwrap_or(first).lock()
    }

    /// The container that this cgroup is, or is inside of.
    fn container_of(&self, cgroup: CgroupKey) -> Option<CgroupPath> {
        let path = self.paths.as_ref()?.of(cgroup)?;
        std::iter::successors(Some(path), CgroupPath::parent).find(|path| identify(path).is_container())
    }

    /// The directories that have this path now.
    fn directories(&self, path: &CgroupPath) -> Vec<CgroupKey> {
        self.hierarchies.iter().filter_map(|hierarchy| files::directory_key(hierarchy, path)).collect()
    }
}

impl Shard {
    fn read(&mut self, path: &CgroupPath, members: &[CgroupKey]) -> Box<CgroupStats> {
        Box::new(self.reader.read_parts(path, members).stats)
    }

    fn read_early(&mut self, path: &CgroupPath, members: &[CgroupKey]) {
        let stats = self.read(path, members);
        if !parts(&stats).0 {
            return;
        }
        if self.early.len() >= MAX_EARLY {
            self.early.clear();
        }
        self.early.insert(path.clone(), Early { read: Instant::now(), stats });
    }
}

/// What there is of a reading. Without the processor time it is none.
fn parts(stats: &CgroupStats) -> (bool, bool, bool) {
    let used = stats.cpu.as_ref().is_some_and(|cpu| cpu.usage_nsec.is_some());
    (used, stats.memory.is_some(), stats.io.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::{Fixture, members};
    use crate::files::hierarchies;

    const CPU_STAT: &str = "sys/fs/cgroup/a/cpu.stat";

    struct Host {
        fixture: Fixture,
        values: Containers,
        path: CgroupPath,
        members: Vec<CgroupKey>,
    }

    impl Host {
        /// With one container, which has used `usec`.
        fn new(usec: u64) -> Self {
            let fixture = Fixture::v2();
            fixture.file(CPU_STAT, format!("usage_usec {usec}\n"));
            let hierarchies: Arc<[Hierarchy]> = hierarchies(&fixture.host()).unwrap().into();
            let path = CgroupPath::from("/a");
            let members = members(&hierarchies, &path);
            // No file stays open, as a file that is removed can be read on where it is none of the kernel's.
            let values = Containers::new(&fixture.host(), hierarchies, 0);
            Self { fixture, values, path, members }
        }

        fn last_nsec(&self) -> Option<u64> {
            self.values.last(&self.path, &self.members)?.cpu?.usage_nsec
        }
    }

    #[test]
    fn early_values_are_those_of_a_container_that_is_gone() {
        let host = Host::new(7);
        host.values.open(host.path.clone(), host.members.clone());
        host.values.read_early(host.members[0]);
        std::fs::remove_dir_all(host.fixture.path("sys/fs/cgroup/a")).unwrap();
        assert_eq!(host.last_nsec(), Some(7_000));
        assert_eq!(host.last_nsec(), None, "it is of one exit");
    }

    /// The container went on, and its end was not seen.
    #[test]
    fn what_was_read_long_ago_is_not_the_last() {
        let host = Host::new(7);
        host.values.open(host.path.clone(), host.members.clone());
        host.values.read_early(host.members[0]);
        let long_ago = Instant::now().checked_sub(MAX_AGE).unwrap();
        host.values.shard(&host.path).early.get_mut(&host.path).unwrap().read = long_ago;
        std::fs::remove_dir_all(host.fixture.path("sys/fs/cgroup/a")).unwrap();
        assert_eq!(host.last_nsec(), None);
    }

    #[test]
    fn what_is_read_later_has_the_exit_itself_too() {
        let host = Host::new(7);
        host.values.open(host.path.clone(), host.members.clone());
        host.values.read_early(host.members[0]);
        host.fixture.file(CPU_STAT, "usage_usec 9\n");
        assert_eq!(host.last_nsec(), Some(9_000));
    }

    #[test]
    fn nothing_is_kept_of_what_is_forgotten() {
        let forgets: [fn(&Host); 2] =
            [|host| host.values.forget(&host.path), |host| host.values.forget_all()];
        for forget in forgets {
            let host = Host::new(7);
            host.values.open(host.path.clone(), host.members.clone());
            host.values.read_early(host.members[0]);
            forget(&host);
            std::fs::remove_dir_all(host.fixture.path("sys/fs/cgroup/a")).unwrap();
            assert_eq!(host.last_nsec(), None);
            assert!(host.values.running.read().is_empty());
            assert!(host.values.shard(&host.path).members.is_empty());
        }
    }

    #[test]
    fn early_values_that_nobody_asks_for_are_bounded() {
        let host = Host::new(7);
        let mut shard = host.values.shard(&host.path);
        for number in 0..MAX_EARLY {
            let early = Early { read: Instant::now(), stats: Box::default() };
            shard.early.insert(CgroupPath::from(format!("/{number}").as_str()), early);
        }
        shard.read_early(&host.path, &host.members);
        assert_eq!(shard.early.len(), 1);
    }
}
