//! Each intended difference between the two, with its reason. Any other difference is a fault.

use crate::history::Key;
use crate::newer::NEWER;

/// A kind of difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only cAdvisor has the series, and it is 0.
    AbsentForZero,
    /// Only cAdvisor has it.
    Absent,
    /// Only the agent has it.
    More,
    /// The agent's value is this many times cAdvisor's, apart from rounding.
    Times(f64),
    /// The agent's value is not below cAdvisor's.
    AtLeast,
    /// The agent's value is not above cAdvisor's.
    AtMost,
    /// The values are unrelated.
    Other,
}

impl Kind {
    /// For the page.
    pub fn text(self) -> String {
        match self {
            Self::AbsentForZero => "absent where cAdvisor has 0".to_owned(),
            Self::Absent => "absent".to_owned(),
            Self::More => "more than cAdvisor".to_owned(),
            Self::Times(factor) => format!("{factor} times cAdvisor's"),
            Self::AtLeast => "not below cAdvisor's".to_owned(),
            Self::AtMost => "not above cAdvisor's".to_owned(),
            Self::Other => "another value".to_owned(),
        }
    }
}

/// The cgroups of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    All,
    /// The cgroup `/`.
    Root,
    /// All but `/`.
    Below,
}

#[derive(Debug)]
pub struct Rule {
    /// Names; one that ends in `*` is the beginning of names.
    pub metrics: &'static [&'static str],
    /// Labels that a series must have; alternative values are separated by `|`.
    pub labels: &'static [(&'static str, &'static str)],
    pub of: Of,
    pub kind: Kind,
    pub reason: &'static str,
    /// Whether a host may have no such series.
    pub on_some_hosts: bool,
}

impl Rule {
    pub fn is_of(&self, key: &Key) -> bool {
        let place = match self.of {
            Of::All => true,
            Of::Root => key.label("id") == "/",
            Of::Below => !matches!(key.label("id"), "" | "/"),
        };
        let labels = || self.labels.iter().all(|(k, v)| v.split('|').any(|v| key.label(k) == v));
        place && self.metrics.iter().any(|pattern| fits(pattern, &key.name)) && labels()
    }

    const fn below(mut self) -> Self {
        self.of = Of::Below;
        self
    }

    const fn root(mut self) -> Self {
        self.of = Of::Root;
        self
    }

    const fn with(mut self, labels: &'static [(&'static str, &'static str)]) -> Self {
        self.labels = labels;
        self
    }

