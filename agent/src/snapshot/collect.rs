//! Takes a snapshot from the registry, the kernel's files and the names.

mod agent;
mod filesystems;
mod network;
mod perf;
mod resctrl;
mod shown;
mod tasks;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub use self::agent::AgentView;
pub use self::filesystems::FilesystemCollector;
pub use self::shown::Shown;

use self::network::Network;
use self::perf::Perf;
use self::tasks::Tasks;
use super::{CgroupSample, LastMemory, NodeSnapshot, Reading};
use crate::files::{CgroupReader, FilesError, HostRoot, machine};
use crate::model::{CgroupPath, HardwareStats, Machine, MetricSet, MetricSets, PerfPlan};
use crate::registry::{Cgroup, Tombstone};
use crate::telemetry::set;

/// The values of `machine_*` change with hot-plugged CPUs and memory only.
const MACHINE_REFRESH: Duration = Duration::from_secs(60);

/// Each distinct fault is logged once; this many are remembered.
const REMEMBERED_FAULTS: usize = 1024;

/// What an operator chooses of a reading.
#[derive(Clone, Debug, Default)]
pub struct CollectOptions {
    /// Which sets are read.
    pub sets: MetricSets,
    pub shown: Shown,
    /// Whether `cpuLoad` is read at all: each task costs a file.
    pub load: bool,
    /// Readings after which referenced memory is cleared; 0 is never.
    pub referenced_reset: u64,
    /// Which performance events are counted; none where the set is off.
    pub perf: PerfPlan,
    /// The most descriptors for that.
    pub perf_descriptors: usize,
}

/// Reads the node, keeping descriptors from one snapshot to the next. Not shared: one reading at a time.
pub struct Collector {
    host: HostRoot,
    agent: AgentView,
    reader: CgroupReader,
    options: CollectOptions,
    tasks: Tasks,
    filesystems: Option<FilesystemCollector>,
    perf: Perf,
    machine: Option<(Instant, Arc<Machine>)>,
    /// The cgroups of the last snapshot, whose descriptors may be kept.
    kept: HashSet<CgroupPath>,
    faults: HashSet<PathBuf>,
}

/// A cgroup as the registry had it when the snapshot began.
struct CgroupToRead {
    path: CgroupPath,
    known: Cgroup,
}

impl CgroupToRead {
    /// Its directory is gone and the event of that is on its way: the sample that its tombstone will give.
    fn finished(self, taken: SystemTime) -> Option<CgroupSample> {
        let Cgroup { identity, oom_kills, last, .. } = self.known;
        finished(&self.path, &Tombstone { identity, oom_kills, removed: taken, last }, taken)
    }
}

/// The sample of a cgroup that is gone; `None` when it has neither OOM kills nor last values.
fn finished(path: &CgroupPath, tombstone: &Tombstone, taken: SystemTime) -> Option<CgroupSample> {
    (tombstone.oom_kills > 0 || tombstone.last.is_some()).then(|| CgroupSample {
        path: path.clone(),
        identity: tombstone.identity.clone(),
        names: None,
        pod: None,
        unit_description: None,
        stats: tombstone.last.as_deref().cloned().unwrap_or_default(),
        oom_kills: tombstone.oom_kills,
        last_seen: tombstone.removed.min(taken),
        removed: true,
    })
}

impl Collector {
    /// A collector over what the agent's registry knows. Without `filesystems` none are read.
    pub fn new(
        host: HostRoot,
        agent: AgentView,
        reader: CgroupReader,
        filesystems: Option<FilesystemCollector>,
        mut options: CollectOptions,
    ) -> Self {
        agent.show_facts();
        let plan = std::mem::take(&mut options.perf);
        let plan = if options.sets.has(MetricSet::PerfEvent) { plan } else { PerfPlan::default() };
        Self {
            host,
            agent,
            reader,
            tasks: Tasks::new(options.sets, options.load, options.referenced_reset),
            perf: Perf::new(plan, options.perf_descriptors),
            options,
            filesystems,
            machine: None,
            kept: HashSet::new(),
            faults: HashSet::new(),
        }
    }

