//! Memory by NUMA node, and whether it follows the cgroup's nodes. Off by default, as in cAdvisor.

use super::metric::LabelValue::{Number, Text};
use super::metric::{Emit, Metric, Value};
use crate::model::MetricSet;
use crate::snapshot::CgroupSample;

metrics! { Some(MetricSet::Cpuset);
    gauge "container_memory_numa_pages", "Pages of the base size in use, by NUMA node.",
        set Some(MetricSet::MemoryNuma), v1 "memory.numa_stat",
        v2 "memory.numa_stat (since 5.10, hierarchical), bytes by page size", labels &["type", "scope", "node"],
        many |s, _, emit| pages(s, emit);
    gauge "container_memory_migrate", "1 if memory moves when the cgroup's memory nodes change.",
        v1 "cpuset.memory_migrate", count |s| s.stats.memory_migrate.map(Into::into);
}

fn pages(sample: &CgroupSample, emit: &mut Emit<'_>) {
    let numa = sample.stats.memory.as_ref().and_then(|memory| memory.numa.as_deref());
    for row in numa.unwrap_or_default() {
        let scope = if row.hierarchical { "hierarchy" } else { "container" };
        let labels = [("type", Text(row.kind.as_str())), ("scope", Text(scope)), ("node", Number(row.node))];
        emit(&labels, Value::Count(row.pages));
    }
}
