//! What memory is used for beyond cAdvisor's metrics: further lines of `memory.stat`. Ours, off by default.

use super::metric::Metric;
use crate::model::{MemoryDetail, MetricSet};
use crate::snapshot::CgroupSample;

metrics! { Some(MetricSet::MemoryDetail);
    gauge "container_memory_kernel_stack_bytes", "Kernel stacks of the tasks, in bytes.",
        v2 "memory.stat kernel_stack", count |s| detail(s)?.kernel_stack_bytes;
    gauge "container_memory_pagetables_bytes", "Page tables, in bytes.",
        v2 "memory.stat pagetables", count |s| detail(s)?.pagetables_bytes;
    gauge "container_memory_percpu_bytes", "Structures that the kernel keeps for each CPU, in bytes.",
        v2 "memory.stat percpu", count |s| detail(s)?.percpu_bytes;
    gauge "container_memory_sock_bytes", "Network buffers, in bytes.",
        v2 "memory.stat sock", count |s| detail(s)?.sock_bytes;
    gauge "container_memory_vmalloc_bytes", "Memory that the kernel took by vmalloc, in bytes.",
        v2 "memory.stat vmalloc", count |s| detail(s)?.vmalloc_bytes;
    gauge "container_memory_shmem_bytes", "Files of tmpfs and shared anonymous memory, in bytes.",
        v1 "memory.stat total_shmem", v2 "memory.stat shmem", count |s| detail(s)?.shmem_bytes;
    gauge "container_memory_slab_bytes", "Structures in the kernel's slab caches, in bytes.",
        v2 "memory.stat slab", count |s| detail(s)?.slab_bytes;
    gauge "container_memory_slab_reclaimable_bytes",
        "Structures in slab caches that can be reclaimed, as dentries and inodes, in bytes.",
        v2 "memory.stat slab_reclaimable", count |s| detail(s)?.slab_reclaimable_bytes;
    gauge "container_memory_slab_unreclaimable_bytes",
        "Structures in slab caches that cannot be reclaimed, in bytes.", v2 "memory.stat slab_unreclaimable",
        count |s| detail(s)?.slab_unreclaimable_bytes;
    gauge "container_memory_zswap_bytes", "Memory that pages compressed by zswap take, in bytes.",
        v2 "memory.stat zswap", count |s| detail(s)?.zswap_bytes;
    gauge "container_memory_zswapped_bytes", "Memory that was moved into zswap, in bytes.",
        v2 "memory.stat zswapped", count |s| detail(s)?.zswapped_bytes;
    gauge "container_memory_swapcached_bytes", "Memory that is in swap and in memory, in bytes.",
        v1 "memory.stat total_swapcached", v2 "memory.stat swapcached", count |s| detail(s)?.swapcached_bytes;
    gauge "container_memory_anon_thp_bytes", "Anonymous memory in transparent huge pages, in bytes.",
        v1 "memory.stat total_rss_huge", v2 "memory.stat anon_thp", count |s| detail(s)?.anon_thp_bytes;
    gauge "container_memory_file_thp_bytes", "Page cache in transparent huge pages, in bytes.",
        v2 "memory.stat file_thp", count |s| detail(s)?.file_thp_bytes;
    gauge "container_memory_active_anon_bytes", "Anonymous memory on the active list, in bytes.",
        v1 "memory.stat total_active_anon", v2 "memory.stat active_anon", count |s| detail(s)?.active_anon_bytes;
    gauge "container_memory_inactive_anon_bytes", "Anonymous memory on the inactive list, in bytes.",
        v1 "memory.stat total_inactive_anon", v2 "memory.stat inactive_anon",
        count |s| detail(s)?.inactive_anon_bytes;
    gauge "container_memory_unevictable_bytes", "Memory that cannot be reclaimed, as it is locked, in bytes.",
        v1 "memory.stat total_unevictable", v2 "memory.stat unevictable", count |s| detail(s)?.unevictable_bytes;
    counter "container_memory_workingset_activate_anon_total",
        "Refaulted anonymous pages that were made active at once.", v2 "memory.stat workingset_activate_anon",
        count |s| detail(s)?.workingset_activate_anon;
    counter "container_memory_workingset_activate_file_total", "Refaulted file pages that were made active at once.",
        v2 "memory.stat workingset_activate_file", count |s| detail(s)?.workingset_activate_file;
    counter "container_memory_workingset_restore_anon_total",
        "Refaulted anonymous pages that had been active when they were reclaimed.",
        v2 "memory.stat workingset_restore_anon", count |s| detail(s)?.workingset_restore_anon;
    counter "container_memory_workingset_restore_file_total",
        "Refaulted file pages that had been active when they were reclaimed.",
        v2 "memory.stat workingset_restore_file", count |s| detail(s)?.workingset_restore_file;
    counter "container_memory_workingset_nodereclaim_total",
        "Times that a node of the working set's shadow entries was reclaimed.",
        v2 "memory.stat workingset_nodereclaim", count |s| detail(s)?.workingset_nodereclaim;
    counter "container_memory_zswpin_total", "Pages read back from zswap.",
        v2 "memory.stat zswpin", count |s| detail(s)?.zswpin;
    counter "container_memory_zswpout_total", "Pages moved into zswap.",
        v2 "memory.stat zswpout", count |s| detail(s)?.zswpout;
    counter "container_memory_zswpwb_total", "Pages written from zswap to swap.",
        v2 "memory.stat zswpwb", count |s| detail(s)?.zswpwb;
    peak "container_memory_swap_max_usage_bytes", "Largest swap usage recorded, in bytes.",
        v2 "memory.swap.peak (since 6.5)", count |s| s.stats.memory.as_ref()?.swap_peak_bytes;
}

fn detail(sample: &CgroupSample) -> Option<&MemoryDetail> {
    sample.stats.memory.as_ref()?.detail.as_deref()
}
