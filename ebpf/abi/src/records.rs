//! The records of the rings, and the counters.

/// Bytes of a path with its NUL: the kernel renders paths for its cgroup tracepoints into a buffer of this size
/// (`TRACE_CGROUP_PATH_LEN` in `kernel/cgroup/cgroup-internal.h`), so a longer path arrives cut.
pub const PATH_BYTES: usize = 1024;

/// Bytes of `task_struct.comm` with its NUL (`TASK_COMM_LEN`).
pub const COMM_BYTES: usize = 16;

/// The beginning of every record.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// A [`crate::Program`].
    pub program: u32,
    /// The CPU that wrote it.
    pub cpu: u32,
    /// How many times this program has run on this CPU, this time included: the record's number. The program
    /// numbers the records that it could not submit too, so a gap is a loss.
    pub seq: u64,
    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub ktime_nsec: u64,
}

/// A cgroup was made, removed, renamed, or its first process came or last process went.
///
/// Only the bytes up to the end of the path are submitted: [`LIFECYCLE_FIXED_BYTES`] plus `path_bytes`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LifecycleRecord {
    /// Which event, when, where.
    pub header: Header,
    /// The directory's inode number (`kernfs_node.id`).
    pub id: u64,
    /// The parent directory, where the path could not be read; else 0.
    pub parent_id: u64,
    /// Number of the hierarchy; 0 is v2.
    pub hierarchy: u32,
    /// Depth below the root.
    pub level: u32,
    /// `cgroup_notify_populated`: 1 when the first process came, 0 when the last went. Else 0.
    pub populated: u32,
    /// Used bytes of `path`, without a NUL.
    pub path_bytes: u32,
    /// Path from the hierarchy's root.
    pub path: [u8; PATH_BYTES],
}

/// The last task of a cgroup begins to exit.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ExitRecord {
    /// Which event, when, where.
    pub header: Header,
    /// Inode number of the cgroup's directory.
    pub id: u64,
    /// Number of the hierarchy.
    pub hierarchy: u32,
    /// 0: padding that is written.
    pub reserved: u32,
}

/// Size of a [`LifecycleRecord`] without its path.
pub const LIFECYCLE_FIXED_BYTES: usize = core::mem::offset_of!(LifecycleRecord, path);

/// The kernel marked a process as an OOM victim.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomRecord {
    /// Which event, when, where.
    pub header: Header,
    /// The process.
    pub task: TaskFacts,
    /// The decision that killed it, with [`decided::MADE`].
    pub decision: OomDecision,
}

/// Facts about a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskFacts {
    /// Its memory cgroup, with [`present::CGROUP`].
    pub cgroup_id: u64,
    /// Number of that cgroup's hierarchy.
    pub hierarchy: u32,
    /// Which of the fields are filled: bits of [`present`].
    pub present: u32,
    /// Thread id.
    pub pid: u32,
    /// Process id.
    pub tgid: u32,
    /// User id in the initial namespace.
    pub uid: u32,
    /// `oom_score_adj`.
    pub oom_score_adj: i32,
    /// Address space.
    pub total_vm_bytes: u64,
    /// Anonymous pages in memory.
    pub anon_rss_bytes: u64,
    /// File pages in memory.
    pub file_rss_bytes: u64,
    /// Shared memory in memory.
    pub shmem_rss_bytes: u64,
    /// Pages in swap.
    pub swap_bytes: u64,
    /// Page tables.
    pub pgtables_bytes: u64,
    /// Command name with its NUL.
    pub comm: [u8; COMM_BYTES],
}

impl TaskFacts {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        cgroup_id: 0,
        hierarchy: 0,
        present: 0,
        pid: 0,
        tgid: 0,
        uid: 0,
        oom_score_adj: 0,
        total_vm_bytes: 0,
        anon_rss_bytes: 0,
        file_rss_bytes: 0,
        shmem_rss_bytes: 0,
        swap_bytes: 0,
        pgtables_bytes: 0,
        comm: [0; COMM_BYTES],
    };
}

/// Bits of [`TaskFacts::present`]: a field without its bit is not known.
pub mod present {
    /// `cgroup_id` and `hierarchy`.
    pub const CGROUP: u32 = 1 << 0;
    /// `tgid`.
    pub const TGID: u32 = 1 << 1;
    /// `uid`.
    pub const UID: u32 = 1 << 2;
    /// `oom_score_adj`.
    pub const OOM_SCORE_ADJ: u32 = 1 << 3;
    /// `total_vm_bytes`.
    pub const TOTAL_VM: u32 = 1 << 4;
    /// `anon_rss_bytes`.
    pub const ANON_RSS: u32 = 1 << 5;
    /// `file_rss_bytes`.
    pub const FILE_RSS: u32 = 1 << 6;
    /// `shmem_rss_bytes`.
    pub const SHMEM_RSS: u32 = 1 << 7;
    /// `pgtables_bytes`.
    pub const PGTABLES: u32 = 1 << 8;
    /// `comm`.
    pub const COMM: u32 = 1 << 9;
    /// `swap_bytes`.
    pub const SWAP: u32 = 1 << 10;
}