    const fn on_some_hosts(mut self) -> Self {
        self.on_some_hosts = true;
        self
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

const fn rule(metrics: &'static [&'static str], kind: Kind, reason: &'static str) -> Rule {
    Rule { metrics, labels: &[], of: Of::All, kind, reason, on_some_hosts: false }
}

/// The first rule that fits the series and the difference applies.
pub const RULES: &[Rule] = &[
    rule(&["go_*"], Kind::Absent, "the agent is no Go program"),
    rule(&["process_*"], Kind::Other, "each program reports itself"),
    rule(&["process_virtual_memory_max_bytes"], Kind::Absent, "it has no value on a host with the usual limits"),
    rule(&["process_threads"], Kind::More, "the agent's own"),
    rule(&["cgtap_*"], Kind::More, "the agent's own"),
    rule(
        &["container_cpu_load_average_10s", "container_tasks_state"],
        Kind::AbsentForZero,
        "only the load reader counts these, and it is off by default in both",
    ),
    rule(
        &["machine_nvm_avg_power_budget_watts", "machine_nvm_capacity"],
        Kind::AbsentForZero,
        "NVDIMMs need a library that neither is built with",
    ),
    rule(
        &["container_cpu_schedstat_*"],
        Kind::AtLeast,
        "the agent counts all threads; cAdvisor reads the first of each process",
    ),
    rule(
        &["container_cpu_schedstat_*"],
        Kind::AtMost,
        "cAdvisor keeps what a process of the host had counted when it ended",
    )
    .root()
    .on_some_hosts(),
    rule(
        &["container_file_descriptors", "container_processes", "container_sockets", "container_referenced_bytes"],
        Kind::AtLeast,
        "the agent also counts the processes of the cgroups below, as for every other number of a cgroup",
    ),
    rule(
        &["container_memory_failures_total"],
        Kind::AtLeast,
        "the agent also counts the faults of the cgroups below; cAdvisor has those of the cgroup alone for both scopes",
    )
    .with(&[("scope", "hierarchy")]),
    rule(
        &["container_start_time_seconds"],
        Kind::AtMost,
        "the time when the cgroup was made; cAdvisor takes the time of a file in it, which the kernel sets at the first access",
    ),
    rule(&["container_threads", "container_threads_max"], Kind::AbsentForZero, "the root has no `pids.*`").root(),
    rule(
        &["container_network_advance_tcp_stats_total"],
        Kind::Absent,
        "the kernel has -1, which means no limit",
    )
    .with(&[("tcp_state", "maxconn")])
    .on_some_hosts(),
    rule(
        &["container_network_tcp*", "container_network_udp*", "container_network_advance_tcp_stats_total"],
        Kind::AbsentForZero,
        "a cgroup in the host's network, or below the pod that has one, has no sockets of its own to count",
    )
    .below(),
    rule(
        &["container_network_advance_tcp_stats_total"],
        Kind::AbsentForZero,
        "this kernel does not count it; absent is not 0",
    )
    .root()
    .on_some_hosts(),
    rule(
        &["container_network_advance_tcp_stats_total"],
        Kind::More,
        "the agent has all counters of the kernel; cAdvisor has a list that is older than the kernel",
    )
    .on_some_hosts(),
    rule(
        &["container_network_advance_tcp_stats_total", "container_network_tcp*", "container_network_udp*"],
        Kind::AtLeast,
        "a pod's or container's network is found through its processes; cAdvisor has 0 where no runtime knows it",
    )
    .below(),
    rule(
        &["container_network_receive_*", "container_network_transmit_*"],
        Kind::More,
        "a pod's or container's network is found through its processes; cAdvisor has none where no runtime knows it",
    )
    .below(),
    rule(&["container_network_host"], Kind::More, "whether a pod is in the host's network").below(),
    rule(
        &["container_ulimits_soft"],
        Kind::More,
        "the limits of the first process of each cgroup; cAdvisor has it where a runtime knows the process",
    )
    .below(),
    rule(
        &[
            "container_fs_io_time_seconds_total",
            "container_fs_io_time_weighted_seconds_total",
            "container_fs_read_seconds_total",
            "container_fs_write_seconds_total",
        ],
        Kind::Times(1e6),
        "seconds; cAdvisor divides the kernel's milliseconds as if they were nanoseconds",
    )
    .on_some_hosts(),
    rule(
        &["container_fs_*"],
        Kind::Absent,
        "a container's file system, or a part of a disk without a file system",
    )
    .root()
    .on_some_hosts(),
    rule(
        &[
            "container_fs_inodes_*",
            "container_fs_io_current",
            "container_fs_io_time_*",
            "container_fs_limit_bytes",
            "container_fs_read_seconds_total",
            "container_fs_reads_merged_total",
            "container_fs_sector_*",
            "container_fs_usage_bytes",
            "container_fs_write_seconds_total",
            "container_fs_writes_merged_total",
        ],
        Kind::Absent,
        "cAdvisor has here the host's count of the whole disk under the container",
    )
    .below()
    .on_some_hosts(),
    rule(&NEWER_NAMES, Kind::More, "a newer cAdvisor has it too, see below"),
    rule(OWN_NAMES, Kind::More, "the kernel has it and cAdvisor does not"),
];

/// Names that no version of cAdvisor has.
const OWN_NAMES: &[&str] = &[
    "container_cgroup_descendants",
    "container_cgroup_dying_descendants",
    "container_fs_discards_*",
    "container_memory_active_anon_bytes",
    "container_memory_anon_thp_bytes",
    "container_memory_inactive_anon_bytes",
    "container_memory_shmem_bytes",
    "container_memory_swapcached_bytes",
    "container_memory_unevictable_bytes",
    "container_threads_limit_events_total",
    "container_threads_peak",
];

/// The names of [`NEWER`].
const NEWER_NAMES: [&str; NEWER.len()] = {
    let mut names = [""; NEWER.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = NEWER[at].0;
        at += 1;
    }
    names
};

/// Labels that differ between the two.
pub struct LabelRule {
    pub metrics: &'static str,
    pub labels: &'static [&'static str],
    /// Only this value; else any.
    pub value: Option<&'static str>,
    pub reason: &'static str,
    pub on_some_hosts: bool,
}

pub const LABELS: &[LabelRule] = &[
    LabelRule {
        metrics: "*",
        labels: &["*"],
        value: Some(""),
        reason: "an empty label is left out; to Prometheus it is the same as no label",
        on_some_hosts: false,
    },
    LabelRule {
        metrics: "container_*",
        labels: &["container_id", "pod_uid", "qos_class", "runtime"],
        value: None,
        reason: "the agent reads them from the cgroup's path, without a runtime",
        on_some_hosts: false,
    },
    LabelRule {
        metrics: "machine_*",
        labels: &["system_uuid"],
        value: None,
        reason: "where the firmware has no UUID, cAdvisor shows the machine's id; the agent leaves the label out",
        on_some_hosts: true,
    },
    LabelRule {
        metrics: "cadvisor_version_info",
        labels: &["cadvisorRevision", "cadvisorVersion", "dockerVersion", "machine_id", "boot_id"],
        value: None,
        reason: "each has its own version; the agent does not ask Docker",
        on_some_hosts: false,
    },
];

/// Whether a label is ignored when two series are compared.
pub fn drops_label(metric: &str, label: &str, value: &str) -> bool {
    label_rule(metric, label, value).is_some()
}

/// The rule that removes a label.
pub fn label_rule(metric: &str, label: &str, value: &str) -> Option<usize> {
    LABELS.iter().position(|rule| {
        fits(rule.metrics, metric)
            && rule.labels.iter().any(|pattern| fits(pattern, label))
            && rule.value.is_none_or(|wanted| wanted == value)
    })
}
