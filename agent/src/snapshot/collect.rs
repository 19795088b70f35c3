//! Takes a snapshot: the only place where registry, files and identity meet.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::{CgroupSample, NodeSnapshot, Reading};
use crate::files::{CgroupReader, FilesError, HostRoot, machine, read_host_network, read_network};
use crate::model::{CgroupKey, CgroupPath, CgroupStats, Identity, InterfaceStats, Machine, Role};
use crate::registry::{Registry, Tombstone};

/// What `machine_*` tells changes with hot-plugged CPUs and memory alone.
const MACHINE_REFRESH: Duration = Duration::from_secs(60);

/// Each distinct fault is logged once; this many are remembered.
const REMEMBERED_FAULTS: usize = 1024;

/// Reads the node, keeping descriptors from one snapshot to the next. Not shared: one reading at a time.
pub struct Collector {
    host: HostRoot,
    registry: Arc<Mutex<Registry>>,
    reader: CgroupReader,
    network: bool,
    machine: Option<(Instant, Arc<Machine>)>,
    /// The cgroups of the last snapshot, whose descriptors may be kept.
    kept: HashSet<CgroupPath>,
    faults: HashSet<PathBuf>,
    progress: Progress,
}

/// What all snapshots together did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Snapshots taken.
    pub snapshots: u64,
    /// Cgroups that vanished while they were read.
    pub vanished: u64,
    /// Files that could not be read or understood.
    pub errors: u64,
    /// Descriptors that are kept open.
    pub open_files: u64,
    /// Wall time of the last one.
    pub last_duration: Duration,
}

/// What a snapshot needs of a cgroup in the registry.
struct Known {
    path: CgroupPath,
    identity: Arc<Identity>,
    members: Vec<CgroupKey>,
    oom_kills: u64,
    created: Option<SystemTime>,
    may_run: bool,
    /// What was read of it after its last process had ended.
    last: Option<Arc<CgroupStats>>,
}

impl Known {
    /// Its directory has gone, and the word of that is on its way: what its tombstone will tell.
    fn finished(self, taken: SystemTime) -> Option<CgroupSample> {
        let Self { path, identity, oom_kills, last, .. } = self;
        finished(&path, &Tombstone { identity, oom_kills, removed: taken, last }, taken)
    }
}

/// What is shown of a cgroup that is gone; nothing when nothing is left to tell.
fn finished(path: &CgroupPath, tombstone: &Tombstone, taken: SystemTime) -> Option<CgroupSample> {
    (tombstone.oom_kills > 0 || tombstone.last.is_some()).then(|| CgroupSample {
        path: path.clone(),
        identity: tombstone.identity.clone(),
        stats: tombstone.last.as_deref().cloned().unwrap_or_default(),
        oom_kills: tombstone.oom_kills,
        last_seen: tombstone.removed.min(taken),
        removed: true,
    })
}

impl Collector {
    /// A collector over what the registry knows. `network` says whether interfaces are read.
    #[must_use]
    pub fn new(host: HostRoot, registry: Arc<Mutex<Registry>>, reader: CgroupReader, network: bool) -> Self {
        Self {
            host,
            registry,
            reader,
            network,
            machine: None,
            kept: HashSet::new(),
            faults: HashSet::new(),
            progress: Progress::default(),
        }
    }

    /// What all snapshots together did.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Reads every cgroup now. Blocks for as long as the kernel takes; never fails: what cannot be read is counted.
    pub fn collect(&mut self) -> NodeSnapshot {
        let (began, taken) = (Instant::now(), SystemTime::now());
        let (known, mut cgroups) = self.registry_now(taken);
        let paths: HashSet<CgroupPath> = known.iter().map(|cgroup| cgroup.path.clone()).collect();
        for gone in self.kept.difference(&paths) {
            self.reader.forget(gone);
        }
        self.kept = paths;
        let networks = if self.network { self.networks(&known) } else { BTreeMap::new() };
        let mut reading = Reading::default();
        cgroups.reserve_exact(known.len());
        for cgroup in known {
            cgroups.extend(self.sample(cgroup, taken, &networks, &mut reading));
        }
        cgroups.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        reading.duration = began.elapsed();
        self.note_progress(reading);
        NodeSnapshot { taken, machine: self.machine(), cgroups, reading }
    }

    /// What the registry holds: cgroups to read, and tombstones as finished samples.
    fn registry_now(&self, taken: SystemTime) -> (Vec<Known>, Vec<CgroupSample>) {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let known = registry.cgroups().map(|(path, cgroup)| Known {
            path: path.clone(),
            identity: cgroup.identity.clone(),
            members: cgroup.members.clone(),
            oom_kills: cgroup.oom_kills,
            created: cgroup.created,
            may_run: cgroup.may_run(),
            last: cgroup.last.clone(),
        });
        let tombstones =
            registry.tombstones().filter_map(|(path, tombstone)| finished(path, tombstone, taken));
        (known.collect(), tombstones.collect())
    }

