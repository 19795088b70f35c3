//! Interfaces of the cgroup's own network namespace: `/proc/<pid>/net/dev`.

use super::metric::{Emit, LabelValue, Metric, Value};
use crate::model::{InterfaceStats, MetricSet};
use crate::snapshot::CgroupSample;

type Pick = fn(&InterfaceStats) -> u64;

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric::counter(name, help).set(MetricSet::Network)
}

pub(super) const METRICS: &[Metric] = &[
    counter("container_network_receive_bytes_total", "Cumulative count of bytes received.")
        .both("/proc/<pid>/net/dev column 1")
        .many(&["interface"], |s, _, emit| each(s, emit, |i| i.receive.bytes)),
    counter("container_network_receive_packets_total", "Cumulative count of packets received.")
        .both("/proc/<pid>/net/dev column 2")
        .many(&["interface"], |s, _, emit| each(s, emit, |i| i.receive.packets)),
    counter("container_network_receive_errors_total", "Cumulative count of errors while receiving.")
        .both("/proc/<pid>/net/dev column 3")
        .many(&["interface"], |s, _, emit| each(s, emit, |i| i.receive.errors)),
    counter(
        "container_network_receive_packets_dropped_total",
        "Cumulative count of packets dropped while receiving.",
    )
    .both("/proc/<pid>/net/dev column 4")
    .many(&["interface"], |s, _, emit| each(s, emit, |i| i.receive.dropped)),
    counter("container_network_transmit_bytes_total", "Cumulative count of bytes sent.")
        .both("/proc/<pid>/net/dev column 9")
        .many(&["interface"], |s, _, emit| each(s, emit, |i| i.transmit.bytes)),
    counter("container_network_transmit_packets_total", "Cumulative count of packets sent.")
        .both("/proc/<pid>/net/dev column 10")
        .many(&["interface"], |s, _, emit| each(s, emit, |i| i.transmit.packets)),
    counter("container_network_transmit_errors_total", "Cumulative count of errors while sending.")
        .both("/proc/<pid>/net/dev column 11")
        .many(&["interface"], |s, _, emit| each(s, emit, |i| i.transmit.errors)),
    counter(
        "container_network_transmit_packets_dropped_total",
        "Cumulative count of packets dropped while sending.",
    )
    .both("/proc/<pid>/net/dev column 12")
    .many(&["interface"], |s, _, emit| each(s, emit, |i| i.transmit.dropped)),
    Metric::gauge(
        "container_network_host",
        "1 for a pod or container in the host's network namespace, whose traffic is the root's.",
    )
    .set(MetricSet::Network)
    .both("the namespace of its processes")
    .one(|s, _| s.stats.host_network.then_some(Value::Count(1))),
];

fn each(sample: &CgroupSample, emit: &mut Emit<'_>, pick: Pick) {
    for interface in sample.stats.network.as_deref().unwrap_or_default() {
        emit(&[("interface", LabelValue::Text(&interface.name))], Value::Count(pick(interface)));
    }
}
