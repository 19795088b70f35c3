//! Run queue times, states and load averages of tasks, and the memory that they touch.

use super::metric::{Emit, Metric, Value, emit_counts};
use crate::model::MetricSet;
use crate::snapshot::CgroupSample;

metrics! { Some(MetricSet::CpuLoad);
    counter "container_cpu_schedstat_run_seconds_total", "Time on a CPU, in seconds.",
        set Some(MetricSet::Sched),
        both "/proc/<pid>/task/<tid>/schedstat, all threads; of ended ones what was last seen",
        one |s, _| s.stats.tasks.sched.map(|sched| Value::Nanoseconds(sched.run_nsec));
    counter "container_cpu_schedstat_runqueue_seconds_total", "Time of waiting for a CPU, in seconds.",
        set Some(MetricSet::Sched),
        both "/proc/<pid>/task/<tid>/schedstat, all threads; of ended ones what was last seen",
        one |s, _| s.stats.tasks.sched.map(|sched| Value::Nanoseconds(sched.runqueue_nsec));
    counter "container_cpu_schedstat_run_periods_total", "Times that a thread was put on a CPU.",
        set Some(MetricSet::Sched),
        both "/proc/<pid>/task/<tid>/schedstat, all threads; of ended ones what was last seen",
        count |s| Some(s.stats.tasks.sched?.run_periods);
    gauge "container_cpu_load_average_10s", "Threads that run or want to, mean over 10 seconds, times 1000.",
        both "/proc/<pid>/task/<tid>/stat R, at each reading, with --enable-load-reader",
        count |s| Some(s.stats.tasks.load?.running_milli);
    gauge "container_cpu_load_d_average_10s", "Threads in uninterruptible sleep, mean over 10 seconds, times 1000.",
        both "/proc/<pid>/task/<tid>/stat D, at each reading, with --enable-load-reader",
        count |s| Some(s.stats.tasks.load?.uninterruptible_milli);
    gauge "container_tasks_state", "Number of threads in a state.",
        both "/proc/<pid>/task/<tid>/stat, with --enable-load-reader", labels &["state"],
        many |s, _, emit| states(s, emit);
    gauge "container_referenced_bytes", "Memory referenced since it was last cleared, in bytes.",
        set Some(MetricSet::ReferencedMemory), both "/proc/<pid>/smaps_rollup Referenced",
        count |s| s.stats.tasks.referenced_bytes;
}

/// cAdvisor's `iowaiting` has no source in `/proc`: a task that waits for a disk is `uninterruptible`.
fn states(sample: &CgroupSample, emit: &mut Emit<'_>) {
    let Some(tasks) = &sample.stats.tasks.states else { return };
    let counts = [
        ("sleeping", tasks.sleeping),
        ("running", tasks.running),
        ("stopped", tasks.stopped),
        ("uninterruptible", tasks.uninterruptible),
    ];
    emit_counts(emit, "state", counts);
}
