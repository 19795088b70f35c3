//! What happened: as the kernel reports it, and as the log keeps it.

use std::sync::Arc;
use std::time::SystemTime;

use super::{CgroupKey, CgroupPath, CgroupStats, EventNames, Identity, IoDeviceStats, OomReport, named};

named! {
    /// Where a fact came from: the rungs of both ladders, best first.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Source {
        /// BPF programs at the entry of `oom_kill_process`, which know the decision, and on `mark_victim`.
        Fentry = "fentry",
        /// The same, with a kprobe at the entry.
        Kprobe = "kprobe",
        /// A BPF program on a BTF-typed tracepoint.
        TpBtf = "tp_btf",
        /// A BPF program on a classic tracepoint.
        Tracepoint = "tracepoint",
        /// `memory.events` of v2, watched by inotify.
        MemoryEvents = "memory_events",
        /// `memory.oom_control` of v1, watched by eventfd.
        OomControl = "oom_control",
        /// The kernel log, `/dev/kmsg`.
        Kmsg = "kmsg",
        /// The directories of the cgroup file systems, watched by inotify.
        Inotify = "inotify",
        /// A look at the cgroup file systems.
        Walk = "walk",
        /// What the kernel still knew of the time when no agent ran.
        Recovered = "recovered",
        /// The agent itself.
        Agent = "agent",
    }
}

/// Which rung a setting asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RungChoice {
    /// The best that this host allows.
    Auto,
    /// This rung or none.
    Only(Source),
    /// No BPF program.
    None,
}

/// Which rungs the settings ask for.
#[derive(Clone, Copy, Debug)]
pub struct RungChoices {
    /// `--lifecycle-source`.
    pub lifecycle: RungChoice,
    /// `--oom-source`.
    pub oom: RungChoice,
}

/// A kernel event about a cgroup's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleEvent {
    /// When the kernel did it.
    pub time: SystemTime,
    /// Which hook saw it.
    pub source: Source,
    pub key: CgroupKey,
    /// The directory above, from a rung that does not know the path; then `path` is empty and cut.
    pub parent: Option<CgroupKey>,
    /// Depth below the hierarchy's root.
    pub level: u32,
    /// Its path; for a rename the new one.
    pub path: CgroupPath,
    /// Whether the path was cut at the kernel's limit; then only the key is sure.
    pub path_cut: bool,
    /// What happened to it.
    pub kind: LifecycleKind,
}

/// Cgroup events of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupEvents {
    /// In the kernel's order.
    pub events: Vec<LifecycleEvent>,
    /// How often the kernel dropped events on the way, without a count of them.
    pub overflows: u64,
    /// Directories that were gone before more than their name was known.
    pub unseen: u64,
}

/// What happened to a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifecycleKind {
    /// `cgroup_mkdir`.
    Created,
    /// `cgroup_rmdir`.
    Removed,
    /// `cgroup_rename` (v1 only).
    Renamed,
    /// `cgroup_notify_populated`: the first process came (`true`) or the last went (`false`).
    Populated(bool),
}

/// A cgroup as an event names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupRef {
    pub path: CgroupPath,
    /// Its directory in the hierarchy that reported it.
    pub key: Option<CgroupKey>,
    /// Whether the path was cut at the kernel's limit.
    pub path_cut: bool,
}

named! {
    /// Which events are forced to the disk before they are served.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum EventSync {
        /// Each.
        All = "all",
        /// OOM kills.
        OomKill = "oom_kill",
        /// None; the kernel writes them when it does.
        None = "none",
    }
}

/// An event before it has a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDraft {
    pub time: SystemTime,
    /// The rung that reported it.
    pub source: Source,
    /// The cgroup it is about.
    pub cgroup: Option<CgroupRef>,
    /// Whose cgroup that is.
    pub identity: Option<Arc<Identity>>,
    /// What is known of its container and pod.
    pub names: EventNames,
    pub kind: EventKind,
}

/// One record of the event log. It never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number, without a gap.
    pub seq: u64,
    /// All else.
    pub draft: EventDraft,
}