    /// Brings the own metrics that are copies up to date.
    pub(super) fn copy_agent(&self) {
        self.agent.copy();
        if let Some(filesystems) = &self.filesystems {
            filesystems.copy_counts(&self.agent.telemetry);
        }
    }

    /// Reads every cgroup now. Blocks for as long as the kernel takes; never fails: what cannot be read is counted.
    pub fn collect(&mut self) -> NodeSnapshot {
        let (began, taken) = (Instant::now(), SystemTime::now());
        let (known, mut cgroups) = self.registry_now(taken);
        // An excluded cgroup counts in those above it, so the tasks of all are read.
        let mut tasks = self.tasks.collect(&self.host, &mut self.reader, &known);
        let known: Vec<CgroupToRead> =
            known.into_iter().filter(|cgroup| self.options.shown.has(&cgroup.path)).collect();
        let paths: HashSet<CgroupPath> = known.iter().map(|cgroup| cgroup.path.clone()).collect();
        for gone in self.kept.difference(&paths) {
            self.reader.forget(gone);
        }
        self.kept = paths;
        let mut networks = self.networks(&known);
        let mut reading = Reading::default();
        let filesystems = self.filesystems(&known, &mut reading);
        let mut hardware = self.hardware(&known, &mut reading);
        cgroups.reserve_exact(known.len());
        for cgroup in known {
            let (network, tasks) = (networks.remove(&cgroup.path), tasks.remove(&cgroup.path));
            let hardware = hardware.remove(&cgroup.path);
            let Some(mut sample) = self.sample(cgroup, taken, &mut reading) else { continue };
            if !sample.removed {
                sample.stats.hardware = hardware;
                sample.stats.tasks = tasks.unwrap_or_default();
                if let Some(network) = network {
                    network.put(self.options.sets, &mut sample.stats);
                }
            }
            cgroups.push(sample);
        }
        for sample in &mut cgroups {
            (sample.names, sample.pod) = self.agent.names.of(&sample.identity);
            sample.unit_description = self.agent.names.unit_of(&sample.path, &sample.identity);
        }
        cgroups.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        filesystems.put_into(&mut cgroups);
        reading.duration = began.elapsed();
        self.count(reading);
        let snapshot = NodeSnapshot { taken, machine: self.machine(), cgroups, reading };
        let memory = Some(Arc::new(LastMemory::of(&snapshot)));
        *self.agent.memory.lock() = memory;
        snapshot
    }

    /// What the registry holds: cgroups to read, and tombstones as finished samples.
    fn registry_now(&self, taken: SystemTime) -> (Vec<CgroupToRead>, Vec<CgroupSample>) {
        let registry = self.agent.registry.lock();
        let known = registry.cgroups();
        let known = known.map(|(path, known)| CgroupToRead { path: path.clone(), known: known.clone() });
        let tombstones = registry.tombstones().filter(|(path, _)| self.options.shown.has(path));
        let tombstones = tombstones.filter_map(|(path, tombstone)| finished(path, tombstone, taken));
        (known.collect(), tombstones.collect())
    }

    fn sample(
        &mut self,
        cgroup: CgroupToRead,
        taken: SystemTime,
        reading: &mut Reading,
    ) -> Option<CgroupSample> {
        let Ok(found) = self.reader.read(&cgroup.path, &cgroup.known.members) else {
            reading.vanished += 1;
            return cgroup.finished(taken);
        };
        self.note(&found.errors, reading);
        let mut stats = found.stats;
        stats.created = cgroup.known.created.or(stats.created);
        Some(CgroupSample {
            path: cgroup.path,
            identity: cgroup.known.identity,
            // The caller fills these in, for cgroups that are gone as well.
            names: None,
            pod: None,
            unit_description: None,
            stats,
            oom_kills: cgroup.known.oom_kills,
            last_seen: taken,
            removed: false,
        })
    }

    fn networks(&mut self, known: &[CgroupToRead]) -> BTreeMap<CgroupPath, Network> {
        let networks = network::networks(&self.host, &mut self.reader, known, self.options.sets);
        if !networks.empty.is_empty() {
            self.agent.registry.lock().looked_empty(networks.empty);
        }
        networks.found
    }

