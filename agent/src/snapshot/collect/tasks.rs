//! Reads the tasks of every cgroup and sums them up the tree.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::CgroupToRead;
use crate::files::{CgroupReader, HostRoot, ProcessFacts, clear_referenced, open_files_limit, process_facts};
use crate::model::{
    CgroupPath, LoadAverages, MetricSet, MetricSets, ProcessStats, SchedStats, TaskStates, TaskStats,
};

/// The span of the load averages.
const LOAD_SEC: f64 = 10.0;

/// Reads tasks, and keeps what sums and averages need from one reading to the next.
#[derive(Default)]
pub(super) struct Tasks {
    sets: MetricSets,
    /// Readings after which referenced memory is cleared; 0 is never.
    referenced_reset: u64,
    readings: u64,
    /// Each task's times when it was last read: the difference is added to the cgroup that it is in now.
    times: HashMap<u32, SchedStats>,
    /// What all tasks had that were seen in a cgroup, those that have ended with what they had when last seen.
    sched: HashMap<CgroupPath, SchedStats>,
    loads: HashMap<CgroupPath, Load>,
    last: Option<Instant>,
}

/// Exponentially weighted means, of running tasks and those in uninterruptible sleep.
type Load = [f64; 2];

/// One process, as it is added up.
struct CountedProcess {
    facts: ProcessFacts,
    /// What its tasks had more than at the last reading.
    sched: SchedStats,
}

impl Tasks {
    /// `load` says whether states and load averages are read, as each task then costs a file.
    pub(super) fn new(sets: MetricSets, load: bool, referenced_reset: u64) -> Self {
        let sets = if load { sets } else { sets.without(MetricSet::CpuLoad) };
        Self { sets, referenced_reset, ..Self::default() }
    }

    /// Reads the tasks of all cgroups; nothing when no set wants any.
    pub(super) fn collect(
        &mut self,
        host: &HostRoot,
        reader: &mut CgroupReader,
        known: &[CgroupToRead],
    ) -> HashMap<CgroupPath, TaskStats> {
        let sets = [MetricSet::Process, MetricSet::Sched, MetricSet::CpuLoad, MetricSet::ReferencedMemory];
        if !self.sets.has_any(&sets) {
            return HashMap::new();
        }
        let pids = processes(reader, known);
        let counted = self.read(host, &pids);
        let now = Instant::now();
        let decay = self.last.replace(now).map(|last| (-(now - last).as_secs_f64() / LOAD_SEC).exp());
        self.sched.retain(|path, _| pids.contains_key(path));
        self.loads.retain(|path, _| pids.contains_key(path));
        let sums = pids.into_iter().map(|(path, pids)| {
            let sums = self.sum(host, &path, &pids, &counted, decay);
            (path, sums)
        });
        sums.collect()
    }

    fn read(
        &mut self,
        host: &HostRoot,
        pids: &HashMap<CgroupPath, Vec<u32>>,
    ) -> HashMap<u32, CountedProcess> {
        self.readings += 1;
        let clear = self.sets.has(MetricSet::ReferencedMemory)
            && self.referenced_reset > 0
            && self.readings.is_multiple_of(self.referenced_reset);
        let all: HashSet<u32> = pids.values().flatten().copied().collect();
        let (mut counted, mut times) = (HashMap::new(), HashMap::new());
        for pid in all {
            let Some(facts) = process_facts(host, pid, self.sets) else { continue };
            let mut sched = SchedStats::default();
            for &(tid, now) in &facts.sched {
                sched = sched.plus(self.times.get(&tid).map_or(now, |&before| now.since(before)));
                times.insert(tid, now);
            }
            if clear {
                // A process that has ended needs none.
                let _ = clear_referenced(host, pid);
            }
            counted.insert(pid, CountedProcess { facts, sched });
        }
        self.times = times;
        counted
    }

    fn sum(
        &mut self,
        host: &HostRoot,
        path: &CgroupPath,
        pids: &[u32],
        counted: &HashMap<u32, CountedProcess>,
        decay: Option<f64>,
    ) -> TaskStats {
        let living: Vec<&CountedProcess> = pids.iter().filter_map(|pid| counted.get(pid)).collect();
        let mut sums = TaskStats::default();
        if self.sets.has(MetricSet::Process) {
            // Where one process may not be read, the sum is unknown too.
            let of = |pick: fn(&ProcessFacts) -> Option<u64>| living.iter().map(|one| pick(&one.facts)).sum();
            sums.processes = Some(ProcessStats {
                count: Some(living.len() as u64),
                file_descriptors: of(|facts| facts.descriptors.map(|d| d.open)),
                sockets: of(|facts| facts.descriptors.map(|d| d.sockets)),
                open_files_limit: pids.first().and_then(|&pid| open_files_limit(host, pid)),
            });
        }
        if self.sets.has(MetricSet::ReferencedMemory) {
            let referenced = living.iter().filter_map(|one| one.facts.referenced_bytes);
            sums.referenced_bytes = Some(referenced.fold(0, u64::saturating_add));
        }
        if self.sets.has(MetricSet::Sched) {
            let total = self.sched.entry(path.clone()).or_default();
            *total = living.iter().fold(*total, |total, one| total.plus(one.sched));
            sums.sched = Some(*total);
        }
        if self.sets.has(MetricSet::CpuLoad) {
            let states =
                living.iter().fold(TaskStates::default(), |states, one| states.plus(one.facts.states));
            sums.states = Some(states);
            sums.load = Some(self.averages(path, states, decay));
        }
        sums
    }

    /// cAdvisor's formula, with the time between two readings in place of its housekeeping interval.
    fn averages(&mut self, path: &CgroupPath, states: TaskStates, decay: Option<f64>) -> LoadAverages {
        #[expect(clippy::cast_precision_loss, reason = "no machine has 2^52 tasks")]
        let now = [states.running as f64, states.uninterruptible as f64];
        let load = self.loads.entry(path.clone()).or_insert(now);
        if let Some(decay) = decay {
            for (mean, now) in load.iter_mut().zip(now) {
                *mean = *mean * decay + now * (1.0 - decay);
            }
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of counts")]
        let milli = load.map(|mean| (mean * 1000.0) as u64);
        LoadAverages { running_milli: milli[0], uninterruptible_milli: milli[1] }
    }
}

/// The processes of each cgroup and of all below it, each once, in the order of their numbers. A cgroup whose
/// processes cannot be read is left out.
fn processes(reader: &mut CgroupReader, known: &[CgroupToRead]) -> HashMap<CgroupPath, Vec<u32>> {
    let own = known.iter().filter_map(|cgroup| {
        let pids = reader.processes(&cgroup.path, &cgroup.known.members)?;
        Some((&cgroup.path, pids))
    });
    let own: Vec<(&CgroupPath, Vec<u32>)> = own.collect();
    let mut found: HashMap<CgroupPath, Vec<u32>> =
        own.iter().map(|(path, _)| ((*path).clone(), Vec::new())).collect();
    for (path, own) in own.iter().filter(|(_, own)| !own.is_empty()) {
        let mut at = Some((*path).clone());
        while let Some(path) = at {
            if let Some(pids) = found.get_mut(&path) {
                pids.extend_from_slice(own);
            }
            at = path.parent();
        }
    }
    for pids in found.values_mut() {
        pids.sort_unstable();
        pids.dedup();
    }
    found
}
