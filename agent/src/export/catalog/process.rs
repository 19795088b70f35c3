//! Tasks: `pids.*`. Off by default, as in cAdvisor.

use super::metric::{Metric, Value};
use crate::model::{MetricSet, PidsStats};
use crate::snapshot::CgroupSample;

pub(super) const METRICS: &[Metric] = &[
    Metric::gauge("container_threads", "Number of threads running inside the container.")
        .set(MetricSet::Process)
        .both("pids.current")
        .one(|s, _| pids(s)?.current.map(Value::Count)),
    Metric::gauge("container_threads_max", "Most threads allowed inside the container; 0 is no limit.")
        .set(MetricSet::Process)
        .both("pids.max")
        .one(|s, _| pids(s)?.limit.map(|limit| Value::Count(limit.value().unwrap_or(0)))),
    Metric::gauge("container_threads_peak", "Most threads that ran inside the container at once.")
        .set(MetricSet::Process)
        .outlives()
        .both("pids.peak (since 6.1)")
        .one(|s, _| pids(s)?.peak.map(Value::Count)),
    Metric::counter(
        "container_threads_limit_events_total",
        "Times that a thread could not be started for the limit.",
    )
    .set(MetricSet::Process)
    .both("pids.events max")
    .one(|s, _| pids(s)?.limit_events.map(Value::Count)),
];

fn pids(sample: &CgroupSample) -> Option<&PidsStats> {
    sample.stats.pids.as_ref()
}
