//! The metric sets that an operator turns on and off, named as in cAdvisor's `-enable_metrics`, `-disable_metrics`.

use std::fmt;

/// A group of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MetricSet {
    /// Metrics that containers serve themselves.
    App,
    /// TCP statistics of `/proc/<pid>/net/netstat` and `snmp`.
    AdvancedTcp,
    /// `cadvisor_version_info`, for dashboards that ask for it. Ours.
    CadvisorVersion,
    /// What v2 tells of a cgroup besides the other sets: cgroups below it, niced time, interrupts, discards. Ours.
    CgroupDetail,
    /// Processor time.
    Cpu,
    /// Load averages.
    CpuLoad,
    /// The host's processor topology.
    CpuTopology,
    /// `cpuset.memory_migrate`.
    Cpuset,
    /// File system sizes.
    Disk,
    /// Transfers by block device.
    DiskIo,
    /// Huge pages.
    Hugetlb,
    /// Memory and swap.
    Memory,
    /// Further lines of `memory.stat`, and the peak of swap. Ours.
    MemoryDetail,
    /// How often memory and swap limits were met, of all below and of the cgroup alone (v2). Ours.
    MemoryEvents,
    /// Memory by NUMA node.
    MemoryNuma,
    /// Network interfaces.
    Network,
    /// OOM kills.
    OomEvent,
    /// Processor time by CPU instead of one total (cgroup v1 only).
    PerCpu,
    /// Hardware performance counters.
    PerfEvent,
    /// Stall times (cgroup v2 only).
    Pressure,
    /// Tasks and their limits.
    Process,
    /// Pages referenced in an interval.
    ReferencedMemory,
    /// Cache and memory bandwidth monitoring.
    Resctrl,
    /// Run queue times.
    Sched,
    /// TCP connections by state.
    Tcp,
    /// UDP sockets.
    Udp,
    /// Descriptions of systemd units. Ours.
    UnitInfo,
}

impl MetricSet {
    /// All sets, in the order of their names.
    pub const ALL: [Self; 27] = [
        Self::AdvancedTcp,
        Self::App,
        Self::CadvisorVersion,
        Self::CgroupDetail,
        Self::Cpu,
        Self::CpuLoad,
        Self::CpuTopology,
        Self::Cpuset,
        Self::Disk,
        Self::DiskIo,
        Self::Hugetlb,
        Self::Memory,
        Self::MemoryDetail,
        Self::MemoryEvents,
        Self::MemoryNuma,
        Self::Network,
        Self::OomEvent,
        Self::PerCpu,
        Self::PerfEvent,
        Self::Pressure,
        Self::Process,
        Self::ReferencedMemory,
        Self::Resctrl,
        Self::Sched,
        Self::Tcp,
        Self::Udp,
        Self::UnitInfo,
    ];

    /// cAdvisor's name, or ours.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AdvancedTcp => "advtcp",
            Self::App => "app",
            Self::CadvisorVersion => "cadvisor_version",
            Self::CgroupDetail => "cgroup_detail",
            Self::Cpu => "cpu",
            Self::CpuLoad => "cpuLoad",
            Self::CpuTopology => "cpu_topology",
            Self::Cpuset => "cpuset",
            Self::Disk => "disk",
            Self::DiskIo => "diskIO",
            Self::Hugetlb => "hugetlb",
            Self::Memory => "memory",
            Self::MemoryDetail => "memory_detail",
            Self::MemoryEvents => "memory_events",
            Self::MemoryNuma => "memory_numa",
            Self::Network => "network",
            Self::OomEvent => "oom_event",
            Self::PerCpu => "percpu",
            Self::PerfEvent => "perf_event",
            Self::Pressure => "pressure",
            Self::Process => "process",
            Self::ReferencedMemory => "referenced_memory",
            Self::Resctrl => "resctrl",
            Self::Sched => "sched",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::UnitInfo => "unit_info",
        }
    }

    /// Whether this agent has any metric of the set; the other names are accepted so that cAdvisor's flags work.
    #[cfg(test)]
    pub const fn is_served(self) -> bool {
        matches!(
            self,
            Self::AdvancedTcp
                | Self::CadvisorVersion
                | Self::CgroupDetail
                | Self::Cpu
                | Self::CpuLoad
                | Self::CpuTopology
                | Self::Cpuset
                | Self::Disk
                | Self::DiskIo
                | Self::Hugetlb
                | Self::Memory
                | Self::MemoryDetail
                | Self::MemoryEvents
                | Self::MemoryNuma
                | Self::Network
                | Self::OomEvent
                | Self::PerCpu
                | Self::PerfEvent
                | Self::Pressure
                | Self::Process
                | Self::ReferencedMemory
                | Self::Resctrl
                | Self::Sched
                | Self::Tcp
                | Self::Udp
                | Self::UnitInfo
        )
    }

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
    #[must_use]
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

    fn from_name(name: &str) -> Result<Self, MetricSetsError> {
        let known = Self::ALL.into_iter().find(|set| set.as_str() == name);
        known.ok_or_else(|| MetricSetsError::Unknown { name: name.to_owned() })
    }

    const fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

impl fmt::Display for MetricSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which sets are on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MetricSets(u32);

/// Why a list of sets is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricSetsError {
    /// A name that is no set.
    #[error("unknown metric set {name:?}: wanted one of {}", allowed())]
    Unknown {
        /// The name as given.
        name: String,
    },
    /// One list turns the set on, the other off.
    #[error("metric set {set} is both enabled and disabled: wanted one of the two")]
    Both {
        /// The set.
        set: MetricSet,
    },
}

fn allowed() -> String {
    MetricSet::ALL.map(MetricSet::as_str).join(", ")
}

impl MetricSets {
    /// No set at all.
    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// Every set.
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
        let (on, off) = (parse_list(enable)?, parse_list(disable)?);
        if let Some(set) = MetricSet::ALL.into_iter().find(|&set| on.has(set) && off.has(set)) {
            return Err(MetricSetsError::Both { set });
        }
        Ok(Self((Self::default().0 | on.0) & !off.0))
    }

    /// Whether a set is on.
    #[must_use]
    pub const fn has(self, set: MetricSet) -> bool {
        self.0 & set.bit() != 0
    }

    /// The same with one more set on.
    #[must_use]
    pub const fn with(self, set: MetricSet) -> Self {
        Self(self.0 | set.bit())
    }

    /// The same with one set off.
    #[cfg(test)]
    pub const fn without(self, set: MetricSet) -> Self {
        Self(self.0 & !set.bit())
    }

    /// The sets that are on.
    pub fn iter(self) -> impl Iterator<Item = MetricSet> {
        MetricSet::ALL.into_iter().filter(move |&set| self.has(set))
    }
}

fn parse_list(list: &str) -> Result<MetricSets, MetricSetsError> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(MetricSet::from_name).try_fold(MetricSets::none(), |sets, set| Ok(sets.with(set?)))
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
