//! Memory and swap: `memory.*`.

use super::metric::LabelValue::Text;
use super::metric::{Emit, Metric, Scope, Value};
use crate::model::{MemoryEvents, MemoryStat, MemoryStats, MetricSet};
use crate::snapshot::CgroupSample;

metrics! { Some(MetricSet::Memory);
    gauge "container_memory_cache", "Page cache memory, in bytes.",
        v1 "memory.stat total_cache", v2 "memory.stat file", count |s| stat(s)?.file_bytes;
    gauge "container_memory_rss", "Anonymous memory (RSS), in bytes.",
        v1 "memory.stat total_rss", v2 "memory.stat anon", count |s| stat(s)?.anon_bytes;
    gauge "container_memory_kernel_usage", "Kernel memory allocated, in bytes.",
        v1 "memory.kmem.usage_in_bytes", v2 "memory.stat kernel (since 5.18)",
        count |s| memory(s)?.kernel_bytes.or(stat(s)?.kernel_bytes);
    gauge "container_memory_mapped_file", "Memory-mapped files, in bytes.",
        v1 "memory.stat total_mapped_file", v2 "memory.stat file_mapped", count |s| stat(s)?.file_mapped_bytes;
    gauge "container_memory_swap", "Swap used, in bytes.",
        v1 "memory.stat total_swap", v2 "memory.swap.current",
        count |s| memory(s)?.swap_bytes.or(stat(s)?.swap_bytes);
    counter "container_memory_failcnt", "Number of times that memory usage hit its limit.",
        v1 "memory.failcnt", v2 "memory.events max", count |s| memory(s)?.failcnt.or(events(s)?.max);
    gauge "container_memory_usage_bytes", "Current memory usage, in bytes, with all kinds of page cache.",
        v1 "memory.usage_in_bytes", v2 "memory.current; root: memory.stat anon + file",
        count |s| memory(s)?.usage_bytes;
    peak "container_memory_max_usage_bytes", "Largest memory usage recorded, in bytes.",
        v1 "memory.max_usage_in_bytes", v2 "memory.peak (since 5.19)", count |s| memory(s)?.peak_bytes;
    gauge "container_memory_working_set_bytes", "Current working set: usage less inactive file pages, in bytes.",
        v1 "memory.usage_in_bytes - memory.stat total_inactive_file", v2 "memory.current - memory.stat inactive_file",
        count |s| memory(s)?.working_set_bytes();
    gauge "container_memory_total_active_file_bytes", "Active file pages, in bytes.",
        v1 "memory.stat total_active_file", v2 "memory.stat active_file", count |s| stat(s)?.active_file_bytes;
    gauge "container_memory_total_inactive_file_bytes", "Inactive file pages, in bytes.",
        v1 "memory.stat total_inactive_file", v2 "memory.stat inactive_file", count |s| stat(s)?.inactive_file_bytes;
    counter "container_memory_failures_total", "Cumulative count of page faults, by kind and scope.",
        v1 "memory.stat pgfault, pgmajfault (container), total_pgfault, total_pgmajfault (hierarchy)",
        v2 "memory.stat pgfault, pgmajfault (hierarchical, so the same for both scopes)",
        labels &["failure_type", "scope"], many failures;
    counter "container_memory_events_high_total", "Times that usage passed the high boundary and was throttled.",
        v2 "memory.events high", count |s| events(s)?.high;
    counter "container_memory_events_max_total", "Times that usage was about to pass the limit.",
        v2 "memory.events max", count |s| events(s)?.max;
    gauge "container_memory_file_dirty_bytes", "File pages not written back yet, in bytes.",
        v1 "memory.stat total_dirty", v2 "memory.stat file_dirty", count |s| stat(s)?.file_dirty_bytes;
    gauge "container_memory_file_writeback_bytes", "File pages being written back, in bytes.",
        v1 "memory.stat total_writeback", v2 "memory.stat file_writeback", count |s| stat(s)?.file_writeback_bytes;
    counter "container_memory_pgscan_total", "Pages scanned for reclaim.",
        v2 "memory.stat pgscan", count |s| stat(s)?.pgscan;
    counter "container_memory_pgsteal_total", "Pages reclaimed.",
        v2 "memory.stat pgsteal", count |s| stat(s)?.pgsteal;
    counter "container_memory_workingset_refault_file_total", "Refaults of file pages evicted before.",
        both "memory.stat workingset_refault_file", count |s| stat(s)?.workingset_refault_file;
    counter "container_memory_workingset_refault_anon_total", "Refaults of anonymous pages evicted before.",
        both "memory.stat workingset_refault_anon", count |s| stat(s)?.workingset_refault_anon;
}

pub(super) fn memory(sample: &CgroupSample) -> Option<&MemoryStats> {
    sample.stats.memory.as_ref()
}

fn stat(sample: &CgroupSample) -> Option<&MemoryStat> {
    memory(sample).map(|memory| &memory.stat)
}

fn events(sample: &CgroupSample) -> Option<&MemoryEvents> {
    memory(sample).map(|memory| &memory.events)
}

/// cAdvisor prints v1's own counters under both scopes; here `hierarchy` is the hierarchical one.
fn failures(sample: &CgroupSample, _: &Scope<'_>, emit: &mut Emit<'_>) {
    let Some(stat) = stat(sample) else { return };
    for (kind, scope, value) in [
        ("pgfault", "container", stat.pgfault),
        ("pgfault", "hierarchy", stat.hierarchical_pgfault),
        ("pgmajfault", "container", stat.pgmajfault),
        ("pgmajfault", "hierarchy", stat.hierarchical_pgmajfault),
    ] {
        if let Some(value) = value {
            let labels = [("failure_type", Text(kind)), ("scope", Text(scope))];
            emit(&labels, Value::Count(value));
        }
    }
}
