//! Stall times: `*.pressure` (v2 only). Waiting is the kernel's `some`, stalled its `full`.

use super::metric::{Metric, Value};
use crate::model::{MetricSet, PressureLine};

metrics! { Some(MetricSet::Pressure);
    counter "container_pressure_cpu_stalled_seconds_total",
        "Total time in which no task could make progress for lack of CPU, in seconds.",
        v2 "cpu.pressure full total (since 5.13)", one |s, _| seconds(s.stats.pressure.cpu.as_ref()?.full);
    counter "container_pressure_cpu_waiting_seconds_total", "Total time in which tasks waited for CPU, in seconds.",
        v2 "cpu.pressure some total", one |s, _| seconds(s.stats.pressure.cpu.as_ref()?.some);
    counter "container_pressure_memory_stalled_seconds_total",
        "Total time in which no task could make progress for lack of memory, in seconds.",
        v2 "memory.pressure full total", one |s, _| seconds(s.stats.pressure.memory.as_ref()?.full);
    counter "container_pressure_memory_waiting_seconds_total",
        "Total time in which tasks waited for memory, in seconds.", v2 "memory.pressure some total",
        one |s, _| seconds(s.stats.pressure.memory.as_ref()?.some);
    counter "container_pressure_io_stalled_seconds_total",
        "Total time in which no task could make progress for waiting on I/O, in seconds.",
        v2 "io.pressure full total", one |s, _| seconds(s.stats.pressure.io.as_ref()?.full);
    counter "container_pressure_io_waiting_seconds_total", "Total time in which tasks waited for I/O, in seconds.",
        v2 "io.pressure some total", one |s, _| seconds(s.stats.pressure.io.as_ref()?.some);
}

fn seconds(line: Option<PressureLine>) -> Option<Value> {
    line.map(|line| Value::Microseconds(line.total_usec))
}
