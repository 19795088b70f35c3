//! The declarations are sound, and code sets each metric.

mod page;

use std::collections::{BTreeMap, BTreeSet};

use crate::export::catalog::{Kind, Metric, Scope, Value, Values, metrics};
use crate::export::fixtures::{machine, names, sample, snapshot, stats_v1, stats_v2};
use crate::model::{CgroupStats, CpuStats, Identity, Limit, MemoryStats, MetricSet, MetricSets, SampleLabel};
use crate::snapshot::CgroupSample;

type Samples = Vec<(Vec<String>, Value)>;

fn samples_of(metric: &Metric, stats: CgroupStats, sets: MetricSets) -> Samples {
    let machine = machine();
    let scope = Scope { sets, machine: &machine };
    // A cgroup without known values has no names either.
    let names = (stats != CgroupStats::default()).then(|| names("web"));
    let unit_description = names.is_some().then(|| "Web server".into());
    let sample =
        CgroupSample { names, unit_description, ..sample(b"/a.slice/b", Identity::default(), stats) };
    let mut found = Vec::new();
    match metric.values {
        Values::Count(value) => found.extend(value(&sample).map(|count| (Vec::new(), Value::Count(count)))),
        Values::One(value) => found.extend(value(&sample, &scope).map(|value| (Vec::new(), value))),
        Values::Many(values) => values(&sample, &scope, &mut |labels, value| {
            assert!(
                labels.iter().map(|(name, _)| *name).eq(metric.labels.iter().copied()),
                "{}",
                metric.name
            );
            found.push((labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect(), value));
        }),
        Values::Machine(value) => {
            found.extend(value(&machine).map(|count| (Vec::new(), Value::Count(count))));
        }
        Values::MachineMany(values) => values(&machine, &mut |labels, value| {
            let names = labels.iter().map(|(name, _)| *name);
            assert!(names.eq(metric.labels.iter().copied()), "{}", metric.name);
            found.push((labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect(), value));
        }),
        Values::Node(value) => found.push((Vec::new(), value(&snapshot(Vec::new())))),
    }
    found
}

fn named(name: &str) -> &'static Metric {
    metrics().find(|metric| metric.name == name).unwrap()
}

fn values(name: &str, stats: CgroupStats) -> Vec<Value> {
    samples_of(named(name), stats, MetricSets::all()).into_iter().map(|(_, value)| value).collect()
}

#[test]
fn names_are_unique_valid_and_have_help() {
    let mut families = BTreeSet::new();
    for metric in metrics() {
        let family = metric.name.strip_suffix("_total").unwrap_or(metric.name);
        assert!(families.insert(family), "{} is declared twice or collides in OpenMetrics", metric.name);
        assert!(
            metric.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
            "{family}"
        );
        assert!(metric.help.len() > 10 && metric.help.ends_with('.'), "{family}");
        assert!(metric.source_v1.is_some() || metric.source_v2.is_some(), "{family} has no source");
    }
    assert!(families.len() > 60);
}

#[test]
fn only_counters_end_in_total() {
    // cAdvisor's names of gauges that do.
    let inherited = |name: &str| name.ends_with("_failcnt") || is_cadvisors_gauge(name);
    for metric in metrics().filter(|metric| !inherited(metric.name)) {
        assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
    }
}

/// Gauges with a counter's name.
fn is_cadvisors_gauge(name: &str) -> bool {
    let rest = name.strip_prefix("container_network_").unwrap_or_default();
    name == "container_fs_inodes_total"
        || [
            "tcp_usage_total",
            "tcp6_usage_total",
            "udp_usage_total",
            "udp6_usage_total",
            "advance_tcp_stats_total",
        ]
        .contains(&rest)
}

#[test]
fn no_label_collides_with_the_cgroups_labels() {
    for metric in metrics() {
        for label in metric.labels {
            assert!(SampleLabel::ALL.iter().all(|base| base.as_str() != *label), "{} {label}", metric.name);
        }
    }
}

#[test]
fn every_metric_is_set_exactly_where_it_declares_a_source() {
    for metric in metrics() {
        for (version, source, stats) in
            [("v1", metric.source_v1, stats_v1()), ("v2", metric.source_v2, stats_v2())]
        {
            let samples = samples_of(metric, stats, MetricSets::all());
            assert_eq!(!samples.is_empty(), source.is_some(), "{} on {version}: {samples:?}", metric.name);
            let series: BTreeSet<_> = samples.iter().map(|(labels, _)| labels).collect();
            assert_eq!(series.len(), samples.len(), "{}: one series twice", metric.name);
        }
    }
}

#[test]
fn nothing_is_made_up_for_an_empty_cgroup() {
    for metric in metrics().filter(|metric| metric.name != "container_last_seen") {
        if matches!(metric.values, Values::Count(_) | Values::One(_) | Values::Many(_)) {
            let samples = samples_of(metric, CgroupStats::default(), MetricSets::all());
            assert!(samples.is_empty(), "{}: {samples:?}", metric.name);
        }
    }
}

