//! The snapshots that are tested, and the rules that golden texts cannot show.

mod golden;
mod limit;
mod measure;
mod names;
mod own;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use prometheus::proto::MetricFamily;
use proptest::prelude::*;

use super::text::{stamp, write_value};
use super::{ExpositionOptions, Format, exposition_in_chunks, negotiate};
use crate::export::catalog::Value;
use crate::export::fixtures::{CONTAINER, POD, container, moment, sample, snapshot, stats_v1, stats_v2};
use crate::model::{
    CgroupPath, CgroupStats, Identity, IoDeviceStats, MetricSet, MetricSets, QosClass, Role, Runtime,
};
use crate::snapshot::{CgroupSample, NodeSnapshot, Reading};

/// The whole exposition in one piece.
pub(crate) fn exposition(
    snapshot: &NodeSnapshot,
    own: &[MetricFamily],
    options: &ExpositionOptions,
    format: Format,
) -> Vec<u8> {
    let mut whole = Vec::new();
    exposition_in_chunks(snapshot, own, options, format, &mut |chunk| {
        whole.extend_from_slice(chunk);
        ControlFlow::Continue(())
    });
    whole
}

fn root() -> Identity {
    Identity { role: Role::Root, ..Identity::default() }
}

fn all_sets() -> ExpositionOptions {
    ExpositionOptions { sets: MetricSets::all(), ..ExpositionOptions::default() }
}

fn text(snapshot: &NodeSnapshot, options: &ExpositionOptions) -> String {
    String::from_utf8(exposition(snapshot, &[], options, Format::Text)).unwrap()
}

fn v1_host() -> NodeSnapshot {
    let unit = Identity { role: Role::Unit, unit: Some("cron.service".to_owned()), ..Identity::default() };
    let pod = format!("/kubepods/burstable/pod{POD}/{CONTAINER}");
    snapshot(vec![
        sample(b"/", root(), CgroupStats { network: None, ..stats_v1() }),
        sample(pod.as_bytes(), container(Runtime::Containerd, None), stats_v1()),
        sample(
            b"/system.slice/cron.service",
            unit,
            CgroupStats { cpu: stats_v1().cpu, ..CgroupStats::default() },
        ),
    ])
}

fn v2_host() -> NodeSnapshot {
    let slice = format!("kubepods-burstable-pod{}.slice", POD.replace('-', "_"));
    let scope = format!("crio-{CONTAINER}.scope");
    let path = format!("/kubepods.slice/kubepods-burstable.slice/{slice}/{scope}");
    let mut killed = sample(path.as_bytes(), container(Runtime::CriO, Some(&scope)), stats_v2());
    killed.oom_kills = 2;
    snapshot(vec![sample(b"/", root(), stats_v2()), killed])
}

fn odd_names() -> NodeSnapshot {
    let stats = || CgroupStats {
        memory: stats_v2().memory,
        io: Some(vec![IoDeviceStats {
            device: Some("/dev/a\\b\"c\nd".to_owned()),
            reads: Some(1),
            ..IoDeviceStats::default()
        }]),
        ..CgroupStats::default()
    };
    let unit = Identity { unit: Some("system-a\\x2db.slice".to_owned()), ..Identity::default() };
    let paths: [&[u8]; 6] =
        [b"/a \"b\"", b"/a\\x2db", b"/\xff\xfe", b"/\xff\\", "/gr\u{fc}n".as_bytes(), b"/{},= "];
    snapshot(paths.into_iter().map(|path| sample(path, unit.clone(), stats())).collect())
}

fn tombstone() -> NodeSnapshot {
    let mut gone = sample(b"/docker/gone", Identity::default(), stats_v1());
    // One whose last values were read, and one of which only its kills are known.
    let mut killed = sample(b"/docker/killed", Identity::default(), CgroupStats::default());
    gone.removed = true;
    (killed.removed, killed.oom_kills) = (true, 4);
    snapshot(vec![gone, killed])
}

fn vanished() -> NodeSnapshot {
    let reading = Reading { duration: Duration::from_millis(12), vanished: 3, errors: 1 };
    let broken = sample(b"/broken", Identity::default(), CgroupStats::default());
    NodeSnapshot { reading, machine: Default::default(), ..snapshot(vec![broken]) }
}

