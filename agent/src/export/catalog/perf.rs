//! Performance events: `perf_event_open`, as the file of `--perf-events-config` asks for.

use super::metric::LabelValue::{Number, Text};
use super::metric::{Emit, Metric, Scope, Value};
use crate::model::{MetricSet, PerfCounts, Scaled, UncoreCount};
use crate::snapshot::CgroupSample;

const EVENT: &[&str] = &["cpu", "event"];
const UNCORE: &[&str] = &["socket", "event", "pmu"];

metrics! { Some(MetricSet::PerfEvent);
    counter "container_perf_events_total",
        "Performance events, extrapolated over the time in which they were not counted.",
        both "perf_event_open of the cgroup; the root: of all processes, since the first reading", labels EVENT,
        many |s, scope, emit| each(s, scope, emit, total, |count| Value::Count(count.count));
    gauge "container_perf_events_scaling_ratio",
        "Part of the time in which a performance event was counted; the least of all CPUs.",
        both "perf_event_open time_running / time_enabled", labels EVENT,
        many |s, scope, emit| each(s, scope, emit, least, |count| Value::Float(count.running_ratio));
    counter "container_perf_uncore_events_total",
        "Performance events outside of the cores, extrapolated over the time in which they were not counted.",
        both "perf_event_open of /sys/bus/event_source/devices/uncore_*; the root alone", labels UNCORE,
        many |s, _, emit| uncore(s, emit, |count| Value::Count(count.count));
    gauge "container_perf_uncore_events_scaling_ratio",
        "Part of the time in which a performance event outside of the cores was counted.",
        both "perf_event_open time_running / time_enabled; the root alone", labels UNCORE,
        many |s, _, emit| uncore(s, emit, |count| Value::Float(count.running_ratio));
}

/// With `percpu` one sample for each CPU; else one without that label, which `merge` makes of all.
fn each(
    sample: &CgroupSample,
    scope: &Scope<'_>,
    emit: &mut Emit<'_>,
    merge: fn(&PerfCounts) -> Option<Value>,
    value: fn(Scaled) -> Value,
) {
    let Some(hardware) = &sample.stats.hardware else { return };
    for counts in &hardware.perf {
        let event = ("event", Text(&counts.event));
        if scope.sets.has(MetricSet::PerCpu) {
            for &(cpu, count) in &counts.cpus {
                emit(&[("cpu", Number(cpu)), event], value(count));
            }
        } else if let Some(value) = merge(counts) {
            emit(&[("cpu", Text("")), event], value);
        }
    }
}

fn total(counts: &PerfCounts) -> Option<Value> {
    let all = counts.cpus.iter().map(|(_, counted)| counted.count);
    all.reduce(u64::saturating_add).map(Value::Count)
}

fn least(counts: &PerfCounts) -> Option<Value> {
    counts.cpus.iter().map(|(_, counted)| counted.running_ratio).reduce(f64::min).map(Value::Float)
}

fn uncore(sample: &CgroupSample, emit: &mut Emit<'_>, value: fn(Scaled) -> Value) {
    let Some(hardware) = &sample.stats.hardware else { return };
    for UncoreCount { event, pmu, socket, count } in &hardware.uncore {
        let labels = [("socket", Number(*socket)), ("event", Text(event)), ("pmu", Text(pmu))];
        emit(&labels, value(*count));
    }
}

#[cfg(test)]
mod tests {
    use super::super::metric::LabelValue;
    use super::*;
    use crate::export::fixtures::{machine, sample, stats_v2};
    use crate::model::{Identity, MetricSets};

    fn shown(sets: MetricSets) -> Vec<String> {
        let machine = machine();
        let (scope, sample) =
            (Scope { sets, machine: &machine }, sample(b"/a", Identity::default(), stats_v2()));
        let mut found = Vec::new();
        let mut emit = |labels: &[(&str, LabelValue<'_>)], value: Value| {
            found.push(format!("{:?} {value:?}", labels[0].1));
        };
        each(&sample, &scope, &mut emit, total, |count| Value::Count(count.count));
        each(&sample, &scope, &mut emit, least, |count| Value::Float(count.running_ratio));
        found
    }

    #[test]
    fn by_cpu_where_that_is_wanted_else_one_sum_and_the_least_ratio() {
        let by_cpu = [
            "Number(0) Count(1234567)",
            "Number(2) Count(3)",
            "Number(0) Float(1.0)",
            "Number(2) Float(0.5)",
        ];
        assert_eq!(shown(MetricSets::all()), by_cpu);
        let all = ["Text(\"\") Count(1234570)", "Text(\"\") Float(0.5)"];
        assert_eq!(shown(MetricSets::all().without(MetricSet::PerCpu)), all);
    }
}
