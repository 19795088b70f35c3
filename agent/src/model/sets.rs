//! The metric sets that an operator turns on and off, named as in cAdvisor's `-enable_metrics`, `-disable_metrics`.

use std::fmt;

use super::named;

named! {
    /// A group of metrics.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum MetricSet {
        /// TCP statistics of `/proc/<pid>/net/netstat` and `snmp`.
        AdvancedTcp = "advtcp",
        /// Metrics that containers serve themselves.
        App = "app",
        /// `cadvisor_version_info`, for dashboards that ask for it. Ours.
        CadvisorVersion = "cadvisor_version",
        /// What v2 shows of a cgroup beside the other sets: cgroups below it, niced time, interrupts, discards. Ours.
        CgroupDetail = "cgroup_detail",
        /// Processor time.
        Cpu = "cpu",
        /// Load averages.
        CpuLoad = "cpuLoad",
        /// The host's processor topology.
        CpuTopology = "cpu_topology",
        /// `cpuset.memory_migrate`.
        Cpuset = "cpuset",
        /// File system sizes.
        Disk = "disk",
        /// Transfers by block device.
        DiskIo = "diskIO",
        /// Huge pages.
        Hugetlb = "hugetlb",
        /// Memory and swap.
        Memory = "memory",
        /// Further lines of `memory.stat`, and the peak of swap. Ours.
        MemoryDetail = "memory_detail",
        /// How often memory and swap limits were met, of all below and of the cgroup alone (v2). Ours.
        MemoryEvents = "memory_events",
        /// Memory by NUMA node.
        MemoryNuma = "memory_numa",
        /// Network interfaces.
        Network = "network",
        /// OOM kills.
        OomEvent = "oom_event",
        /// Processor time by CPU instead of one total (cgroup v1 only).
        PerCpu = "percpu",
        /// Hardware performance counters.
        PerfEvent = "perf_event",
        /// Stall times (cgroup v2 only).
        Pressure = "pressure",
        /// Tasks and their limits.
        Process = "process",
        /// Pages referenced in an interval.
        ReferencedMemory = "referenced_memory",
        /// Cache and memory bandwidth monitoring.
        Resctrl = "resctrl",
        /// Run queue times.
        Sched = "sched",
        /// TCP connections by state.
        Tcp = "tcp",
        /// UDP sockets.
        Udp = "udp",
        /// Descriptions of systemd units. Ours.
        UnitInfo = "unit_info",
    }
}

impl MetricSet {
    /// Whether cAdvisor has no set of that name.
    #[cfg(test)]
    pub const fn is_ours(self) -> bool {
        matches!(
            self,
            Self::CadvisorVersion
                | Self::CgroupDetail
                | Self::MemoryDetail
                | Self::MemoryEvents
                | Self::UnitInfo
        )
    }

    /// Whether it is on when no flag says otherwise, as in cAdvisor.
    pub const fn is_default(self) -> bool {
        matches!(
            self,
            Self::App
                | Self::Cpu
                | Self::CpuLoad
                | Self::Disk
                | Self::DiskIo
                | Self::Memory
                | Self::Network
                | Self::OomEvent
                | Self::PerCpu
                | Self::PerfEvent
                | Self::Pressure
        )
    }
}

/// Which sets are on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MetricSets(u32);

/// Why a list of sets is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricSetsError {
    /// A name that is no set.
    #[error("unknown metric set {name:?}: wanted one of {}", MetricSet::NAMES.join(", "))]
    Unknown {
        /// The name as given.
        name: String,
    },
    /// One list turns the set on, the other off.
    #[error("metric set {} is both enabled and disabled: wanted one of the two", set.as_str())]
    Both { set: MetricSet },
}

impl MetricSets {
    /// No set at all.
    pub const fn none() -> Self {
        Self(0)
    }

    #[cfg(test)]
    pub const fn all() -> Self {
        Self((1 << MetricSet::ALL.len()) - 1)
    }

    /// The defaults with the sets of one comma list turned on and those of another turned off. Empty lists and
    /// blanks around names are fine. Unlike cAdvisor's flags, a list changes nothing that it does not name.
    ///
    /// # Errors
    /// For a name that is no set, and for a set in both lists.
    pub fn parse(enable: &str, disable: &str) -> Result<Self, MetricSetsError> {
        let sets =
            |list| MetricSet::bits_of(list).map(Self).map_err(|name| MetricSetsError::Unknown { name });
        let (on, off) = (sets(enable)?, sets(disable)?);
        if let Some(set) = MetricSet::ALL.into_iter().find(|&set| on.has(set) && off.has(set)) {
            return Err(MetricSetsError::Both { set });
        }
        Ok(Self((Self::default().0 | on.0) & !off.0))
    }

    /// Whether a set is on.
    pub const fn has(self, set: MetricSet) -> bool {
        self.0 & set.bit() != 0
    }

    /// Whether one of these sets is on.
    pub fn has_any(self, sets: &[MetricSet]) -> bool {
        sets.iter().any(|&set| self.has(set))
    }

    /// The same with one more set on.
    pub const fn with(self, set: MetricSet) -> Self {
        Self(self.0 | set.bit())
    }

    /// The same with one set off.
    pub const fn without(self, set: MetricSet) -> Self {
        Self(self.0 & !set.bit())
    }

    /// The sets that are on.
    pub fn iter(self) -> impl Iterator<Item = MetricSet> {
        MetricSet::ALL.into_iter().filter(move |&set| self.has(set))
    }
}

impl Default for MetricSets {
    fn default() -> Self {
        MetricSet::ALL.into_iter().filter(|set| set.is_default()).fold(Self::none(), Self::with)
    }
}

impl fmt::Debug for MetricSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(MetricSet::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sets: MetricSets) -> String {
        sets.iter().map(MetricSet::as_str).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn the_defaults_are_cadvisors() {
        let wanted = "app,cpu,cpuLoad,disk,diskIO,memory,network,oom_event,percpu,perf_event,pressure";
        assert_eq!(names(MetricSets::default()), wanted);
        assert_eq!(MetricSets::parse("", ""), Ok(MetricSets::default()));
    }

    #[test]
    fn lists_change_only_what_they_name() {
        let sets = MetricSets::parse(" process ,tcp,", "percpu").unwrap();
        let wanted =
            MetricSets::default().with(MetricSet::Process).with(MetricSet::Tcp).without(MetricSet::PerCpu);
        assert_eq!(sets, wanted);
        assert!(!sets.has(MetricSet::Hugetlb), "cAdvisor's -disable_metrics would have turned it on");
    }

    #[test]
    fn unknown_names_are_refused_with_the_allowed_ones() {
        let error = MetricSets::parse("cpu,Memory", "").unwrap_err().to_string();
        assert!(
            error.starts_with("unknown metric set \"Memory\": wanted one of advtcp, app, cadvisor_version,"),
            "{error}"
        );
        assert!(error.ends_with("udp, unit_info"), "{error}");
        assert!(MetricSets::parse("", "nope").is_err());
    }

    #[test]
    fn a_set_in_both_lists_is_refused() {
        let error = MetricSets::parse("cpu,disk", "disk").unwrap_err().to_string();
        assert_eq!(error, "metric set disk is both enabled and disabled: wanted one of the two");
    }

    #[test]
    fn every_set_has_its_own_name_and_bit() {
        assert_eq!(MetricSets::all().iter().count(), MetricSet::ALL.len());
        assert!(MetricSet::ALL.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()));
    }
}