    fn sample(
        &mut self,
        cgroup: Known,
        taken: SystemTime,
        networks: &BTreeMap<CgroupPath, Vec<InterfaceStats>>,
        reading: &mut Reading,
    ) -> Option<CgroupSample> {
        let Ok(found) = self.reader.read(&cgroup.path, &cgroup.members) else {
            reading.vanished += 1;
            return cgroup.finished(taken);
        };
        for error in &found.errors {
            reading.errors += 1;
            self.log_once(error);
        }
        let mut stats = found.stats;
        stats.created = cgroup.created.or(stats.created);
        stats.network = networks.get(&cgroup.path).cloned();
        Some(CgroupSample {
            path: cgroup.path,
            identity: cgroup.identity,
            stats,
            oom_kills: cgroup.oom_kills,
            last_seen: taken,
            removed: false,
        })
    }

    /// The interfaces of each network namespace, under the one cgroup that owns it.
    ///
    /// All containers of a pod share a namespace, so it is the pod's, and a sum over cgroups counts it once. Any live
    /// process of the pod will do. A container without a pod owns its own. The root's is the host's.
    fn networks(&mut self, known: &[Known]) -> BTreeMap<CgroupPath, Vec<InterfaceStats>> {
        let mut found = BTreeMap::new();
        if let Ok(interfaces) = read_host_network(&self.host) {
            found.insert(CgroupPath::root(), interfaces);
        }
        let mut empty = Vec::new();
        // Sorted by path: a pod comes before what lies in it.
        let mut pod: Option<&CgroupPath> = None;
        for cgroup in known {
            if cgroup.identity.role == Role::Pod {
                pod = Some(&cgroup.path);
            }
            let inside = matches!(cgroup.identity.role, Role::Container | Role::InsideContainer);
            if !inside || !cgroup.may_run {
                continue;
            }
            let owner = match pod {
                Some(pod) if cgroup.path.is_within(pod) => pod,
                _ if cgroup.identity.is_container() => &cgroup.path,
                _ => continue,
            };
            if found.contains_key(owner) {
                continue;
            }
            match self.reader.first_process(&cgroup.path, &cgroup.members) {
                // A process that ended meanwhile is no fault.
                Some(process) => {
                    if let Some(interfaces) = read_network(&self.host, process).ok().flatten() {
                        found.insert(owner.clone(), interfaces);
                    }
                }
                None => empty.push(&cgroup.path),
            }
        }
        if !empty.is_empty() {
            self.registry.lock().unwrap_or_else(PoisonError::into_inner).looked_empty(empty);
        }
        found
    }

    fn machine(&mut self) -> Arc<Machine> {
        match &self.machine {
            Some((read, machine)) if read.elapsed() < MACHINE_REFRESH => machine.clone(),
            _ => {
                let machine = Arc::new(machine(&self.host));
                self.machine = Some((Instant::now(), machine.clone()));
                machine
            }
        }
    }

    fn log_once(&mut self, error: &FilesError) {
        if self.faults.len() < REMEMBERED_FAULTS && self.faults.insert(error.path().to_owned()) {
            tracing::warn!(%error, "a kernel file cannot be read or understood; the rest of its cgroup is served");
        }
    }

    fn note_progress(&mut self, reading: Reading) {
        self.progress.snapshots += 1;
        self.progress.vanished += reading.vanished;
        self.progress.errors += reading.errors;
        self.progress.open_files = self.reader.open_files() as u64;
        self.progress.last_duration = reading.duration;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;
    use crate::files::{ReadSets, hierarchies, walk};
    use crate::model::{CpuStats, Hierarchy};
    use crate::registry::Walked;

    /// Its exit was told with these values already, so the page must not lack them meanwhile.
    #[test]
    fn a_container_that_is_gone_before_its_removal_is_told_has_its_last_values() {
        let fixture = Fixture::v2();
        fixture.file("sys/fs/cgroup/a/cpu.stat", "usage_usec 7\n");
        let host = fixture.host();
        let hierarchies: Arc<[Hierarchy]> = hierarchies(&host).unwrap().into();
        let mut registry = Registry::new(10);
        let mark = registry.begin_walk();
        let found = walk(&hierarchies[0]).cgroups;
        let time = SystemTime::UNIX_EPOCH;
        let walked =
            Walked { time, hierarchies: vec![hierarchies[0].id], found, tell: None, populated: None };
        registry.apply_walk(mark, &walked);
        let cpu = CpuStats { usage_nsec: Some(9_000), ..CpuStats::default() };
        let last = CgroupStats { cpu: Some(cpu), ..CgroupStats::default() };
        let path = CgroupPath::from("/a");
        registry.keep_last(&path, Arc::new(last));
        std::fs::remove_dir_all(fixture.path("sys/fs/cgroup/a")).unwrap();
        let reader = CgroupReader::new(host.clone(), hierarchies, ReadSets::ALL, 0);
        let snapshot = Collector::new(host, Arc::new(Mutex::new(registry)), reader, false).collect();
        let sample = snapshot.cgroups.iter().find(|sample| sample.path == path).unwrap();
        assert_eq!((sample.removed, snapshot.reading.vanished), (true, 1));
        assert_eq!(sample.stats.cpu.as_ref().unwrap().usage_nsec, Some(9_000));
    }
}