    fn filesystems(
        &mut self,
        known: &[CgroupToRead],
        reading: &mut Reading,
    ) -> filesystems::FilesystemReadings {
        let Some(filesystems) = &mut self.filesystems else {
            return filesystems::FilesystemReadings::default();
        };
        let mut found = filesystems.read(known, &mut self.reader);
        set(&self.agent.telemetry.hung_filesystems, filesystems.node.hung());
        self.note(found.error.take().filter(|error| !error.is_gone()).as_slice(), reading);
        found
    }

    /// The processor's counters of the node and of each container.
    fn hardware(
        &mut self,
        known: &[CgroupToRead],
        reading: &mut Reading,
    ) -> HashMap<CgroupPath, Box<HardwareStats>> {
        let mut found = self.perf.collect(&self.host, &mut self.reader, known);
        if self.options.sets.has(MetricSet::Resctrl) {
            for (path, cache) in resctrl::cache_domains(&self.host, known) {
                self.note(&cache.errors, reading);
                found.entry(path).or_default().cache_domains = cache.domains;
            }
        }
        found
    }

    fn machine(&mut self) -> Arc<Machine> {
        match &self.machine {
            Some((read, machine)) if read.elapsed() < MACHINE_REFRESH => machine.clone(),
            _ => {
                let machine = Arc::new(machine(&self.host, self.options.sets.has(MetricSet::CpuTopology)));
                self.machine = Some((Instant::now(), machine.clone()));
                machine
            }
        }
    }

    /// Counts errors, and logs each file once.
    fn note(&mut self, errors: &[FilesError], reading: &mut Reading) {
        for error in errors {
            reading.errors += 1;
            if self.faults.len() < REMEMBERED_FAULTS && self.faults.insert(error.path.clone()) {
                tracing::warn!(%error, "a kernel file cannot be read or understood; the rest of its cgroup is served");
            }
        }
    }

    fn count(&self, reading: Reading) {
        let telemetry = &*self.agent.telemetry;
        telemetry.snapshots.inc();
        telemetry.vanished_cgroups.inc_by(reading.vanished);
        telemetry.read_errors.inc_by(reading.errors);
        set(&telemetry.open_cgroup_files, self.reader.open_files() as u64);
        set(&telemetry.perf_left_out_cgroups, self.perf.left_out);
        telemetry.snapshot_duration_seconds.set(reading.duration.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EventLog;
    use crate::files::fixture::Fixture;
    use crate::files::{ReadSets, hierarchies, walk};
    use crate::model::CgroupStats;
    use crate::model::{CpuStats, Hierarchy};
    use crate::registry::{Registry, Walked};

    /// Its exit was reported with these values already, so the page must not lack them meanwhile.
    #[test]
    fn a_container_that_is_gone_before_its_removal_is_reported_has_its_last_values() {
        let fixture = Fixture::v2();
        fixture.file("sys/fs/cgroup/a/cpu.stat", "usage_usec 7\n");
        let host = fixture.host();
        let hierarchies: Arc<[Hierarchy]> = hierarchies(&host).unwrap().into();
        let mut registry = Registry::new(10);
        let mark = registry.begin_walk();
        let found = walk(&hierarchies[0]).cgroups;
        let time = SystemTime::UNIX_EPOCH;
        let walked =
            Walked { time, hierarchies: vec![hierarchies[0].id], found, source: None, populated: None };
        registry.apply_walk(mark, &walked);
        let cpu = CpuStats { usage_nsec: Some(9_000), ..CpuStats::default() };
        let last = CgroupStats { cpu: Some(cpu), ..CgroupStats::default() };
        let path = CgroupPath::from("/a");
        registry.keep_last(&path, Arc::new(last));
        std::fs::remove_dir_all(fixture.path("sys/fs/cgroup/a")).unwrap();
        let reader = CgroupReader::new(host.clone(), hierarchies, ReadSets::ALL, 0);
        let agent = AgentView::fixture(registry, EventLog::new(1));
        let snapshot = Collector::new(host, agent, reader, None, CollectOptions::default()).collect();
        let sample = snapshot.cgroups.iter().find(|sample| sample.path == path).unwrap();
        assert_eq!((sample.removed, snapshot.reading.vanished), (true, 1));
        assert_eq!(sample.stats.cpu.as_ref().unwrap().usage_nsec, Some(9_000));
    }
}
