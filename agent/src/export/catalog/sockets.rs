//! TCP and UDP sockets of the cgroup's own network namespace. Off by default, as in cAdvisor.

use super::metric::{Emit, Metric, emit_counts};
use crate::model::{MetricSet, SocketStats, TcpStates, UdpStats};
use crate::snapshot::CgroupSample;

metrics! { Some(MetricSet::Tcp);
    gauge "container_network_tcp_usage_total", "TCP connections over IPv4, by state.",
        both "netlink sock_diag, else /proc/<pid>/net/tcp", labels &["tcp_state"],
        many |s, _, emit| tcp(s, emit, |sockets| sockets.tcp.as_ref());
    gauge "container_network_tcp6_usage_total", "TCP connections over IPv6, by state.",
        both "netlink sock_diag, else /proc/<pid>/net/tcp6", labels &["tcp_state"],
        many |s, _, emit| tcp(s, emit, |sockets| sockets.tcp6.as_ref());
    gauge "container_network_advance_tcp_stats_total", "Counters of the TCP protocol.",
        set Some(MetricSet::AdvancedTcp), both "/proc/<pid>/net/snmp Tcp, /proc/<pid>/net/netstat TcpExt",
        labels &["tcp_state"], many |s, _, emit| advanced_tcp(s, emit);
    gauge "container_network_udp_usage_total", "UDP sockets over IPv4: sockets, drops, queued bytes.",
        set Some(MetricSet::Udp), both "netlink sock_diag, else /proc/<pid>/net/udp", labels &["udp_state"],
        many |s, _, emit| udp(s, emit, |sockets| sockets.udp.as_ref());
    gauge "container_network_udp6_usage_total", "UDP sockets over IPv6: sockets, drops, queued bytes.",
        set Some(MetricSet::Udp), both "netlink sock_diag, else /proc/<pid>/net/udp6", labels &["udp_state"],
        many |s, _, emit| udp(s, emit, |sockets| sockets.udp6.as_ref());
}

fn tcp(sample: &CgroupSample, emit: &mut Emit<'_>, pick: fn(&SocketStats) -> Option<&TcpStates>) {
    let states = sample.stats.sockets.as_ref().and_then(pick);
    emit_counts(emit, "tcp_state", states.into_iter().flat_map(TcpStates::iter));
}

fn udp(sample: &CgroupSample, emit: &mut Emit<'_>, pick: fn(&SocketStats) -> Option<&UdpStats>) {
    let Some(udp) = sample.stats.sockets.as_ref().and_then(pick) else { return };
    let counts = [
        ("listen", udp.sockets),
        ("dropped", udp.dropped),
        ("rxqueued", udp.receive_queued_bytes),
        ("txqueued", udp.transmit_queued_bytes),
    ];
    emit_counts(emit, "udp_state", counts);
}

fn advanced_tcp(sample: &CgroupSample, emit: &mut Emit<'_>) {
    let counters = sample.stats.sockets.as_ref().and_then(|sockets| sockets.advanced_tcp.as_deref());
    let counters = counters.unwrap_or_default().iter();
    emit_counts(emit, "tcp_state", counters.map(|(name, count)| (&**name, *count)));
}