#[test]
fn the_sets_that_are_served_are_those_with_metrics() {
    let mut with_metrics: BTreeSet<_> = metrics().filter_map(|metric| metric.set).collect();
    with_metrics.insert(MetricSet::PerCpu); // changes container_cpu_usage_seconds_total and has no name of its own
    let served: BTreeSet<_> = MetricSet::ALL.into_iter().filter(|set| *set != MetricSet::App).collect();
    assert_eq!(served, with_metrics);
}

#[test]
fn no_limit_is_zero_for_memory_and_absent_for_cpu() {
    let memory = MemoryStats {
        limit: Some(Limit::Max),
        swap_limit: Some(Limit::Max),
        reservation: Some(Limit::Max),
        ..MemoryStats::default()
    };
    let cpu = CpuStats { quota_usec: Some(Limit::Max), periods: Some(3), ..CpuStats::default() };
    let stats = CgroupStats { memory: Some(memory), cpu: Some(cpu), ..CgroupStats::default() };
    for name in [
        "container_spec_memory_limit_bytes",
        "container_spec_memory_swap_limit_bytes",
        "container_spec_memory_reservation_limit_bytes",
    ] {
        assert_eq!(values(name, stats.clone()), [Value::Count(0)], "{name}");
    }
    for name in ["container_spec_cpu_quota", "container_cpu_cfs_periods_total"] {
        assert_eq!(values(name, stats.clone()), [], "{name}");
    }
}

#[test]
fn the_root_shows_the_machines_size() {
    let machine = machine();
    let scope = Scope { sets: MetricSets::default(), machine: &machine };
    let root = sample(b"/", Identity::default(), stats_v1());
    let Values::One(value) = named("container_spec_memory_limit_bytes").values else { panic!() };
    assert_eq!(value(&root, &scope), Some(Value::Count(16_000_000_000)));
}

#[test]
fn shares_come_from_the_weight_on_v2() {
    for (weight, shares) in [(1, 2), (20, 500), (39, 998), (100, 2_597), (10_000, 262_144)] {
        let cpu = CpuStats { weight: Some(weight), ..CpuStats::default() };
        let stats = CgroupStats { cpu: Some(cpu), ..CgroupStats::default() };
        assert_eq!(values("container_spec_cpu_shares", stats), [Value::Count(shares)], "{weight}");
    }
    for weight in [0, u64::MAX] {
        let cpu = CpuStats { weight: Some(weight), ..CpuStats::default() };
        let stats = CgroupStats { cpu: Some(cpu), ..CgroupStats::default() };
        assert_eq!(values("container_spec_cpu_shares", stats), [], "{weight}");
    }
}

#[test]
fn cpu_time_is_by_cpu_only_where_read_and_wanted() {
    let usage = named("container_cpu_usage_seconds_total");
    let labels = |stats, sets| -> BTreeMap<String, Value> {
        samples_of(usage, stats, sets).into_iter().map(|(labels, value)| (labels.concat(), value)).collect()
    };
    let total = BTreeMap::from([("cpu=Text(\"total\")".to_owned(), Value::Nanoseconds(12_345_678_901_234))]);
    assert_eq!(labels(stats_v2(), MetricSets::all()), total);
    assert_eq!(labels(stats_v1(), MetricSets::all().without(MetricSet::PerCpu)), total);
    let by_cpu = labels(stats_v1(), MetricSets::all());
    assert_eq!(by_cpu.keys().collect::<Vec<_>>(), ["cpu=Cpu(0)", "cpu=Cpu(2)"], "CPU 1 never ran");
}

#[test]
fn oom_kills_outlive_their_cgroup_and_zero_does_not() {
    let oom = named("container_oom_events_total");
    assert!(oom.outlives);
    let gauges =
        metrics().filter(|metric| metric.outlives && metric.kind == Kind::Gauge).map(|metric| metric.name);
    assert_eq!(
        gauges.collect::<Vec<_>>(),
        [
            "container_memory_max_usage_bytes",
            "container_memory_swap_max_usage_bytes",
            "container_hugetlb_max_usage_bytes",
            "container_threads_peak",
        ]
    );
    assert!(metrics().filter(|metric| metric.kind == Kind::Counter).all(|metric| metric.outlives));
    let Values::Count(value) = oom.values else { panic!() };
    for (stats, oom_kills, removed, wanted) in [
        (stats_v1(), 0, false, Some(0)),
        (stats_v1(), 3, false, Some(3)),
        (stats_v1(), 0, true, None),
        (CgroupStats::default(), 3, true, Some(3)),
        (CgroupStats::default(), 0, false, None),
        (CgroupStats::default(), 1, false, Some(1)),
    ] {
        let mut sample = sample(b"/a", Identity::default(), stats);
        (sample.oom_kills, sample.removed) = (oom_kills, removed);
        assert_eq!(value(&sample), wanted, "{oom_kills} {removed}");
    }
}