/// The series of a text: every line that is a sample, without its value.
fn series(text: &str) -> Vec<&str> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').unwrap().0).collect()
}

#[test]
fn no_series_twice_and_the_same_in_both_formats() {
    for snapshot in [v1_host(), v2_host(), odd_names(), tombstone(), vanished()] {
        let plain = text(&snapshot, &all_sets());
        let open = String::from_utf8(exposition(&snapshot, &[], &all_sets(), Format::OpenMetrics)).unwrap();
        let unique: BTreeSet<_> = series(&plain).into_iter().collect();
        assert_eq!(unique.len(), series(&plain).len());
        assert_eq!(series(&plain), series(&open));
    }
}

#[test]
fn chunks_are_the_whole_and_end_with_a_line() {
    let node = busy_node();
    let whole = exposition(&node, &[], &all_sets(), Format::OpenMetrics);
    let (mut joined, mut chunks) = (Vec::new(), 0);
    exposition_in_chunks(&node, &[], &all_sets(), Format::OpenMetrics, &mut |chunk| {
        assert!(chunk.ends_with(b"\n") && chunk.len() < 80_000);
        joined.extend_from_slice(chunk);
        chunks += 1;
        ControlFlow::Continue(())
    });
    assert!(joined == whole && chunks > 100, "{chunks} chunks");
}

