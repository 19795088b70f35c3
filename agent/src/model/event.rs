//! What happened: as the kernel says it, and as the log keeps it.

use std::sync::Arc;
use std::time::SystemTime;

use super::{CgroupKey, CgroupPath, Identity};

/// Where a fact came from: the rungs of the ladder, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A BPF program on a BTF-typed tracepoint.
    TpBtf,
    /// A BPF program on a classic tracepoint.
    Tracepoint,
    /// A look at the cgroup file systems.
    Walk,
    /// The agent itself.
    Agent,
}

impl Source {
    /// The name in events, metrics and settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TpBtf => "tp_btf",
            Self::Tracepoint => "tracepoint",
            Self::Walk => "walk",
            Self::Agent => "agent",
        }
    }
}

/// A kernel event about a cgroup's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleEvent {
    /// When the kernel did it.
    pub time: SystemTime,
    /// Which hook saw it.
    pub source: Source,
    /// Which directory.
    pub key: CgroupKey,
    /// Depth below the hierarchy's root.
    pub level: u32,
    /// Its path; for a rename the new one.
    pub path: CgroupPath,
    /// Whether the path was cut at the kernel's limit; then only the key is sure.
    pub path_cut: bool,
    /// What happened to it.
    pub kind: LifecycleKind,
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

/// A kernel OOM kill of one process, as `mark_victim` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomKill {
    /// When the kernel marked the victim.
    pub time: SystemTime,
    /// Which hook saw it.
    pub source: Source,
    /// The victim's memory cgroup; `None` where the hook cannot tell it.
    pub cgroup: Option<CgroupKey>,
    /// The victim.
    pub victim: Victim,
}

/// A process that the kernel killed for memory. What this kernel does not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Victim {
    /// Thread id that was marked.
    pub pid: u32,
    /// Process id (thread group).
    pub tgid: Option<u32>,
    /// Command name, at most 15 bytes; not always UTF-8.
    pub comm: Option<Vec<u8>>,
    /// User id in the initial user namespace.
    pub uid: Option<u32>,
    /// `/proc/<pid>/oom_score_adj`.
    pub oom_score_adj: Option<i16>,
    /// Address space.
    pub total_vm_bytes: Option<u64>,
    /// Anonymous pages in memory.
    pub anon_rss_bytes: Option<u64>,
    /// File pages in memory.
    pub file_rss_bytes: Option<u64>,
    /// Shared memory in memory.
    pub shmem_rss_bytes: Option<u64>,
    /// Page tables.
    pub pgtables_bytes: Option<u64>,
}

/// A cgroup as an event names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupRef {
    /// Its path.
    pub path: CgroupPath,
    /// Its directory in the hierarchy that told of it.
    pub key: Option<CgroupKey>,
    /// Whether the path was cut at the kernel's limit.
    pub path_cut: bool,
}

/// One record of the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number, without a gap.
    pub seq: u64,
    /// When it happened.
    pub time: SystemTime,
    /// The rung that told of it.
    pub source: Source,
    /// The cgroup it is about.
    pub cgroup: Option<CgroupRef>,
    /// Whose cgroup that is.
    pub identity: Option<Arc<Identity>>,
    /// What happened.
    pub kind: EventKind,
}

/// What happened, with what only that kind tells.
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
    ContainerExited,
    /// The kernel killed a process for memory. Boxed: it is four times as large as any other kind, and rare.
    OomKill(Box<Victim>),
    /// Kernel records were dropped before the agent could read them; a walk follows.
    KernelLost {
        /// How many, as the programs counted.
        records: u64,
    },
    /// The agent began.
    AgentStarted {
        /// `CARGO_PKG_VERSION`.
        version: &'static str,
        /// Cgroups found by the first walk.
        cgroups: u64,
    },
}

impl EventKind {
    /// The `type` in JSON and in the `types` filter.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::CgroupCreated { .. } => "cgroup_created",
            Self::CgroupRemoved => "cgroup_removed",
            Self::ContainerStarted => "container_started",
            Self::ContainerExited => "container_exited",
            Self::OomKill(_) => "oom_kill",
            Self::KernelLost { .. } => "lost",
            Self::AgentStarted { .. } => "agent_started",
        }
    }

    /// All names of [`EventKind::type_name`].
    pub const TYPE_NAMES: [&'static str; 7] = [
        "cgroup_created",
        "cgroup_removed",
        "container_started",
        "container_exited",
        "oom_kill",
        "lost",
        "agent_started",
    ];
}