/// What happened, with the facts of that kind alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A cgroup came to be, in its first hierarchy.
    CgroupCreated {
        /// The path it had before, for a rename.
        renamed_from: Option<CgroupPath>,
    },
    /// A cgroup is gone from its last hierarchy.
    CgroupRemoved,
    /// The first process came into a container's cgroup.
    ContainerStarted,
    /// The last process left a container's cgroup.
    ContainerExited {
        /// What it used in all, where it could be read before its directory went. Boxed, as kills are.
        last_sample: Option<Box<ExitSample>>,
    },
    /// The kernel killed a process for memory. Boxed: it is many times as large as any other kind, and rare.
    OomKill(Box<OomReport>),
    /// Something happened that is not reported, or may have: the agent could not read it.
    KernelLost {
        /// How many records the kernel dropped, as the programs counted; a walk follows. `None` at a start without what the
        /// previous agent should have left.
        records: Option<u64>,
    },
    AgentStarted {
        /// `CARGO_PKG_VERSION`.
        version: &'static str,
        /// Why it began, where that is known.
        reason: Option<StartReason>,
        /// Cgroups found by the first walk.
        cgroups: u64,
    },
}

named! {
    /// Why an agent begins, by the state that the one before it left.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum StartReason {
        /// There was none.
        FirstStart = "first_start",
        /// It was asked to end, and did.
        Restart = "restart",
        /// It did not end in order.
        Crash = "crash",
        /// The machine started anew meanwhile.
        Reboot = "reboot",
    }
}

/// What a container used from its beginning to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExitSample {
    pub cpu_usage_nsec: Option<u64>,
    /// Of it in user mode; v1 counts it in ticks of 10 ms.
    pub cpu_user_nsec: Option<u64>,
    /// Of it in the kernel, likewise.
    pub cpu_system_nsec: Option<u64>,
    /// The most memory that was charged to it at once (v2: since 5.19).
    pub memory_peak_bytes: Option<u64>,
    /// Read from block devices.
    pub io_read_bytes: Option<u64>,
    /// Written to block devices.
    pub io_write_bytes: Option<u64>,
    /// Requests to read.
    pub io_reads: Option<u64>,
    /// Requests to write.
    pub io_writes: Option<u64>,
    /// OOM kills of its processes that were reported.
    pub oom_kills: u64,
}

impl ExitSample {
    /// The parts of a cgroup's last counters that are sums over its life.
    pub fn of(stats: &CgroupStats, oom_kills: u64) -> Self {
        let cpu = stats.cpu.as_ref();
        let sum = |field: fn(&IoDeviceStats) -> Option<u64>| -> Option<u64> {
            Some(stats.io.as_ref()?.iter().filter_map(field).fold(0, u64::saturating_add))
        };
        Self {
            cpu_usage_nsec: cpu.and_then(|cpu| cpu.usage_nsec),
            cpu_user_nsec: cpu.and_then(|cpu| cpu.user_nsec),
            cpu_system_nsec: cpu.and_then(|cpu| cpu.system_nsec),
            memory_peak_bytes: stats.memory.as_ref().and_then(|memory| memory.peak_bytes),
            io_read_bytes: sum(|device| device.read_bytes),
            io_write_bytes: sum(|device| device.write_bytes),
            io_reads: sum(|device| device.reads),
            io_writes: sum(|device| device.writes),
            oom_kills,
        }
    }
}

impl EventKind {
    /// The `type` in JSON and in the `types` filter.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::CgroupCreated { .. } => "cgroup_created",
            Self::CgroupRemoved => "cgroup_removed",
            Self::ContainerStarted => "container_started",
            Self::ContainerExited { .. } => "container_exited",
            Self::OomKill(_) => Self::OOM_KILL,
            Self::KernelLost { .. } => Self::LOST,
            Self::AgentStarted { .. } => "agent_started",
        }
    }

    /// The `type` of an OOM kill.
    pub const OOM_KILL: &'static str = "oom_kill";

    /// The `type` of what was lost.
    pub const LOST: &'static str = "lost";

    /// All names of [`EventKind::type_name`].
    pub const TYPE_NAMES: [&'static str; 7] = [
        "cgroup_created",
        "cgroup_removed",
        "container_started",
        "container_exited",
        Self::OOM_KILL,
        Self::LOST,
        "agent_started",
    ];
}
