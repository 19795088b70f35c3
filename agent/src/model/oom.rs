//! An OOM kill: the kernel's decision, and the process that it cost.
//!
//! The kernel decides in `oom_kill_process` (`mm/oom_kill.c`) and marks each process that it kills for this decision. What
//! a rung does not know is `None`, never 0.

use std::time::{Duration, SystemTime};

use super::{CgroupKey, CgroupPath, Limit, Source, named};

/// A kernel OOM kill of one process, as a rung reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomKill {
    /// When the kernel marked the victim.
    pub time: SystemTime,
    /// Which rung saw it.
    pub source: Source,
    /// The victim's memory cgroup; `None` where the rung does not know it.
    pub cgroup: Option<CgroupKey>,
    /// Its path, from a rung that knows paths and no keys.
    pub path: Option<CgroupPath>,
    pub victim: Victim,
    /// Why, and whose limit it was.
    pub decision: Decision,
}

/// What was read of the kernel log, and after that of the kernel's count of kills.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogBatch {
    /// In the order of the log. Those from before this agent have the log's own time and the source [`Source::Recovered`], the
    /// others the time when they were read.
    pub kills: Vec<OomKill>,
    /// How often records that were written since the log was opened were overwritten before they were read.
    pub overruns: u64,
    /// With this batch everything from before this agent has been read; whether nothing of interest was overwritten.
    pub caught_up: Option<bool>,
    /// The last record that was read, once everything from before this agent has been.
    pub last_sequence: Option<u64>,
    /// The log cannot be read, or not any more.
    pub log_ended: bool,
    /// `oom_kill` of `/proc/vmstat`, read after the log was read to its end. The kernel counts before it writes its line.
    pub kernel_kills: Option<u64>,
}

/// A kill, and what `/proc` has of its process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedUp {
    /// The kill, with what was found of its victim.
    pub kill: OomKill,
    /// The process's memory cgroup.
    pub path: Option<CgroupPath>,
    /// Whether the process id comes from `/proc` and not from the kernel's record.
    pub found_tgid: bool,
}

/// A process that the kernel killed for memory. What this kernel does not report is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Victim {
    /// Thread id that was marked; `None` where the rung saw only that a process was killed.
    pub pid: Option<u32>,
    /// Process id (thread group).
    pub tgid: Option<u32>,
    /// Command name, at most 15 bytes; not always UTF-8.
    pub comm: Option<Vec<u8>>,
    /// User id in the initial user namespace.
    pub uid: Option<u32>,
    /// `/proc/<pid>/oom_score_adj`.
    pub oom_score_adj: Option<i16>,
    pub total_vm_bytes: Option<u64>,
    /// Anonymous pages in memory.
    pub anon_rss_bytes: Option<u64>,
    /// File pages in memory.
    pub file_rss_bytes: Option<u64>,
    /// Shared memory in memory.
    pub shmem_rss_bytes: Option<u64>,
    pub swap_bytes: Option<u64>,
    pub pgtables_bytes: Option<u64>,
}

named! {
    /// Which allocations a kernel OOM decision is about: the numbers and names of `enum oom_constraint`
    /// (`include/linux/oom.h`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Constraint {
        /// `CONSTRAINT_NONE`: the whole machine is out of memory.
        None = "none",
        /// `CONSTRAINT_CPUSET`: the memory nodes of a cpuset.
        Cpuset = "cpuset",
        /// `CONSTRAINT_MEMORY_POLICY`: the memory nodes of a policy.
        MemoryPolicy = "memory_policy",
        /// `CONSTRAINT_MEMCG`: the limit of a memory cgroup.
        Memcg = "memcg",
    }
}

/// What is known of the decision that cost a process its life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The same for all victims of one decision, and for no other of this boot.
    pub incident: Option<u64>,
    pub constraint: Option<Constraint>,
    /// The cgroup whose limit was met; with [`Constraint::Memcg`] only.
    pub owner: Option<LimitOwner>,
    /// The process that asked for memory when there was none.
    pub trigger: Option<Trigger>,
    /// Whether all processes of a cgroup go together (`memory.oom.group`).
    pub group_kill: Option<bool>,
}

named! {
    /// What the cgroup whose limit was met is on a container host.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum OwnerKind {
        /// A container, or a cgroup inside one.
        Container = "container",
        /// A pod: all its containers share the limit.
        Pod = "pod",
        /// A class of pods.
        Qos = "qos",
        /// Any other cgroup: a slice, a service.
        Slice = "slice",
        /// The whole machine.
        Node = "node",
    }
}

/// The cgroup whose limit was met, at the moment of the decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitOwner {
    /// Its directory, from a rung that knows ids.
    pub key: Option<CgroupKey>,
    /// Its path, from a rung that knows paths, or from the registry.
    pub path: Option<CgroupPath>,
    /// What it is on a container host, by its path.
    pub kind: Option<OwnerKind>,
    /// Memory charged to it and to what lies below.
    pub usage_bytes: Option<u64>,
    pub limit: Option<Limit>,
    /// Swap charged to it and to what lies below.
    pub swap_usage_bytes: Option<u64>,
}

/// The process that asked for memory when there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trigger {
    /// Process id (thread group).
    pub pid: Option<u32>,
    pub comm: Option<Vec<u8>>,
    /// Its memory cgroup, from a rung that knows ids.
    pub cgroup: Option<CgroupKey>,
    /// The path of that.
    pub path: Option<CgroupPath>,
}

/// An OOM kill as the log keeps it; the victim's cgroup is the event's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OomReport {
    pub victim: Victim,
    /// Why, with paths where the registry knows them.
    pub decision: Decision,
    /// What was last read of the victim's cgroup before the kill.
    pub last_sample: Option<LastSample>,
}

/// A cgroup's memory when it was last read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastSample {
    /// How long before the kill.
    pub age: Duration,
    /// Usage without inactive file pages.
    pub working_set_bytes: Option<u64>,
    pub anon_bytes: Option<u64>,
    pub file_bytes: Option<u64>,
    pub kernel_bytes: Option<u64>,
    pub limit: Option<Limit>,
}
