//! How often memory and swap limits were reached: `memory.events` and similar files (v2). Ours, off by default.

use super::metric::{Emit, Metric, emit_counts};
use crate::model::{MemoryEvents, MetricSet};
use crate::snapshot::CgroupSample;

metrics! { Some(MetricSet::MemoryEvents);
    counter "container_memory_events_low_total", "Times that memory below the reservation was reclaimed.",
        v2 "memory.events low", count |s| s.stats.memory.as_ref()?.events.low;
    counter "container_memory_events_oom_total", "Times that usage was at the limit and an allocation failed.",
        v2 "memory.events oom", count |s| s.stats.memory.as_ref()?.events.oom;
    counter "container_memory_events_oom_kill_total", "Processes killed for memory, as the kernel counts them.",
        v2 "memory.events oom_kill", count |s| s.stats.memory.as_ref()?.events.oom_kill;
    counter "container_memory_events_oom_group_kill_total", "Times that a whole group was killed for memory.",
        v2 "memory.events oom_group_kill (since 5.17)", count |s| s.stats.memory.as_ref()?.events.oom_group_kill;
    counter "container_memory_events_local_total",
        "Times that the cgroup alone, without those below it, met a memory limit, by event.",
        v2 "memory.events.local (since 5.2)", labels &["event"], many |s, _, emit| local(s, emit);
    counter "container_memory_swap_events_total", "Times that a swap limit was met, by event.",
        v2 "memory.swap.events", labels &["event"], many |s, _, emit| swap(s, emit);
}

fn local(sample: &CgroupSample, emit: &mut Emit<'_>) {
    let Some(memory) = &sample.stats.memory else { return };
    let MemoryEvents { low, high, max, oom, oom_kill, oom_group_kill } = memory.events_local;
    let killed = [("oom", oom), ("oom_kill", oom_kill), ("oom_group_kill", oom_group_kill)];
    emit_counts(emit, "event", [("low", low), ("high", high), ("max", max)].into_iter().chain(killed));
}

fn swap(sample: &CgroupSample, emit: &mut Emit<'_>) {
    let Some(memory) = &sample.stats.memory else { return };
    let swap = &memory.swap_events;
    emit_counts(emit, "event", [("high", swap.high), ("max", swap.max), ("fail", swap.fail)]);
}
