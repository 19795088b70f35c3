//! What memory is used for beyond cAdvisor's metrics: further lines of `memory.stat`. Ours, off by default.

use super::metric::{Metric, Value};
use crate::model::{MemoryDetail, MetricSet};
use crate::snapshot::CgroupSample;

metrics! { Some(MetricSet::MemoryDetail);
    gauge "container_memory_kernel_stack_bytes", "Kernel stacks of the tasks, in bytes.",
        v2 "memory.stat kernel_stack", one |s, _| detail(s)?.kernel_stack_bytes.map(Value::Count);
    gauge "container_memory_pagetables_bytes", "Page tables, in bytes.",
        v2 "memory.stat pagetables", one |s, _| detail(s)?.pagetables_bytes.map(Value::Count);
    gauge "container_memory_percpu_bytes", "Structures that the kernel keeps for each CPU, in bytes.",
        v2 "memory.stat percpu", one |s, _| detail(s)?.percpu_bytes.map(Value::Count);
    gauge "container_memory_sock_bytes", "Network buffers, in bytes.",
        v2 "memory.stat sock", one |s, _| detail(s)?.sock_bytes.map(Value::Count);
    gauge "container_memory_vmalloc_bytes", "Memory that the kernel took by vmalloc, in bytes.",
        v2 "memory.stat vmalloc", one |s, _| detail(s)?.vmalloc_bytes.map(Value::Count);
    gauge "container_memory_shmem_bytes", "Files of tmpfs and shared anonymous memory, in bytes.",
        v1 "memory.stat total_shmem", v2 "memory.stat shmem", one |s, _| detail(s)?.shmem_bytes.map(Value::Count);
    gauge "container_memory_slab_bytes", "Structures in the kernel's slab caches, in bytes.",
        v2 "memory.stat slab", one |s, _| detail(s)?.slab_bytes.map(Value::Count);
    gauge "container_memory_slab_reclaimable_bytes",
        "Structures in slab caches that can be reclaimed, as dentries and inodes, in bytes.",
        v2 "memory.stat slab_reclaimable", one |s, _| detail(s)?.slab_reclaimable_bytes.map(Value::Count);
    gauge "container_memory_slab_unreclaimable_bytes",
        "Structures in slab caches that cannot be reclaimed, in bytes.", v2 "memory.stat slab_unreclaimable",
        one |s, _| detail(s)?.slab_unreclaimable_bytes.map(Value::Count);
    gauge "container_memory_zswap_bytes", "Memory that pages compressed by zswap take, in bytes.",
        v2 "memory.stat zswap", one |s, _| detail(s)?.zswap_bytes.map(Value::Count);
    gauge "container_memory_zswapped_bytes", "Memory that was moved into zswap, in bytes.",
        v2 "memory.stat zswapped", one |s, _| detail(s)?.zswapped_bytes.map(Value::Count);
    gauge "container_memory_swapcached_bytes", "Memory that is in swap and in memory, in bytes.",
        v1 "memory.stat total_swapcached", v2 "memory.stat swapcached",
        one |s, _| detail(s)?.swapcached_bytes.map(Value::Count);
    gauge "container_memory_anon_thp_bytes", "Anonymous memory in transparent huge pages, in bytes.",
        v1 "memory.stat total_rss_huge", v2 "memory.stat anon_thp",
        one |s, _| detail(s)?.anon_thp_bytes.map(Value::Count);
    gauge "container_memory_file_thp_bytes", "Page cache in transparent huge pages, in bytes.",
        v2 "memory.stat file_thp", one |s, _| detail(s)?.file_thp_bytes.map(Value::Count);
    gauge "container_memory_active_anon_bytes", "Anonymous memory on the active list, in bytes.",
        v1 "memory.stat total_active_anon", v2 "memory.stat active_anon",
        one |s, _| detail(s)?.active_anon_bytes.map(Value::Count);
    gauge "container_memory_inactive_anon_bytes", "Anonymous memory on the inactive list, in bytes.",
        v1 "memory.stat total_inactive_anon", v2 "memory.stat inactive_anon",
        one |s, _| detail(s)?.inactive_anon_bytes.map(Value::Count);
    gauge "container_memory_unevictable_bytes", "Memory that cannot be reclaimed, as it is locked, in bytes.",
        v1 "memory.stat total_unevictable", v2 "memory.stat unevictable",
        one |s, _| detail(s)?.unevictable_bytes.map(Value::Count);
    counter "container_memory_workingset_activate_anon_total",
        "Refaulted anonymous pages that were made active at once.", v2 "memory.stat workingset_activate_anon",
        one |s, _| detail(s)?.workingset_activate_anon.map(Value::Count);
    counter "container_memory_workingset_activate_file_total", "Refaulted file pages that were made active at once.",
        v2 "memory.stat workingset_activate_file", one |s, _| detail(s)?.workingset_activate_file.map(Value::Count);
    counter "container_memory_workingset_restore_anon_total",
        "Refaulted anonymous pages that had been active when they were reclaimed.",
        v2 "memory.stat workingset_restore_anon", one |s, _| detail(s)?.workingset_restore_anon.map(Value::Count);
    counter "container_memory_workingset_restore_file_total",
        "Refaulted file pages that had been active when they were reclaimed.",
        v2 "memory.stat workingset_restore_file", one |s, _| detail(s)?.workingset_restore_file.map(Value::Count);
    counter "container_memory_workingset_nodereclaim_total",
        "Times that a node of the working set's shadow entries was reclaimed.",
        v2 "memory.stat workingset_nodereclaim", one |s, _| detail(s)?.workingset_nodereclaim.map(Value::Count);
    counter "container_memory_zswpin_total", "Pages read back from zswap.",
        v2 "memory.stat zswpin", one |s, _| detail(s)?.zswpin.map(Value::Count);
    counter "container_memory_zswpout_total", "Pages moved into zswap.",
        v2 "memory.stat zswpout", one |s, _| detail(s)?.zswpout.map(Value::Count);
    counter "container_memory_zswpwb_total", "Pages written from zswap to swap.",
        v2 "memory.stat zswpwb", one |s, _| detail(s)?.zswpwb.map(Value::Count);
    peak "container_memory_swap_max_usage_bytes", "Largest swap usage recorded, in bytes.",
        v2 "memory.swap.peak (since 6.5)", one |s, _| s.stats.memory.as_ref()?.swap_peak_bytes.map(Value::Count);
}

fn detail(sample: &CgroupSample) -> Option<&MemoryDetail> {
    sample.stats.memory.as_ref()?.detail.as_deref()
}
