//! Counts performance events of containers, and of the node: opens counters for new cgroups, closes those of cgroups that are gone.
//!
//! The kernel counts while a counter is open, so a container's count begins with the first reading that sees it. Each
//! counter is a descriptor and some 2 KiB of the kernel's memory, for each event, container and processor; the processor
//! is set up anew at each switch between cgroups. So nothing is opened that the operator does not name.

mod tracked;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::AsFd;
use std::sync::Arc;

use self::tracked::{Totals, Tracked};
use super::CgroupToRead;
use crate::files::{CgroupReader, HostRoot, online_cpus};
use crate::kernel::{CountedIn, CounterGroup};
use crate::model::{
    CgroupKey, CgroupPath, HardwareStats, PerfCode, PerfCounts, PerfEvent, PerfPlan, Role, UncoreCount,
};

#[derive(Default)]
pub(super) struct Perf {
    plan: PerfPlan,
    /// The most descriptors.
    limit: usize,
    open: usize,
    kept: HashMap<CgroupPath, Counters>,
    /// Counters outside of the cores, by their place in the plan, with the package.
    uncore: Option<Vec<(usize, u32, Tracked)>>,
    logged: Logged,
    /// Cgroups whose events were not counted at the last reading, for want of descriptors.
    pub(super) left_out: u64,
}

/// The counters of one cgroup.
#[derive(Debug)]
struct Counters {
    /// The member they count in; `None` for the whole node.
    member: Option<CgroupKey>,
    /// By processor, the plan's groups in order. A processor that goes offline keeps what it has counted.
    cpus: BTreeMap<u32, Vec<Tracked>>,
}

/// What was logged already: each thing once.
#[derive(Default)]
struct Logged {
    events: HashSet<Arc<str>>,
    limit: bool,
}

impl Logged {
    fn refused(&mut self, event: &Arc<str>, error: &std::io::Error) {
        if self.events.insert(event.clone()) {
            tracing::warn!(%event, %error, "the kernel does not count this performance event; it is left out");
        }
    }

    fn limit(&mut self, cgroup: &CgroupPath, limit: usize) {
        if !std::mem::replace(&mut self.limit, true) {
            let cgroup = &*cgroup.to_text();
            tracing::warn!(
                cgroup,
                limit,
                "too few descriptors to count performance events in all containers"
            );
        }
    }
}

impl Perf {
    /// Counts what the plan says, with at most `limit` descriptors.
    pub(super) fn new(plan: PerfPlan, limit: usize) -> Self {
        for event in &plan.absent {
            tracing::warn!(event, "this host has no unit for this performance event; it is left out");
        }
        Self { plan, limit, ..Self::default() }
    }

    /// Reads the counters of the node and of each container.
    pub(super) fn collect(
        &mut self,
        host: &HostRoot,
        reader: &mut CgroupReader,
        known: &[CgroupToRead],
    ) -> HashMap<CgroupPath, Box<HardwareStats>> {
        if self.plan.core.is_empty() && self.plan.uncore.is_empty() {
            return HashMap::new();
        }
        let counted: Vec<(&CgroupPath, Option<CgroupKey>)> =
            known.iter().filter_map(|cgroup| counted_by(reader, cgroup)).collect();
        self.close_others(&counted);
        self.left_out = 0;
        let cpus = online_cpus(host);
        let mut found = HashMap::new();
        for (path, member) in counted {
            let mut reading: Box<HardwareStats> = Box::default();
            reading.perf = self.core(reader, path, member, &cpus);
            if member.is_none() {
                reading.uncore = self.uncore();
            }
            found.insert(path.clone(), reading);
        }
        found
    }

    /// Closes counters of cgroups that are gone, or others by now.
    fn close_others(&mut self, counted: &[(&CgroupPath, Option<CgroupKey>)]) {
        let counted: HashMap<_, _> = counted.iter().copied().collect();
        let gone = self.kept.extract_if(|path, counters| counted.get(path) != Some(&counters.member));
        let closed: usize = gone.map(|(_, counters)| counters.descriptors()).sum();
        self.open = self.open.saturating_sub(closed);
    }

    fn core(
        &mut self,
        reader: &mut CgroupReader,
        path: &CgroupPath,
        member: Option<CgroupKey>,
        cpus: &[u32],
    ) -> Vec<PerfCounts> {
        let kept = self.kept.get(path);
        let new: Vec<u32> = cpus
            .iter()
            .filter(|cpu| kept.is_none_or(|counters| !counters.cpus.contains_key(cpu)))
            .copied()
            .collect();
        if !new.is_empty() {
            self.open_core(reader, path, member, &new);
        }
        self.kept.get_mut(path).map_or_else(Vec::new, |counters| counters.read(&self.plan.core))
    }

