//! What goes through the rings and the counters.

/// Bytes of a path with its NUL: the kernel renders paths for its cgroup tracepoints into a buffer of this size
/// (`TRACE_CGROUP_PATH_LEN` in `kernel/cgroup/cgroup-internal.h`), so a longer one arrives cut there.
pub const PATH_BYTES: usize = 1024;

/// Bytes of `task_struct.comm` with its NUL (`TASK_COMM_LEN`).
pub const COMM_BYTES: usize = 16;

/// What every record begins with.
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
    /// Number of the hierarchy; 0 is v2.
    pub hierarchy: u32,
    /// Depth below the root.
    pub level: u32,
    /// `cgroup_notify_populated`: 1 when the first process came, 0 when the last went. Else 0.
    pub populated: u32,
    /// Bytes of `path` that count, without a NUL.
    pub path_bytes: u32,
    /// Path from the hierarchy's root.
    pub path: [u8; PATH_BYTES],
}

/// Size of a [`LifecycleRecord`] without its path.
pub const LIFECYCLE_FIXED_BYTES: usize = core::mem::offset_of!(LifecycleRecord, path);

/// The kernel marked a process as an OOM victim.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomRecord {
    /// Which event, when, where.
    pub header: Header,
    /// The victim's memory cgroup, with [`present::CGROUP`].
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
    /// Page tables.
    pub pgtables_bytes: u64,
    /// Command name with its NUL.
    pub comm: [u8; COMM_BYTES],
}

/// Bits of [`OomRecord::present`]: a field without its bit is not known.
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
}

/// What a program counts on one CPU. Never reset.
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
const _: () = assert!(size_of::<LifecycleRecord>() == 48 + PATH_BYTES && LIFECYCLE_FIXED_BYTES == 48);
const _: () = assert!(size_of::<OomRecord>() == 112);
const _: () = assert!(size_of::<Counters>() == 24);

#[cfg(feature = "user")]
mod user {
    // SAFETY: repr(C) of integers without padding; every bit pattern is a value.
    unsafe impl aya::Pod for super::Counters {}
}
