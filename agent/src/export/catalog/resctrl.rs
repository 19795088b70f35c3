//! Monitoring of the last-level cache and of memory bandwidth: resctrl. Off by default, as in cAdvisor.
//!
//! The agent reads groups that others made: the whole machine's, and those that a runtime made for its containers.
//! cAdvisor makes groups of its own and moves tasks into them. Each takes one of the processor's few monitoring ids, and a
//! task that forks meanwhile is left out. The operator of the node should decide that, not its monitor.

use super::metric::LabelValue::Number;
use super::metric::{Emit, Metric, Value};
use crate::model::{CacheDomain, MetricSet};
use crate::snapshot::CgroupSample;

const NODE: &[&str] = &["node_id"];

metrics! { Some(MetricSet::Resctrl);
    gauge "container_memory_bandwidth_bytes", "Bytes moved to and from memory, by domain of the last-level cache.",
        both "resctrl mon_data/mon_L3_*/mbm_total_bytes, of the group that the runtime made", labels NODE,
        many |s, _, emit| each(s, emit, |domain| domain.bandwidth_bytes);
    gauge "container_memory_bandwidth_local_bytes",
        "Bytes moved to and from the domain's own memory, by domain of the last-level cache.",
        both "resctrl mon_data/mon_L3_*/mbm_local_bytes, of the group that the runtime made", labels NODE,
        many |s, _, emit| each(s, emit, |domain| domain.local_bandwidth_bytes);
    gauge "container_llc_occupancy_bytes", "Last-level cache in use, by its domain, in bytes.",
        both "resctrl mon_data/mon_L3_*/llc_occupancy, of the group that the runtime made", labels NODE,
        many |s, _, emit| each(s, emit, |domain| domain.occupancy_bytes);
}

fn each(sample: &CgroupSample, emit: &mut Emit<'_>, pick: fn(&CacheDomain) -> Option<u64>) {
    let Some(hardware) = &sample.stats.hardware else { return };
    for domain in &hardware.cache_domains {
        if let Some(bytes) = pick(domain) {
            emit(&[("node_id", Number(domain.id))], Value::Count(bytes));
        }
    }
}