#[test]
fn nothing_is_handed_to_a_sink_that_broke_off() {
    let node = busy_node();
    for wanted in [1, 3] {
        let mut chunks = 0;
        exposition_in_chunks(&node, &[], &all_sets(), Format::Text, &mut |_| {
            chunks += 1;
            if chunks < wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert_eq!(chunks, wanted);
    }
}

#[test]
fn a_cgroup_and_its_own_tombstone_are_one() {
    for removed in [[true, false], [false, true], [true, true]] {
        let mut both = [0, 1].map(|_| sample(b"/again", Identity::default(), stats_v1()));
        for (sample, removed) in both.iter_mut().zip(removed) {
            (sample.removed, sample.oom_kills) = (removed, 1 + u64::from(removed));
        }
        let printed = text(&snapshot(both.to_vec()), &all_sets());
        let kills: Vec<_> = printed
            .lines()
            .filter_map(|line| line.strip_prefix("container_oom_events_total{id=\"/again\"} "))
            .collect();
        assert_eq!(kills, [if removed == [true, true] { "2" } else { "1" }], "{removed:?}");
    }
}

#[test]
fn every_family_has_one_header_and_a_sample() {
    let plain = text(&v1_host(), &all_sets());
    let mut lines = plain.lines().peekable();
    let mut families = BTreeSet::new();
    while let Some(help) = lines.next() {
        let name = help.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(families.insert(name.to_owned()), "{name} comes twice");
        assert!(lines.next().unwrap().starts_with(&format!("# TYPE {name} ")), "{name}");
        let mut samples = 0;
        while lines
            .next_if(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} ")))
            .is_some()
        {
            samples += 1;
        }
        assert!(samples > 0, "{name} has a header and no sample");
    }
}

#[test]
fn a_set_that_is_off_is_absent() {
    let off = ExpositionOptions {
        sets: MetricSets::default().without(MetricSet::Memory).without(MetricSet::OomEvent),
        ..ExpositionOptions::default()
    };
    let printed = text(&v2_host(), &off);
    assert!(!printed.contains("container_memory_") && !printed.contains("container_oom_events_total"));
    assert!(printed.contains("container_cpu_usage_seconds_total"));
}

#[test]
fn no_label_is_empty() {
    for snapshot in [v1_host(), v2_host(), odd_names(), tombstone(), vanished()] {
        assert!(!text(&snapshot, &all_sets()).contains("=\"\""));
    }
}

fn id_label(path: &[u8]) -> String {
    let snapshot = snapshot(vec![sample(path, Identity::default(), CgroupStats::default())]);
    let printed = text(&snapshot, &ExpositionOptions::default());
    let line = printed.lines().find(|line| line.starts_with("container_last_seen{")).unwrap();
    line.rsplit_once("} ").unwrap().0.to_owned()
}

proptest! {
    #[test]
    fn two_cgroups_never_share_their_labels(
        one in prop::collection::vec(prop::sample::select(b"/a\\\"x\xff\xc3\xbc".to_vec()), 1..6),
        two in prop::collection::vec(prop::sample::select(b"/a\\\"x\xff\xc3\xbc".to_vec()), 1..6),
    ) {
        let same_path = CgroupPath::from_bytes(&one) == CgroupPath::from_bytes(&two);
        prop_assert_eq!(id_label(&one) == id_label(&two), same_path);
    }

    #[test]
    fn times_are_printed_exactly(nsec in any::<u64>()) {
        let mut out = Vec::new();
        write_value(Value::Nanoseconds(nsec), &mut out);
        let printed = String::from_utf8(out).unwrap();
        let (whole, part) = printed.split_once('.').unwrap_or((&printed, ""));
        prop_assert!(!part.ends_with('0') && part.len() <= 9);
        let back = whole.parse::<u64>().unwrap() * 1_000_000_000 + format!("{part:0<9}").parse::<u64>().unwrap();
        prop_assert_eq!(back, nsec);
    }
}

#[test]
fn values_are_plain_decimals() {
    for (value, wanted) in [
        (Value::Count(u64::MAX), "18446744073709551615"),
        (Value::Nanoseconds(0), "0"),
        (Value::Nanoseconds(1), "0.000000001"),
        (Value::Nanoseconds(123_456_789_012), "123.456789012"),
        (Value::Nanoseconds(1_500_000_000), "1.5"),
        (Value::Nanoseconds(1_010_000_000), "1.01"),
        (Value::Microseconds(1_000_000), "1"),
        (Value::Microseconds(20), "0.00002"),
        (Value::Microseconds(u64::MAX), "18446744073709.551615"),
    ] {
        let mut out = Vec::new();
        write_value(value, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
}

#[test]
fn timestamps_are_milliseconds_or_seconds() {
    assert_eq!(stamp(moment(0), Format::Text), b" 1795305600123");
    assert_eq!(stamp(moment(0), Format::OpenMetrics), b" 1795305600.123");
    assert_eq!(stamp(std::time::UNIX_EPOCH - Duration::from_secs(1), Format::Text), b"");
}

#[test]
fn the_accept_header_decides_the_format() {
    let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
        application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
        text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    for (accept, wanted) in [
        (None, Format::Text),
        (Some(""), Format::Text),
        (Some("*/*"), Format::Text),
        (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Format::Text),
        (Some(prometheus), Format::OpenMetrics),
        (Some("application/openmetrics-text"), Format::OpenMetrics),
        (Some("Application/OpenMetrics-Text; Version=\"1.0.0\""), Format::OpenMetrics),
        (Some("application/openmetrics-text; version=0.0.1"), Format::Text),
        (Some("application/openmetrics-text;q=0"), Format::Text),
        (Some("application/openmetrics-text;q=0.5, text/plain"), Format::Text),
        (Some("application/openmetrics-text;q=0.55, text/plain;q=0.6"), Format::Text),
        (Some("text/plain;q=0.6, application/openmetrics-text;q=0.7"), Format::OpenMetrics),
        (Some("application/openmetrics-text;q=2"), Format::Text),
        (Some("application/openmetrics-text;q=1.5"), Format::Text),
        (Some("application/openmetrics-text;q=0.1234"), Format::Text),
        (Some("application/openmetrics-text;q=x"), Format::Text),
        (Some("application/openmetrics-text;q=1.000"), Format::OpenMetrics),
        (Some(";;,=,q=;"), Format::Text),
    ] {
        assert_eq!(negotiate(accept), wanted, "{accept:?}");
    }
}

/// 1,000 containers of a v1 host as the baseline of the design has them.
fn busy_node() -> NodeSnapshot {
    let cgroups = (0..1_000_u64).map(|number| {
        let id = format!("{number:064x}");
        let uid = format!("0b8e3c1a-11d4-4d66-9f62-{number:012x}");
        let pod = uid.replace('-', "_");
        let unit = format!("cri-containerd-{id}.scope");
        let path =
            format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{pod}.slice/{unit}");
        let identity = Identity {
            role: Role::Container,
            container_id: Some(id),
            runtime: Some(Runtime::Containerd),
            pod_uid: Some(uid),
            qos: Some(QosClass::Burstable),
            unit: Some(unit),
        };
        sample(path.as_bytes(), identity, stats_v1())
    });
    snapshot(cgroups.collect::<Vec<CgroupSample>>())
}
