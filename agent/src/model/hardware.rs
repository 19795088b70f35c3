//! The processor's own counters: performance events, and monitoring of caches and memory bandwidth.
//!
//! Sources: `perf_event_open(2)`; `Documentation/filesystems/resctrl.rst` of the kernel.

use std::sync::Arc;

/// What the processor counted for a cgroup and all below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HardwareStats {
    /// Events of the processors' cores.
    pub perf: Vec<PerfCounts>,
    /// Events outside of the cores; of the root alone.
    pub uncore: Vec<UncoreCount>,
    /// Each domain of the last-level cache, by resctrl.
    pub cache_domains: Vec<CacheDomain>,
}

/// One event, as each processor counted it.
#[derive(Clone, Debug, PartialEq)]
pub struct PerfCounts {
    /// Its name, as the operator wrote it.
    pub event: Arc<str>,
    /// The number of each online processor that counts it, and its count.
    pub cpus: Vec<(u32, Scaled)>,
}

/// A count, extrapolated over the time in which the counter had to make room for others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaled {
    /// How often the event was; in its own unit.
    pub count: u64,
    /// The part of the time in which it was really counted: from 0 to 1.
    pub running_ratio: f64,
}

/// What a unit outside of the cores counted, a memory controller for example.
#[derive(Clone, Debug, PartialEq)]
pub struct UncoreCount {
    /// Its name, as the operator wrote it, without the unit's.
    pub event: Arc<str>,
    /// The unit: a directory of `/sys/bus/event_source/devices`.
    pub pmu: Arc<str>,
    /// The processor package.
    pub socket: u32,
    /// How often, and how far that is measured.
    pub count: Scaled,
}

/// A domain of the last-level cache, in `mon_data/mon_L3_<id>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheDomain {
    pub id: u32,
    /// `llc_occupancy`: cache in use, in bytes.
    pub occupancy_bytes: Option<u64>,
    /// `mbm_total_bytes`: moved to and from all memory.
    pub bandwidth_bytes: Option<u64>,
    /// `mbm_local_bytes`: moved to and from the domain's own memory.
    pub local_bandwidth_bytes: Option<u64>,
}

/// The events that an operator asks for, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerfWishes {
    /// Events of the cores, for each container.
    pub core: PerfSection,
    /// Events outside of them, for the node.
    pub uncore: PerfSection,
}

/// Events of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerfSection {
    /// Groups: what is in one is counted at the same time or not at all.
    pub groups: Vec<Vec<String>>,
    /// What the operator gives names to.
    pub custom: Vec<CustomEvent>,
}

impl PerfSection {
    /// The operator's own event of that name.
    pub fn custom(&self, name: &str) -> Option<&CustomEvent> {
        self.custom.iter().find(|event| event.name == name)
    }
}

/// An event by numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomEvent {
    pub name: String,
    /// What the kernel is asked for.
    pub code: PerfCode,
}

/// How the kernel knows an event: `type`, `config`, `config1`, `config2` of `struct perf_event_attr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PerfCode {
    /// The unit that counts it.
    pub pmu: u32,
    /// What it is to count.
    pub config: [u64; 3],
}

/// An event by name and numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerfEvent {
    /// The name that it is shown by.
    pub name: Arc<str>,
    /// What the kernel is asked for.
    pub code: PerfCode,
}

/// What is counted on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerfPlan {
    /// Groups of events of the cores.
    pub core: Vec<Vec<PerfEvent>>,
    /// Groups of events outside of them.
    pub uncore: Vec<UncoreGroup>,
    /// Names of events for which this host has no unit at all.
    pub absent: Vec<String>,
}

/// Events of one unit outside of the cores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UncoreGroup {
    pub pmu: Arc<str>,
    /// The processors that speak for it, one of each package, and their packages.
    pub cpus: Vec<(u32, u32)>,
    pub events: Vec<PerfEvent>,
}
