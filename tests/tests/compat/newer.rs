//! Metrics that cAdvisor got after 0.38.7, up to 0.60, and whether the agent has them.

use std::collections::BTreeSet;

/// On which hosts the agent has a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// On every host of the comparison.
    Everywhere,
    /// Where the kernel or the host has the thing that it measures.
    Where(&'static str),
    No(&'static str),
}

pub const NEWER: &[(&str, Served)] = &[
    ("container_blkio_device_usage_total", Served::Where("a disk that the kernel counts for")),
    ("container_cpu_cfs_burst_periods_total", Served::Where("a quota, and Linux 5.14")),
    ("container_cpu_cfs_burst_seconds_total", Served::Where("a quota, and Linux 5.14")),
    ("container_creation_time_seconds", Served::Everywhere),
    ("container_fs_io_cost_indebt_seconds_total", Served::Where("v2 with iocost")),
    ("container_fs_io_cost_indelay_seconds_total", Served::Where("v2 with iocost")),
    ("container_fs_io_cost_usage_seconds_total", Served::Where("v2 with iocost")),
    ("container_fs_io_cost_wait_seconds_total", Served::Where("v2 with iocost")),
    ("container_health_state", Served::Where("Docker or Podman")),
    ("container_memory_events_high_total", Served::Where("v2")),
    ("container_memory_events_max_total", Served::Where("v2")),
    ("container_memory_file_dirty_bytes", Served::Everywhere),
    ("container_memory_file_writeback_bytes", Served::Everywhere),
    ("container_memory_kernel_usage", Served::Everywhere),
    ("container_memory_migrate", Served::Everywhere),
    ("container_memory_pgscan_total", Served::Where("v2")),
    ("container_memory_pgsteal_total", Served::Where("v2")),
    ("container_memory_total_active_file_bytes", Served::Everywhere),
    ("container_memory_total_inactive_file_bytes", Served::Everywhere),
    ("container_memory_workingset_refault_anon_total", Served::Where("Linux 5.9")),
    ("container_memory_workingset_refault_file_total", Served::Everywhere),
    ("container_oom_events_total", Served::Everywhere),
    ("container_pressure_cpu_stalled_seconds_total", Served::Where("pressure turned on in the kernel")),
    ("container_pressure_cpu_waiting_seconds_total", Served::Where("pressure turned on in the kernel")),
    ("container_pressure_io_stalled_seconds_total", Served::Where("pressure turned on in the kernel")),
    ("container_pressure_io_waiting_seconds_total", Served::Where("pressure turned on in the kernel")),
    ("container_pressure_memory_stalled_seconds_total", Served::Where("pressure turned on in the kernel")),
    ("container_pressure_memory_waiting_seconds_total", Served::Where("pressure turned on in the kernel")),
    ("machine_cpu_books", Served::Where("s390")),
    ("machine_cpu_drawers", Served::Where("s390")),
    ("machine_node_distance", Served::Everywhere),
    ("machine_swap_bytes", Served::Everywhere),
];

/// Metrics of the table that this host does not show.
pub fn faults(names: &BTreeSet<String>) -> Vec<String> {
    let wrong = NEWER.iter().filter(|(name, served)| match served {
        Served::Everywhere => !names.contains(*name),
        Served::Where(_) => false,
        Served::No(_) => names.contains(*name),
    });
    wrong
        .map(|(name, served)| format!("{name}: the table says {served:?}, the agent another thing"))
        .collect()
}
