//! Sockets and TCP counters of a network namespace.

/// Connections of one family by state, in the order of the kernel's `include/net/tcp_states.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpStates([u64; 11]);

impl TcpStates {
    /// The states' names as cAdvisor writes them.
    pub const NAMES: [&'static str; 11] = [
        "established",
        "synsent",
        "synrecv",
        "finwait1",
        "finwait2",
        "timewait",
        "close",
        "closewait",
        "lastack",
        "listen",
        "closing",
    ];

    /// Counts one more socket in the state of that number (1 is `ESTABLISHED`). A newer one is counted as what users
    /// take it for: `NEW_SYN_RECV` (12) as `synrecv`; others are nothing.
    pub fn add(&mut self, state: u8) {
        let state = if state == 12 { 3 } else { state };
        let slot = usize::from(state).checked_sub(1).and_then(|at| self.0.get_mut(at));
        if let Some(count) = slot {
            *count += 1;
        }
    }

    /// Each name with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Self::NAMES.into_iter().zip(self.0)
    }
}

/// UDP sockets of one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpStats {
    pub sockets: u64,
    /// Datagrams dropped by the sockets that are open now.
    pub dropped: u64,
    /// Memory of what waits to be read.
    pub receive_queued_bytes: u64,
    /// Memory of what waits to be sent.
    pub transmit_queued_bytes: u64,
}

/// Sockets of a network namespace. What was not asked for, or cannot be read, is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketStats {
    /// TCP over IPv4.
    pub tcp: Option<TcpStates>,
    /// TCP over IPv6.
    pub tcp6: Option<TcpStates>,
    /// UDP over IPv4.
    pub udp: Option<UdpStats>,
    /// UDP over IPv6.
    pub udp6: Option<UdpStats>,
    /// `Tcp` of `/proc/<pid>/net/snmp` and `TcpExt` of `net/netstat`: names in lower case, as the kernel prints them.
    /// -1 (`MaxConn`: no limit) is `None` there.
    pub advanced_tcp: Option<Vec<(String, u64)>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_the_kernels_numbers() {
        let mut states = TcpStates::default();
        for state in [1, 10, 10, 12, 0, 13] {
            states.add(state);
        }
        let counted: Vec<_> = states.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("established", 1), ("synrecv", 1), ("listen", 2)]);
    }
}
