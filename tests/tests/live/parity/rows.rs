//! The kernel's file of each metric, on v1 and on v2.

/// The place of a value in the kernel's files.
pub(super) enum Source {
    /// A file that is one number.
    Number(&'static str),
    /// A line `key value` of a file.
    Key(&'static str, &'static str),
    /// The sum over the nodes of the line of that key: `key=7 N0=4 N1=3` or `key N0=4 N1=3`.
    Nodes(&'static str, &'static str),
    /// The first minus the second, never below 0.
    Less(&'static str, &'static str, &'static str),
    /// A file that is one number, or `max`, which is 0 here.
    Limit(&'static str),
    /// The number at this place of a file's only line; a word there is no value.
    Field(&'static str, usize),
    /// The `total` of the line of a pressure file that begins so.
    Pressure(&'static str, &'static str),
    /// The sum over the lines `device operation number`.
    Device(&'static str, &'static str),
    /// The sum over the lines `device key=number ...`.
    DeviceKey(&'static str, &'static str),
    /// v2's weight in the terms of v1's shares.
    Weight(&'static str),
}

use Source::{Device, DeviceKey, Field, Key, Less, Limit, Number, Pressure, Weight};

pub(super) struct Row {
    pub(super) metric: &'static str,
    pub(super) labels: &'static [(&'static str, &'static str)],
    pub(super) controller: &'static str,
    pub(super) source: Source,
    /// One unit of the file, in the metric's unit.
    pub(super) unit: f64,
    /// Whether every kernel has it for every container.
    pub(super) everywhere: bool,
}

impl Row {
    /// As in cAdvisor, a processor that never ran a cgroup has no series, else these would be most of a scrape. So here the sum over
    /// no series is 0. Everywhere else absent stays absent.
    pub(super) fn when_absent(&self) -> Option<f64> {
        matches!(self.source, Number("cpuacct.usage")).then_some(0.0)
    }

    /// Only newer kernels have it, or those with a disk, swap, or pressure turned on.
    pub(super) const fn somewhere(mut self) -> Self {
        self.everywhere = false;
        self
    }
}

/// Metrics, by the beginning of their names, that are not compared here, and the tests that cover them.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    ("container_network_", "the live tests of containers compare them with the kernel's file"),
    ("container_processes", "the live tests of tasks, with the further ones of /proc"),
    ("container_file_descriptors", "the same"),
    ("container_sockets", "the same"),
    ("container_ulimits_soft", "the same"),
    ("container_fs_discards_", "the row of container_blkio_device_usage_total"),
    ("container_oom_events_total", "the live tests of OOM kills"),
    ("container_last_seen", "the time of the reading itself"),
    ("container_creation_time_seconds", "a time, tested with the reader"),
    ("container_start_time_seconds", "the same time"),
    ("container_scrape_error", "an error of the reading itself, tested with the exporter"),
    ("container_fs_io_cost_", "only with iocost turned on for a disk"),
    ("container_fs_limit_bytes", "the live tests of file systems"),
    ("container_fs_usage_bytes", "the live tests of file systems"),
    ("container_fs_inodes_", "the live tests of file systems"),
    ("container_fs_reads_merged_", "the live tests of file systems"),
    ("container_fs_writes_merged_", "the live tests of file systems"),
    ("container_fs_sector_", "the live tests of file systems"),
    ("container_fs_read_seconds_", "the live tests of file systems"),
    ("container_fs_write_seconds_", "the live tests of file systems"),
    ("container_fs_io_current", "the live tests of file systems"),
    ("container_fs_io_time_", "the live tests of file systems"),
];

pub(super) const fn row(metric: &'static str, controller: &'static str, source: Source, unit: f64) -> Row {
    Row { metric, labels: &[], controller, source, unit, everywhere: true }
}

pub(super) const fn memory(metric: &'static str, key: &'static str) -> Row {
    row(metric, "memory", Key("memory.stat", key), 1.0)
}

const fn faults(labels: &'static [(&'static str, &'static str)], key: &'static str) -> Row {
    Row { labels, ..memory("container_memory_failures_total", key) }
}

const fn device(
    metric: &'static str,
    labels: &'static [(&'static str, &'static str)],
    source: Source,
) -> Row {
    let controller = match source {
        DeviceKey(..) => "io",
        _ => "blkio",
    };
    Row { labels, ..row(metric, controller, source, 1.0) }.somewhere()
}

pub(super) const fn pressure(metric: &'static str, file: &'static str, line: &'static str) -> Row {
    row(metric, "", Pressure(file, line), 1e-6).somewhere()
}

const PAGES: &[(&str, &str)] = &[("failure_type", "pgfault"), ("scope", "container")];
const PAGES_BELOW: &[(&str, &str)] = &[("failure_type", "pgfault"), ("scope", "hierarchy")];
const MAJOR: &[(&str, &str)] = &[("failure_type", "pgmajfault"), ("scope", "container")];
const MAJOR_BELOW: &[(&str, &str)] = &[("failure_type", "pgmajfault"), ("scope", "hierarchy")];
const READ: &[(&str, &str)] = &[("operation", "Read")];
const WRITE: &[(&str, &str)] = &[("operation", "Write")];
const SYNC: &[(&str, &str)] = &[("operation", "Sync")];
const ASYNC: &[(&str, &str)] = &[("operation", "Async")];
const DISCARD: &[(&str, &str)] = &[("operation", "Discard")];
const TOTAL: &[(&str, &str)] = &[("operation", "Total")];
const BYTES: &str = "blkio.throttle.io_service_bytes_recursive";
const OPERATIONS: &str = "blkio.throttle.io_serviced_recursive";

pub(super) const V1: &[Row] = &[
    row("container_cpu_usage_seconds_total", "cpuacct", Number("cpuacct.usage"), 1e-9),
    row("container_cpu_user_seconds_total", "cpuacct", Key("cpuacct.stat", "user"), 1e-2),
    row("container_cpu_system_seconds_total", "cpuacct", Key("cpuacct.stat", "system"), 1e-2),
    row("container_cpu_cfs_periods_total", "cpu", Key("cpu.stat", "nr_periods"), 1.0),
    row("container_cpu_cfs_throttled_periods_total", "cpu", Key("cpu.stat", "nr_throttled"), 1.0),
    row("container_cpu_cfs_throttled_seconds_total", "cpu", Key("cpu.stat", "throttled_time"), 1e-9),
    row("container_cpu_cfs_burst_periods_total", "cpu", Key("cpu.stat", "nr_bursts"), 1.0).somewhere(),
    row("container_cpu_cfs_burst_seconds_total", "cpu", Key("cpu.stat", "burst_time"), 1e-9).somewhere(),
    row("container_spec_cpu_shares", "cpu", Number("cpu.shares"), 1.0),
    row("container_spec_cpu_period", "cpu", Number("cpu.cfs_period_us"), 1.0),
    row("container_spec_cpu_quota", "cpu", Number("cpu.cfs_quota_us"), 1.0),
    row("container_spec_memory_limit_bytes", "memory", Limit("memory.limit_in_bytes"), 1.0),
    row("container_spec_memory_swap_limit_bytes", "memory", Limit("memory.memsw.limit_in_bytes"), 1.0)
        .somewhere(),
    row("container_spec_memory_reservation_limit_bytes", "memory", Limit("memory.soft_limit_in_bytes"), 1.0),
    row("container_threads", "pids", Number("pids.current"), 1.0),
    row("container_threads_max", "pids", Limit("pids.max"), 1.0),
    row("container_memory_usage_bytes", "memory", Number("memory.usage_in_bytes"), 1.0),
    row("container_memory_max_usage_bytes", "memory", Number("memory.max_usage_in_bytes"), 1.0),
    row("container_memory_kernel_usage", "memory", Number("memory.kmem.usage_in_bytes"), 1.0).somewhere(),
    row("container_memory_failcnt", "memory", Number("memory.failcnt"), 1.0),
    memory("container_memory_cache", "total_cache"),
    memory("container_memory_rss", "total_rss"),
    memory("container_memory_mapped_file", "total_mapped_file"),
    memory("container_memory_swap", "total_swap").somewhere(),
    memory("container_memory_total_active_file_bytes", "total_active_file"),
    memory("container_memory_total_inactive_file_bytes", "total_inactive_file"),
    memory("container_memory_file_dirty_bytes", "total_dirty"),
    memory("container_memory_file_writeback_bytes", "total_writeback"),
    memory("container_memory_workingset_refault_file_total", "workingset_refault_file").somewhere(),
    memory("container_memory_workingset_refault_anon_total", "workingset_refault_anon").somewhere(),
    row(
        "container_memory_working_set_bytes",
        "memory",
        Less("memory.usage_in_bytes", "memory.stat", "total_inactive_file"),
        1.0,
    ),
    faults(PAGES, "pgfault"),
    faults(MAJOR, "pgmajfault"),
    faults(PAGES_BELOW, "total_pgfault"),
    faults(MAJOR_BELOW, "total_pgmajfault"),
    device("container_fs_reads_bytes_total", &[], Device(BYTES, "Read ")),
    device("container_fs_writes_bytes_total", &[], Device(BYTES, "Write ")),
    device("container_fs_reads_total", &[], Device(OPERATIONS, "Read ")),
    device("container_fs_writes_total", &[], Device(OPERATIONS, "Write ")),
    device("container_blkio_device_usage_total", READ, Device(BYTES, "Read ")),
    device("container_blkio_device_usage_total", WRITE, Device(BYTES, "Write ")),
    device("container_blkio_device_usage_total", SYNC, Device(BYTES, "Sync ")),
    device("container_blkio_device_usage_total", ASYNC, Device(BYTES, "Async ")),
    device("container_blkio_device_usage_total", DISCARD, Device(BYTES, "Discard ")),
    device("container_blkio_device_usage_total", TOTAL, Device(BYTES, "Total ")),
];

pub(super) const V2: &[Row] = &[
    row("container_cpu_usage_seconds_total", "cpu", Key("cpu.stat", "usage_usec"), 1e-6),
    row("container_cpu_user_seconds_total", "cpu", Key("cpu.stat", "user_usec"), 1e-6),
    row("container_cpu_system_seconds_total", "cpu", Key("cpu.stat", "system_usec"), 1e-6),
    row("container_cpu_cfs_periods_total", "cpu", Key("cpu.stat", "nr_periods"), 1.0),
    row("container_cpu_cfs_throttled_periods_total", "cpu", Key("cpu.stat", "nr_throttled"), 1.0),
    row("container_cpu_cfs_throttled_seconds_total", "cpu", Key("cpu.stat", "throttled_usec"), 1e-6),
    row("container_cpu_cfs_burst_periods_total", "cpu", Key("cpu.stat", "nr_bursts"), 1.0).somewhere(),
    row("container_cpu_cfs_burst_seconds_total", "cpu", Key("cpu.stat", "burst_usec"), 1e-6).somewhere(),
    row("container_spec_cpu_shares", "cpu", Weight("cpu.weight"), 1.0),
    row("container_spec_cpu_quota", "cpu", Field("cpu.max", 0), 1.0),
    row("container_spec_cpu_period", "cpu", Field("cpu.max", 1), 1.0),
    row("container_spec_memory_limit_bytes", "memory", Limit("memory.max"), 1.0),
    row("container_spec_memory_swap_limit_bytes", "memory", Limit("memory.swap.max"), 1.0).somewhere(),
    row("container_spec_memory_reservation_limit_bytes", "memory", Limit("memory.low"), 1.0),
    row("container_threads", "pids", Number("pids.current"), 1.0),
    row("container_threads_max", "pids", Limit("pids.max"), 1.0),
    row("container_memory_usage_bytes", "memory", Number("memory.current"), 1.0),
    row("container_memory_max_usage_bytes", "memory", Number("memory.peak"), 1.0).somewhere(),
    row("container_memory_swap", "memory", Number("memory.swap.current"), 1.0).somewhere(),
    memory("container_memory_kernel_usage", "kernel").somewhere(),
    memory("container_memory_cache", "file"),
    memory("container_memory_rss", "anon"),
    memory("container_memory_mapped_file", "file_mapped"),
    memory("container_memory_file_dirty_bytes", "file_dirty"),
    memory("container_memory_file_writeback_bytes", "file_writeback"),
    memory("container_memory_total_active_file_bytes", "active_file"),
    memory("container_memory_total_inactive_file_bytes", "inactive_file"),
    memory("container_memory_pgscan_total", "pgscan").somewhere(),
    memory("container_memory_pgsteal_total", "pgsteal").somewhere(),
    memory("container_memory_workingset_refault_file_total", "workingset_refault_file").somewhere(),
    memory("container_memory_workingset_refault_anon_total", "workingset_refault_anon").somewhere(),
    row("container_memory_events_max_total", "memory", Key("memory.events", "max"), 1.0),
    row("container_memory_events_high_total", "memory", Key("memory.events", "high"), 1.0),
    row(
        "container_memory_working_set_bytes",
        "memory",
        Less("memory.current", "memory.stat", "inactive_file"),
        1.0,
    ),
    faults(PAGES, "pgfault"),
    faults(MAJOR, "pgmajfault"),
    faults(PAGES_BELOW, "pgfault"),
    faults(MAJOR_BELOW, "pgmajfault"),
    device("container_fs_reads_bytes_total", &[], DeviceKey("io.stat", "rbytes")),
    device("container_fs_writes_bytes_total", &[], DeviceKey("io.stat", "wbytes")),
    device("container_fs_reads_total", &[], DeviceKey("io.stat", "rios")),
    device("container_fs_writes_total", &[], DeviceKey("io.stat", "wios")),
    device("container_blkio_device_usage_total", READ, DeviceKey("io.stat", "rbytes")),
    device("container_blkio_device_usage_total", WRITE, DeviceKey("io.stat", "wbytes")),
    device("container_blkio_device_usage_total", DISCARD, DeviceKey("io.stat", "dbytes")),
];

/// Files of every cgroup of v2, beside v1 too.
pub(super) const PRESSURE: &[Row] = &[
    pressure("container_pressure_cpu_waiting_seconds_total", "cpu.pressure", "some"),
    pressure("container_pressure_cpu_stalled_seconds_total", "cpu.pressure", "full"),
    pressure("container_pressure_memory_waiting_seconds_total", "memory.pressure", "some"),
    pressure("container_pressure_memory_stalled_seconds_total", "memory.pressure", "full"),
    pressure("container_pressure_io_waiting_seconds_total", "io.pressure", "some"),
    pressure("container_pressure_io_stalled_seconds_total", "io.pressure", "full"),
];
