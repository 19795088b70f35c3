//! Processor time: `cpuacct.*` and `cpu.stat` on v1, `cpu.stat` on v2.

use super::metric::LabelValue::Text;
use super::metric::{Emit, LabelValue, Metric, Scope, Value};
use crate::model::{CpuStats, Limit, MetricSet};
use crate::snapshot::CgroupSample;

metrics! { Some(MetricSet::Cpu);
    counter "container_cpu_user_seconds_total", "Cumulative user CPU time consumed, in seconds.",
        v1 "cpuacct.stat user", v2 "cpu.stat user_usec", one |s, _| cpu(s)?.user_nsec.map(Value::Nanoseconds);
    counter "container_cpu_system_seconds_total", "Cumulative system CPU time consumed, in seconds.",
        v1 "cpuacct.stat system", v2 "cpu.stat system_usec", one |s, _| cpu(s)?.system_nsec.map(Value::Nanoseconds);
    counter "container_cpu_usage_seconds_total", "Cumulative CPU time consumed, in seconds.",
        v1 "cpuacct.usage_percpu with set percpu, else cpuacct.usage", v2 "cpu.stat usage_usec", labels &["cpu"],
        many usage;
    counter "container_cpu_cfs_periods_total", "Number of elapsed enforcement intervals of the CPU quota.",
        both "cpu.stat nr_periods, while a quota is set", count |s| with_quota(s)?.periods;
    counter "container_cpu_cfs_throttled_periods_total", "Number of enforcement intervals with throttling.",
        both "cpu.stat nr_throttled, while a quota is set", count |s| with_quota(s)?.throttled_periods;
    counter "container_cpu_cfs_throttled_seconds_total",
        "Total time for which the container was throttled, in seconds.",
        v1 "cpu.stat throttled_time, while a quota is set", v2 "cpu.stat throttled_usec, while a quota is set",
        one |s, _| with_quota(s)?.throttled_nsec.map(Value::Nanoseconds);
    counter "container_cpu_cfs_burst_periods_total", "Number of enforcement intervals with a burst.",
        both "cpu.stat nr_bursts (since 5.14), while a quota is set", count |s| with_quota(s)?.burst_periods;
    counter "container_cpu_cfs_burst_seconds_total",
        "Total time that the container ran above its quota in bursts, in seconds.",
        v1 "cpu.stat burst_time (since 5.14), while a quota is set",
        v2 "cpu.stat burst_usec (since 5.14), while a quota is set",
        one |s, _| with_quota(s)?.burst_nsec.map(Value::Nanoseconds);
}

pub(super) fn cpu(sample: &CgroupSample) -> Option<&CpuStats> {
    sample.stats.cpu.as_ref()
}

/// cAdvisor shows these counters only while a quota is set; without one the kernel does not advance them.
fn with_quota(sample: &CgroupSample) -> Option<&CpuStats> {
    cpu(sample).filter(|cpu| matches!(cpu.quota_usec, Some(Limit::Value(_))))
}

/// By CPU where v1 has that and the operator wants it. A CPU that the cgroup never ran on is left out, as in cAdvisor:
/// most hosts have more possible CPUs than real ones.
fn usage(sample: &CgroupSample, scope: &Scope<'_>, emit: &mut Emit<'_>) {
    let Some(cpu) = cpu(sample) else { return };
    if let Some(per_cpu) = cpu.per_cpu_nsec.as_deref().filter(|_| scope.sets.has(MetricSet::PerCpu)) {
        for (number, &nsec) in per_cpu.iter().enumerate().filter(|&(_, &nsec)| nsec > 0) {
            emit(&[("cpu", LabelValue::Cpu(number))], Value::Nanoseconds(nsec));
        }
    } else if let Some(nsec) = cpu.usage_nsec {
        emit(&[("cpu", Text("total"))], Value::Nanoseconds(nsec));
    }
}
