//! OOM kills that the agent saw.

use super::metric::Metric;
use crate::model::MetricSet;
use crate::snapshot::CgroupSample;

metrics! { Some(MetricSet::OomEvent);
    counter "container_oom_events_total", "Processes of the container that the kernel killed for memory.",
        both "oom:mark_victim events", count kills;
}

/// Every living cgroup with memory has a sample, also with 0: so the first kill is an increase and not a new series. A
/// removed cgroup has one only if it had kills: a 0 for each container that ever lived would be noise.
fn kills(sample: &CgroupSample) -> Option<u64> {
    let living = !sample.removed && sample.stats.memory.is_some();
    (living || sample.oom_kills > 0).then_some(sample.oom_kills)
}
