//! The counters of one cgroup at one moment.
//!
//! Sources: `Documentation/admin-guide/cgroup-v2.rst` and `Documentation/admin-guide/cgroup-v1/*.rst` of the kernel.
//! A struct that is `None` has no source here (no such controller); a field that is `None` is not printed by this
//! kernel.

use std::time::SystemTime;

use super::keyed::keyed;
use super::{FilesystemStats, HardwareStats, MemoryDetail, SocketStats, TaskStats, named};

/// A limit: a value or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// No limit (`max` on v2; on v1 -1 or the largest number of pages).
    Max,
    /// At most this much, in the unit of the field.
    Value(u64),
}

impl Limit {
    /// The value, if there is one.
    pub fn value(self) -> Option<u64> {
        match self {
            Self::Max => None,
            Self::Value(value) => Some(value),
        }
    }
}

/// All counters of a cgroup.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CgroupStats {
    pub cpu: Option<CpuStats>,
    pub memory: Option<MemoryStats>,
    pub pids: Option<PidsStats>,
    /// Block devices, one entry per device.
    pub io: Option<Vec<IoDeviceStats>>,
    /// Stall times (v2 only).
    pub pressure: PressureStats,
    /// Interfaces of the cgroup's own network namespace; `None` for a host-network or empty cgroup.
    pub network: Option<Vec<InterfaceStats>>,
    /// Whether its processes are in the host's network namespace, and it is not the root.
    pub host_network: bool,
    /// Sockets of that namespace.
    pub sockets: Option<SocketStats>,
    /// Its processes and their threads.
    pub tasks: TaskStats,
    /// Huge pages, one entry for each size.
    pub hugetlb: Option<Vec<HugetlbStats>>,
    /// What the processor counted, where that is asked for.
    pub hardware: Option<Box<HardwareStats>>,
    /// `cpuset.memory_migrate` (v1): whether pages move when the cgroup's memory nodes change.
    pub memory_migrate: Option<bool>,
    /// `cgroup.stat` (v2): cgroups below this one.
    pub descendants: Option<Descendants>,
    /// File systems: of the root the node's, of a container the one that it writes to.
    pub filesystems: Option<Vec<FilesystemStats>>,
    /// When the cgroup's directory was made.
    pub created: Option<SystemTime>,
}

/// Processor time and its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuStats {
    /// `cpuacct.usage`; v2: `cpu.stat` `usage_usec`.
    pub usage_nsec: Option<u64>,
    /// `cpuacct.stat` `user` (in USER_HZ); v2: `user_usec`.
    pub user_nsec: Option<u64>,
    /// `cpuacct.stat` `system` (in USER_HZ); v2: `system_usec`.
    pub system_nsec: Option<u64>,
    /// v2 `cpu.stat` `nice_usec` (since 6.14): user time at a lower priority.
    pub nice_nsec: Option<u64>,
    /// `cpuacct.usage_percpu`, one entry per possible CPU (v1 only).
    pub per_cpu_nsec: Option<Vec<u64>>,
    /// `cpu.stat` `nr_periods`: enforcement intervals that elapsed.
    pub periods: Option<u64>,
    /// `cpu.stat` `nr_throttled`: intervals in which the cgroup was throttled.
    pub throttled_periods: Option<u64>,
    /// `cpu.stat` `throttled_time` (ns); v2: `throttled_usec`.
    pub throttled_nsec: Option<u64>,
    /// `cpu.stat` `nr_bursts`.
    pub burst_periods: Option<u64>,
    /// `cpu.stat` `burst_time` (ns); v2: `burst_usec`.
    pub burst_nsec: Option<u64>,
    /// `cpu.cfs_quota_us`; v2: first field of `cpu.max`. Processor time allowed per period.
    pub quota_usec: Option<Limit>,
    /// `cpu.cfs_period_us`; v2: second field of `cpu.max`.
    pub period_usec: Option<u64>,
    /// `cpu.shares` (v1).
    pub shares: Option<u64>,
    /// `cpu.weight` (v2).
    pub weight: Option<u64>,
}