    /// Opens counters on these processors: on all of them, or none where the descriptors do not suffice.
    fn open_core(
        &mut self,
        reader: &mut CgroupReader,
        path: &CgroupPath,
        member: Option<CgroupKey>,
        cpus: &[u32],
    ) {
        let events: usize = self.plan.core.iter().map(Vec::len).sum();
        if self.open.saturating_add(events.saturating_mul(cpus.len())) > self.limit {
            self.left_out += 1;
            self.logged.limit(path, self.limit);
            return;
        }
        let dir = match member {
            None => None,
            Some(member) => match reader.perf_dir(path, member) {
                None => return, // It is gone, and the word of that is on its way.
                dir => dir,
            },
        };
        let counted_in = dir.as_ref().map_or(CountedIn::Processor, |dir| CountedIn::Cgroup(dir.as_fd()));
        let counters = self.kept.entry(path.clone()).or_insert(Counters { member, cpus: BTreeMap::new() });
        for &cpu in cpus {
            let groups = self.plan.core.iter().map(|group| open(group, counted_in, cpu, &mut self.logged));
            let groups: Vec<Tracked> = groups.collect();
            self.open += groups.iter().map(Tracked::descriptors).sum::<usize>();
            counters.cpus.insert(cpu, groups);
        }
    }

    fn uncore(&mut self) -> Vec<UncoreCount> {
        let Self { plan, logged, open: opened, limit, .. } = self;
        let counters = self.uncore.get_or_insert_with(|| {
            let mut counters = Vec::new();
            for (place, group) in plan.uncore.iter().enumerate() {
                for &(cpu, socket) in &group.cpus {
                    if opened.saturating_add(group.events.len()) > *limit {
                        logged.limit(&CgroupPath::root(), *limit);
                        return counters;
                    }
                    let tracked = open(&group.events, CountedIn::Processor, cpu, logged);
                    *opened += tracked.descriptors();
                    counters.push((place, socket, tracked));
                }
            }
            counters
        });
        let mut found = Vec::new();
        for (place, socket, tracked) in counters {
            let Some(group) = self.plan.uncore.get(*place) else { continue };
            for (index, count) in tracked.read() {
                if let Some(event) = group.events.get(index) {
                    let (event, pmu) = (event.name.clone(), group.pmu.clone());
                    found.push(UncoreCount { event, pmu, socket: *socket, count });
                }
            }
        }
        found
    }
}

impl Counters {
    fn descriptors(&self) -> usize {
        self.cpus.values().flatten().map(Tracked::descriptors).sum()
    }

    fn read(&mut self, plan: &[Vec<PerfEvent>]) -> Vec<PerfCounts> {
        let mut found: Vec<Vec<PerfCounts>> = plan
            .iter()
            .map(|group| {
                let none = |event: &PerfEvent| PerfCounts { event: event.name.clone(), cpus: Vec::new() };
                group.iter().map(none).collect()
            })
            .collect();
        for (&cpu, groups) in &mut self.cpus {
            for (tracked, found) in groups.iter_mut().zip(&mut found) {
                for (index, count) in tracked.read() {
                    if let Some(counts) = found.get_mut(index) {
                        counts.cpus.push((cpu, count));
                    }
                }
            }
        }
        found.into_iter().flatten().filter(|counts| !counts.cpus.is_empty()).collect()
    }
}

/// Whether events are counted in the cgroup, and by which member; the node's are by none.
fn counted_by<'a>(
    reader: &CgroupReader,
    cgroup: &'a CgroupToRead,
) -> Option<(&'a CgroupPath, Option<CgroupKey>)> {
    match cgroup.known.identity.role {
        Role::Root => Some((&cgroup.path, None)),
        Role::Container => Some((&cgroup.path, Some(reader.perf_member(&cgroup.known.members)?))),
        _ => None,
    }
}

fn open(events: &[PerfEvent], counted_in: CountedIn<'_>, cpu: u32, logged: &mut Logged) -> Tracked {
    let codes: Vec<PerfCode> = events.iter().map(|event| event.code).collect();
    let group = CounterGroup::open(&codes, counted_in, cpu, &mut |index, error| {
        if let Some(event) = events.get(index) {
            logged.refused(&event.name, &error);
        }
    });
    Tracked { group, totals: Totals::default() }
}

#[cfg(test)]
mod tests;
