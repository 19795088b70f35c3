//! Rows of the sets that are off by default.

use super::rows::Source::{Key, Nodes, Number};
use super::rows::{Row, memory, pressure, row};

const fn event(
    metric: &'static str,
    file: &'static str,
    labels: &'static [(&'static str, &'static str)],
    key: &'static str,
) -> Row {
    Row { labels, ..row(metric, "memory", Key(file, key), 1.0) }.somewhere()
}

const fn local(labels: &'static [(&'static str, &'static str)], key: &'static str) -> Row {
    event("container_memory_events_local_total", "memory.events.local", labels, key)
}

const fn swap(labels: &'static [(&'static str, &'static str)], key: &'static str) -> Row {
    event("container_memory_swap_events_total", "memory.swap.events", labels, key)
}

/// `unit` is the number of pages in one unit of the file.
const fn numa(labels: &'static [(&'static str, &'static str)], key: &'static str, unit: f64) -> Row {
    Row { labels, ..row("container_memory_numa_pages", "memory", Nodes("memory.numa_stat", key), unit) }
        .somewhere()
}

const fn huge(metric: &'static str, source: super::rows::Source) -> Row {
    Row { labels: &[("pagesize", "2MB")], ..row(metric, "hugetlb", source, 1.0) }.somewhere()
}

const fn threads(metric: &'static str, source: super::rows::Source) -> Row {
    row(metric, "pids", source, 1.0).somewhere()
}

/// x86 has pages of 4 KiB.
const PAGE: f64 = 1.0 / 4096.0;

pub(super) const V1: &[Row] = &[
    threads("container_threads_peak", Number("pids.peak")),
    threads("container_threads_limit_events_total", Key("pids.events", "max")),
    memory("container_memory_shmem_bytes", "total_shmem").somewhere(),
    memory("container_memory_swapcached_bytes", "total_swapcached").somewhere(),
    memory("container_memory_anon_thp_bytes", "total_rss_huge").somewhere(),
    memory("container_memory_active_anon_bytes", "total_active_anon").somewhere(),
    memory("container_memory_inactive_anon_bytes", "total_inactive_anon").somewhere(),
    memory("container_memory_unevictable_bytes", "total_unevictable").somewhere(),
    numa(&[("type", "file"), ("scope", "container")], "file", 1.0),
    numa(&[("type", "file"), ("scope", "hierarchy")], "hierarchical_file", 1.0),
    numa(&[("type", "anon"), ("scope", "container")], "anon", 1.0),
    numa(&[("type", "anon"), ("scope", "hierarchy")], "hierarchical_anon", 1.0),
    numa(&[("type", "unevictable"), ("scope", "container")], "unevictable", 1.0),
    numa(&[("type", "unevictable"), ("scope", "hierarchy")], "hierarchical_unevictable", 1.0),
    huge("container_hugetlb_usage_bytes", Number("hugetlb.2MB.rsvd.usage_in_bytes")),
    huge("container_hugetlb_max_usage_bytes", Number("hugetlb.2MB.rsvd.max_usage_in_bytes")),
    huge("container_hugetlb_failcnt", Number("hugetlb.2MB.rsvd.failcnt")),
    row("container_memory_migrate", "cpuset", Number("cpuset.memory_migrate"), 1.0).somewhere(),
];

pub(super) const V2: &[Row] = &[
    threads("container_threads_peak", Number("pids.peak")),
    threads("container_threads_limit_events_total", Key("pids.events", "max")),
    row("container_memory_failcnt", "memory", Key("memory.events", "max"), 1.0),
    row("container_memory_swap_max_usage_bytes", "memory", Number("memory.swap.peak"), 1.0).somewhere(),
    row("container_cpu_nice_seconds_total", "cpu", Key("cpu.stat", "nice_usec"), 1e-6).somewhere(),
    memory("container_memory_kernel_stack_bytes", "kernel_stack").somewhere(),
    memory("container_memory_pagetables_bytes", "pagetables").somewhere(),
    memory("container_memory_percpu_bytes", "percpu").somewhere(),
    memory("container_memory_sock_bytes", "sock").somewhere(),
    memory("container_memory_vmalloc_bytes", "vmalloc").somewhere(),
    memory("container_memory_shmem_bytes", "shmem").somewhere(),
    memory("container_memory_slab_bytes", "slab").somewhere(),
    memory("container_memory_slab_reclaimable_bytes", "slab_reclaimable").somewhere(),
    memory("container_memory_slab_unreclaimable_bytes", "slab_unreclaimable").somewhere(),
    memory("container_memory_zswap_bytes", "zswap").somewhere(),
    memory("container_memory_zswapped_bytes", "zswapped").somewhere(),
    memory("container_memory_swapcached_bytes", "swapcached").somewhere(),
    memory("container_memory_anon_thp_bytes", "anon_thp").somewhere(),
    memory("container_memory_file_thp_bytes", "file_thp").somewhere(),
    memory("container_memory_active_anon_bytes", "active_anon").somewhere(),
    memory("container_memory_inactive_anon_bytes", "inactive_anon").somewhere(),
    memory("container_memory_unevictable_bytes", "unevictable").somewhere(),
    memory("container_memory_workingset_activate_anon_total", "workingset_activate_anon").somewhere(),
    memory("container_memory_workingset_activate_file_total", "workingset_activate_file").somewhere(),
    memory("container_memory_workingset_restore_anon_total", "workingset_restore_anon").somewhere(),
    memory("container_memory_workingset_restore_file_total", "workingset_restore_file").somewhere(),
    memory("container_memory_workingset_nodereclaim_total", "workingset_nodereclaim").somewhere(),
    memory("container_memory_zswpin_total", "zswpin").somewhere(),
    memory("container_memory_zswpout_total", "zswpout").somewhere(),
    memory("container_memory_zswpwb_total", "zswpwb").somewhere(),
    event("container_memory_events_low_total", "memory.events", &[], "low"),
    event("container_memory_events_oom_total", "memory.events", &[], "oom"),
    event("container_memory_events_oom_kill_total", "memory.events", &[], "oom_kill"),
    event("container_memory_events_oom_group_kill_total", "memory.events", &[], "oom_group_kill"),
    local(&[("event", "low")], "low"),
    local(&[("event", "high")], "high"),
    local(&[("event", "max")], "max"),
    local(&[("event", "oom")], "oom"),
    local(&[("event", "oom_kill")], "oom_kill"),
    local(&[("event", "oom_group_kill")], "oom_group_kill"),
    swap(&[("event", "high")], "high"),
    swap(&[("event", "max")], "max"),
    swap(&[("event", "fail")], "fail"),
    numa(&[("type", "file"), ("scope", "hierarchy")], "file", PAGE),
    numa(&[("type", "anon"), ("scope", "hierarchy")], "anon", PAGE),
    numa(&[("type", "unevictable"), ("scope", "hierarchy")], "unevictable", PAGE),
    huge("container_hugetlb_usage_bytes", Number("hugetlb.2MB.rsvd.current")),
    huge("container_hugetlb_failcnt", Key("hugetlb.2MB.events", "max")),
];

/// Files of every cgroup of v2, beside v1 too.
pub(super) const CORE: &[Row] = &[
    row("container_cgroup_descendants", "", Key("cgroup.stat", "nr_descendants"), 1.0).somewhere(),
    row("container_cgroup_dying_descendants", "", Key("cgroup.stat", "nr_dying_descendants"), 1.0)
        .somewhere(),
    pressure("container_pressure_irq_stalled_seconds_total", "irq.pressure", "full"),
];
