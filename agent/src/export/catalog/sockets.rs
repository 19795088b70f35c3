//! TCP and UDP sockets of the cgroup's own network namespace. Off by default, as in cAdvisor.

use super::metric::{Emit, LabelValue, Metric, Value};
use crate::model::{MetricSet, SocketStats, TcpStates, UdpStats};
use crate::snapshot::CgroupSample;

pub(super) const METRICS: &[Metric] = &[
    Metric::gauge("container_network_tcp_usage_total", "TCP connections over IPv4, by state.")
        .set(MetricSet::Tcp)
        .both("netlink sock_diag, else /proc/<pid>/net/tcp")
        .many(&["tcp_state"], |s, _, emit| tcp(s, emit, |sockets| sockets.tcp.as_ref())),
    Metric::gauge("container_network_tcp6_usage_total", "TCP connections over IPv6, by state.")
        .set(MetricSet::Tcp)
        .both("netlink sock_diag, else /proc/<pid>/net/tcp6")
        .many(&["tcp_state"], |s, _, emit| tcp(s, emit, |sockets| sockets.tcp6.as_ref())),
    Metric::gauge("container_network_advance_tcp_stats_total", "Counters of the TCP protocol.")
        .set(MetricSet::AdvancedTcp)
        .both("/proc/<pid>/net/snmp Tcp, /proc/<pid>/net/netstat TcpExt")
        .many(&["tcp_state"], |s, _, emit| advanced_tcp(s, emit)),
    Metric::gauge(
        "container_network_udp_usage_total",
        "UDP sockets over IPv4: sockets, drops, queued bytes.",
    )
    .set(MetricSet::Udp)
    .both("netlink sock_diag, else /proc/<pid>/net/udp")
    .many(&["udp_state"], |s, _, emit| udp(s, emit, |sockets| sockets.udp.as_ref())),
    Metric::gauge(
        "container_network_udp6_usage_total",
        "UDP sockets over IPv6: sockets, drops, queued bytes.",
    )
    .set(MetricSet::Udp)
    .both("netlink sock_diag, else /proc/<pid>/net/udp6")
    .many(&["udp_state"], |s, _, emit| udp(s, emit, |sockets| sockets.udp6.as_ref())),
];

fn tcp(sample: &CgroupSample, emit: &mut Emit<'_>, pick: fn(&SocketStats) -> Option<&TcpStates>) {
    let states = sample.stats.sockets.as_ref().and_then(pick);
    for (state, count) in states.into_iter().flat_map(TcpStates::iter) {
        emit(&[("tcp_state", LabelValue::Text(state))], Value::Count(count));
    }
}

fn udp(sample: &CgroupSample, emit: &mut Emit<'_>, pick: fn(&SocketStats) -> Option<&UdpStats>) {
    let Some(udp) = sample.stats.sockets.as_ref().and_then(pick) else { return };
    for (state, count) in [
        ("listen", udp.sockets),
        ("dropped", udp.dropped),
        ("rxqueued", udp.receive_queued_bytes),
        ("txqueued", udp.transmit_queued_bytes),
    ] {
        emit(&[("udp_state", LabelValue::Text(state))], Value::Count(count));
    }
}

fn advanced_tcp(sample: &CgroupSample, emit: &mut Emit<'_>) {
    let counters = sample.stats.sockets.as_ref().and_then(|sockets| sockets.advanced_tcp.as_deref());
    for (name, count) in counters.unwrap_or_default() {
        emit(&[("tcp_state", LabelValue::Text(name))], Value::Count(*count));
    }
}