/// Memory and swap, in bytes unless the name says otherwise. v1 values are the hierarchical (`total_`) ones where
/// `memory.stat` has both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// `memory.usage_in_bytes`; v2: `memory.current`; v2 root: `anon + file` of `memory.stat`.
    pub usage_bytes: Option<u64>,
    /// `memory.max_usage_in_bytes`; v2: `memory.peak` (since 5.19).
    pub peak_bytes: Option<u64>,
    /// `memory.limit_in_bytes`; v2: `memory.max`.
    pub limit: Option<Limit>,
    /// `memory.soft_limit_in_bytes`; v2: `memory.low`.
    pub reservation: Option<Limit>,
    /// `memory.memsw.limit_in_bytes` (memory and swap together; v1).
    pub memory_and_swap_limit: Option<Limit>,
    /// `memory.swap.max` (v2).
    pub swap_limit: Option<Limit>,
    /// `memory.stat` `total_swap`; v2: `memory.swap.current`.
    pub swap_bytes: Option<u64>,
    /// `memory.failcnt` (v1): times that the limit was hit.
    pub failcnt: Option<u64>,
    /// `memory.kmem.usage_in_bytes`; v2: `memory.stat` `kernel` (since 5.18).
    pub kernel_bytes: Option<u64>,
    /// `memory.stat`.
    pub stat: MemoryStat,
    /// Further lines of `memory.stat`, where they are asked for.
    pub detail: Option<Box<MemoryDetail>>,
    /// v2: `memory.events`.
    pub events: MemoryEvents,
    /// v2: `memory.events.local` (since 5.2): the same of this cgroup alone.
    pub events_local: MemoryEvents,
    /// v2: `memory.swap.events`.
    pub swap_events: SwapEvents,
    /// v2: `memory.swap.peak` (since 6.5).
    pub swap_peak_bytes: Option<u64>,
    /// `memory.numa_stat`.
    pub numa: Option<Vec<NumaPages>>,
}

impl MemoryStats {
    /// What the kubelet and cAdvisor call the working set: usage less inactive file pages, never below 0.
    pub fn working_set_bytes(&self) -> Option<u64> {
        Some(self.usage_bytes?.saturating_sub(self.stat.inactive_file_bytes?))
    }
}

/// `memory.stat`. On v1 these are the `total_` lines (this cgroup and all below it), in v2's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStat {
    /// v1 `rss`; v2 `anon`.
    pub anon_bytes: Option<u64>,
    /// v1 `cache`; v2 `file`.
    pub file_bytes: Option<u64>,
    /// v1 `mapped_file`; v2 `file_mapped`.
    pub file_mapped_bytes: Option<u64>,
    /// v1 `dirty`; v2 `file_dirty`.
    pub file_dirty_bytes: Option<u64>,
    /// v1 `writeback`; v2 `file_writeback`.
    pub file_writeback_bytes: Option<u64>,
    /// `shmem`.
    pub shmem_bytes: Option<u64>,
    /// `active_file`.
    pub active_file_bytes: Option<u64>,
    /// `inactive_file`.
    pub inactive_file_bytes: Option<u64>,
    /// `pgfault` of this cgroup alone (v1) or with all below it (v2).
    pub pgfault: Option<u64>,
    /// `pgmajfault`, likewise.
    pub pgmajfault: Option<u64>,
    /// v1 `total_pgfault`; v2 the same as `pgfault`, which is hierarchical there.
    pub hierarchical_pgfault: Option<u64>,
    /// v1 `total_pgmajfault`; v2 the same as `pgmajfault`.
    pub hierarchical_pgmajfault: Option<u64>,
    /// v2 `pgscan`.
    pub pgscan: Option<u64>,
    /// v2 `pgsteal`.
    pub pgsteal: Option<u64>,
    /// `workingset_refault_file`.
    pub workingset_refault_file: Option<u64>,
    /// `workingset_refault_anon`.
    pub workingset_refault_anon: Option<u64>,
    /// v2 `kernel` (since 5.18).
    pub kernel_bytes: Option<u64>,
    /// v1 `swap` with `total_`; v2 has `memory.swap.current` instead.
    pub swap_bytes: Option<u64>,
}

keyed! {
    /// How often a cgroup and those below it met each memory limit since it was made: `memory.events`; of the cgroup alone:
    /// `memory.events.local` (v2). `sock_throttled` (since 6.19) is not read.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct MemoryEvents {
        low = b"low",
        high = b"high",
        max = b"max",
        oom = b"oom",
        oom_kill = b"oom_kill",
        /// Since 5.17.
        oom_group_kill = b"oom_group_kill",
    }
}

keyed! {
    /// How often this cgroup and those below it met each swap limit (`memory.swap.events`).
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct SwapEvents {
        high = b"high",
        max = b"max",
        /// Allocations that found no swap.
        fail = b"fail",
    }
}

named! {
    /// What memory of a node is used for: the first word of a line of `memory.numa_stat`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum NumaKind {
        /// Page cache.
        File = "file",
        /// Anonymous memory.
        Anon = "anon",
        /// Locked memory.
        Unevictable = "unevictable",
    }
}

