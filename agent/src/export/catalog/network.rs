//! Interfaces of the cgroup's own network namespace: `/proc/<pid>/net/dev`.

use super::metric::{Emit, Metric, emit_counts};
use crate::model::{InterfaceStats, MetricSet};
use crate::snapshot::CgroupSample;

metrics! { Some(MetricSet::Network), labels &["interface"];
    counter "container_network_receive_bytes_total", "Cumulative count of bytes received.",
        both "/proc/<pid>/net/dev column 1", many |s, _, emit| each(s, emit, |i| i.receive.bytes);
    counter "container_network_receive_packets_total", "Cumulative count of packets received.",
        both "/proc/<pid>/net/dev column 2", many |s, _, emit| each(s, emit, |i| i.receive.packets);
    counter "container_network_receive_errors_total", "Cumulative count of errors while receiving.",
        both "/proc/<pid>/net/dev column 3", many |s, _, emit| each(s, emit, |i| i.receive.errors);
    counter "container_network_receive_packets_dropped_total", "Cumulative count of packets dropped while receiving.",
        both "/proc/<pid>/net/dev column 4", many |s, _, emit| each(s, emit, |i| i.receive.dropped);
    counter "container_network_transmit_bytes_total", "Cumulative count of bytes sent.",
        both "/proc/<pid>/net/dev column 9", many |s, _, emit| each(s, emit, |i| i.transmit.bytes);
    counter "container_network_transmit_packets_total", "Cumulative count of packets sent.",
        both "/proc/<pid>/net/dev column 10", many |s, _, emit| each(s, emit, |i| i.transmit.packets);
    counter "container_network_transmit_errors_total", "Cumulative count of errors while sending.",
        both "/proc/<pid>/net/dev column 11", many |s, _, emit| each(s, emit, |i| i.transmit.errors);
    counter "container_network_transmit_packets_dropped_total", "Cumulative count of packets dropped while sending.",
        both "/proc/<pid>/net/dev column 12", many |s, _, emit| each(s, emit, |i| i.transmit.dropped);
    gauge "container_network_host",
        "1 for a pod or container in the host's network namespace, whose traffic is the root's.",
        both "the namespace of its processes", labels &[], count |s| s.stats.host_network.then_some(1);
}

fn each(sample: &CgroupSample, emit: &mut Emit<'_>, pick: fn(&InterfaceStats) -> u64) {
    let interfaces = sample.stats.network.as_deref().unwrap_or_default().iter();
    emit_counts(emit, "interface", interfaces.map(|one| (&*one.name, pick(one))));
}
