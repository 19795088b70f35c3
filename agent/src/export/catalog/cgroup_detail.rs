//! Values of v2 that cAdvisor does not have. Ours, off by default.

use super::io::counts;
use super::metric::{Metric, Value};
use crate::model::MetricSet;

metrics! { Some(MetricSet::CgroupDetail);
    gauge "container_cgroup_descendants", "Cgroups below this one.",
        v2 "cgroup.stat nr_descendants", count |s| s.stats.descendants?.living;
    gauge "container_cgroup_dying_descendants", "Cgroups below this one that are removed but not freed yet.",
        v2 "cgroup.stat nr_dying_descendants", count |s| s.stats.descendants?.dying;
    counter "container_cpu_nice_seconds_total", "Cumulative user CPU time at a lower priority, in seconds.",
        v2 "cpu.stat nice_usec (since 6.14), with set cpu",
        one |s, _| s.stats.cpu.as_ref()?.nice_nsec.map(Value::Nanoseconds);
    counter "container_pressure_irq_stalled_seconds_total", "Total time taken by interrupts, in seconds.",
        v2 "irq.pressure full total (since 6.1)",
        one |s, _| s.stats.pressure.irq.as_ref()?.full.map(|line| Value::Microseconds(line.total_usec));
    counter "container_fs_discards_bytes_total", "Cumulative count of bytes discarded.",
        v1 "blkio io_service_bytes Discard, with set diskIO", v2 "io.stat dbytes, with set diskIO",
        labels &["device"], many |s, _, emit| counts(s, emit, |d| d.discard_bytes);
    counter "container_fs_discards_total", "Cumulative count of discards completed.",
        v1 "blkio io_serviced Discard, with set diskIO", v2 "io.stat dios, with set diskIO", labels &["device"],
        many |s, _, emit| counts(s, emit, |d| d.discards);
}