/// One number of `memory.numa_stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumaPages {
    pub kind: NumaKind,
    /// With all cgroups below (v2 has only this), or of the cgroup alone.
    pub hierarchical: bool,
    pub node: u32,
    /// Pages of the base size; v2 prints bytes.
    pub pages: u64,
}

/// Huge pages of one size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HugetlbStats {
    /// As the kernel names it: `2MB`.
    pub page_size: &'static str,
    /// v1 `hugetlb.<size>.rsvd.usage_in_bytes`; v2 `rsvd.current`; without `rsvd.` before 5.7.
    pub usage_bytes: Option<u64>,
    /// v1 `rsvd.max_usage_in_bytes`.
    pub max_usage_bytes: Option<u64>,
    /// v1 `rsvd.failcnt`; v2 `hugetlb.<size>.events` `max`: times that the limit was hit.
    pub failcnt: Option<u64>,
}

keyed! {
    /// Cgroups below one (`cgroup.stat`). Newer kernels add lines for each controller.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Descendants {
        living = b"nr_descendants",
        /// Removed, but something still holds their memory.
        dying = b"nr_dying_descendants",
    }
}

/// `pids.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PidsStats {
    /// Tasks (threads) in this cgroup and below.
    pub current: Option<u64>,
    /// The most there may be.
    pub limit: Option<Limit>,
    /// `pids.peak` (since 6.1): the most there were.
    pub peak: Option<u64>,
    /// `pids.events` `max`: tasks that could not be made for the limit.
    pub limit_events: Option<u64>,
}

/// One block device's transfers by a cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoDeviceStats {
    pub major: u32,
    pub minor: u32,
    /// `/dev/NAME`, where the kernel's `/sys/dev/block` has it.
    pub device: Option<String>,
    /// v1 `io_service_bytes` `Read`; v2 `io.stat` `rbytes`.
    pub read_bytes: Option<u64>,
    /// v1 `io_service_bytes` `Write`; v2 `wbytes`.
    pub write_bytes: Option<u64>,
    /// v1 `io_serviced` `Read`; v2 `rios`.
    pub reads: Option<u64>,
    /// v1 `io_serviced` `Write`; v2 `wios`.
    pub writes: Option<u64>,
    /// v1 `io_service_bytes` `Discard`; v2 `dbytes`.
    pub discard_bytes: Option<u64>,
    /// v1 `io_serviced` `Discard`; v2 `dios`.
    pub discards: Option<u64>,
    /// v1 `io_service_bytes` `Sync`, `Async`: how cAdvisor's `container_blkio_device_usage_total` splits them.
    pub sync_bytes: Option<u64>,
    /// v1 `io_service_bytes` `Async`.
    pub async_bytes: Option<u64>,
    /// v1 `io_service_bytes` `Total`.
    pub total_bytes: Option<u64>,
    /// v2 `cost.usage` (iocost).
    pub cost_usage_usec: Option<u64>,
    /// v2 `cost.wait`.
    pub cost_wait_usec: Option<u64>,
    /// v2 `cost.indebt`.
    pub cost_indebt_usec: Option<u64>,
    /// v2 `cost.indelay`.
    pub cost_indelay_usec: Option<u64>,
}

/// Stall times of the three resources.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PressureStats {
    /// `cpu.pressure`.
    pub cpu: Option<Pressure>,
    /// `memory.pressure`.
    pub memory: Option<Pressure>,
    /// `io.pressure`.
    pub io: Option<Pressure>,
    /// `irq.pressure` (since 6.1, where the kernel accounts interrupt time): time taken by interrupts.
    pub irq: Option<Pressure>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pressure {
    /// Some tasks waited.
    pub some: Option<PressureLine>,
    /// All tasks waited (`cpu.pressure` has it since 5.13).
    pub full: Option<PressureLine>,
}

/// One line of a pressure file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PressureLine {
    /// Share of the last 10 s, in percent.
    pub avg10_percent: f64,
    /// Share of the last 60 s, in percent.
    pub avg60_percent: f64,
    /// Share of the last 300 s, in percent.
    pub avg300_percent: f64,
    /// Since the cgroup was made.
    pub total_usec: u64,
}

/// One line of `/proc/<pid>/net/dev`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceStats {
    /// The interface's name inside its namespace.
    pub name: String,
    pub receive: TransferStats,
    pub transmit: TransferStats,
}

/// One direction of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferStats {
    pub bytes: u64,
    pub packets: u64,
    pub errors: u64,
    pub dropped: u64,
}
