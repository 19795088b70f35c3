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
];

fn pids(sample: &CgroupSample) -> Option<&PidsStats> {
    sample.stats.pids.as_ref()
}