/// A decision of `oom_kill_process`. The kernel makes one at a time, under `oom_lock`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomDecision {
    /// When it was made, `CLOCK_MONOTONIC` in nanoseconds: the same for all victims of one decision.
    pub ktime_nsec: u64,
    /// The memory cgroup that reached its limit, with [`decided::OWNER`].
    pub owner_id: u64,
    /// What is charged to it.
    pub owner_usage_bytes: u64,
    /// Its limit, in pages as the kernel keeps it: the largest means none.
    pub owner_limit_pages: u64,
    /// Swap charged to it; on v1 memory and swap together.
    pub owner_swap_bytes: u64,
    /// The memory cgroup of the process that asked for memory, with [`decided::TRIGGER_CGROUP`].
    pub trigger_cgroup_id: u64,
    /// Number of the owner's hierarchy.
    pub owner_hierarchy: u32,
    /// Number of the trigger's hierarchy.
    pub trigger_hierarchy: u32,
    /// Thread that asked for memory.
    pub trigger_pid: u32,
    /// Its process.
    pub trigger_tgid: u32,
    /// `enum oom_constraint`, with [`decided::CONSTRAINT`].
    pub constraint: u32,
    /// 1 when the whole cgroup is killed (`memory.oom.group`), with [`decided::GROUP`].
    pub group_kill: u32,
    /// Which of the fields are filled: bits of [`decided`].
    pub present: u32,
    /// 1 when the chosen process was dying already: the kernel then waits for its end and counts no kill.
    pub chosen_dying: u32,
    /// Command name of the trigger, with its NUL.
    pub trigger_comm: [u8; COMM_BYTES],
}

impl OomDecision {
    /// No decision.
    pub const NONE: Self = Self {
        ktime_nsec: 0,
        owner_id: 0,
        owner_usage_bytes: 0,
        owner_limit_pages: 0,
        owner_swap_bytes: 0,
        trigger_cgroup_id: 0,
        owner_hierarchy: 0,
        trigger_hierarchy: 0,
        trigger_pid: 0,
        trigger_tgid: 0,
        constraint: 0,
        group_kill: 0,
        present: 0,
        chosen_dying: 0,
        trigger_comm: [0; COMM_BYTES],
    };
}

/// Bits of [`OomDecision::present`].
pub mod decided {
    /// There is a decision.
    pub const MADE: u32 = 1 << 0;
    /// `constraint`.
    pub const CONSTRAINT: u32 = 1 << 1;
    /// `owner_id` and `owner_hierarchy`.
    pub const OWNER: u32 = 1 << 2;
    /// `owner_usage_bytes`.
    pub const OWNER_USAGE: u32 = 1 << 3;
    /// `owner_limit_pages`.
    pub const OWNER_LIMIT: u32 = 1 << 4;
    /// `owner_swap_bytes`.
    pub const OWNER_SWAP: u32 = 1 << 5;
    /// `trigger_cgroup_id` and `trigger_hierarchy`.
    pub const TRIGGER_CGROUP: u32 = 1 << 6;
    /// `group_kill`.
    pub const GROUP: u32 = 1 << 7;
}

/// Data from the entry of `oom_kill_process` for the marks that follow, until it returns.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenDecision {
    /// The decision; without [`decided::MADE`] when `oom_kill_process` does not run.
    pub decision: OomDecision,
    /// The chosen process, for kernels whose `mark_victim` has only a pid.
    pub chosen: TaskFacts,
}

/// The counts of a program on one CPU. Never reset.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Times it ran.
    pub seen: u64,
    /// Records it put into its ring.
    pub submitted: u64,
    /// Records for which the ring had no room.
    pub dropped: u64,
}

const _: () = assert!(size_of::<Header>() == 24);
const _: () = assert!(size_of::<LifecycleRecord>() == 56 + PATH_BYTES && LIFECYCLE_FIXED_BYTES == 56);
const _: () = assert!(size_of::<ExitRecord>() == 40);
const _: () = assert!(size_of::<TaskFacts>() == 96 && size_of::<OomDecision>() == 96);
const _: () = assert!(size_of::<OomRecord>() == 216 && size_of::<OpenDecision>() == 192);
const _: () = assert!(size_of::<Counters>() == 24);

#[cfg(feature = "user")]
mod user {
    // SAFETY: repr(C) of integers without padding; every bit pattern is a value.
    unsafe impl aya::Pod for super::Counters {}
    // SAFETY: likewise.
    unsafe impl aya::Pod for super::TaskFacts {}
    // SAFETY: likewise.
    unsafe impl aya::Pod for super::Header {}
    // SAFETY: likewise.
    unsafe impl aya::Pod for super::LifecycleRecord {}
    // SAFETY: likewise.
    unsafe impl aya::Pod for super::ExitRecord {}
    // SAFETY: likewise.
    unsafe impl aya::Pod for super::OomRecord {}
}
