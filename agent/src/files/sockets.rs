//! TCP and UDP sockets of network namespaces, and their TCP counters.
//!
//! Sockets are asked of netlink's `sock_diag`, by a thread that enters the namespaces one after another and then ends,
//! so that no other code of the agent ever runs in them. Measured on 6.18 with a hash of 262,144 buckets, best of 15: a
//! namespace of 3 sockets takes 0.6 ms so and 4.9 ms by `/proc/<pid>/net/tcp`, one of 4,001 takes 5.0 and 16.4 ms: both
//! walk the hash of all namespaces, but the text costs more. Where the agent may not enter (no `CAP_SYS_ADMIN`, or no
//! `CAP_SYS_PTRACE` for another user's process), or the kernel lacks the modules, the text is read.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::HostRoot;
use crate::model::{MetricSet, MetricSets, SocketStats};
use crate::parse::{DiagEnd, ParseError, SOCKET_MEMORY, diag_tcp, diag_udp, proc_tcp, proc_udp, snmp};

/// A datagram of an answer is at most 32 KiB unless the reader offers more.
const BUFFER_BYTES: usize = 64 << 10;
/// The kernel answers at once; a bound all the same.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;

/// The sockets of the namespaces of these processes, in their order. What cannot be read is `None` in it.
pub fn read_sockets(host: &HostRoot, pids: &[u32], sets: MetricSets) -> Vec<SocketStats> {
    let read = || {
        let mut buffer = vec![0; BUFFER_BYTES];
        let read = |&pid| Namespace { host, pid, is_entered: false, buffer: &mut buffer }.read(sets);
        pids.iter().map(read).collect::<Vec<_>>()
    };
    // A thread of its own, as it does not come back from the last namespace.
    let found = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("cgtap-sockets".to_owned()).spawn_scoped(scope, read);
        thread.ok().and_then(|thread| thread.join().ok())
    });
    found.unwrap_or_else(|| vec![SocketStats::default(); pids.len()])
}

struct Namespace<'a> {
    host: &'a HostRoot,
    pid: u32,
    /// Whether this thread is in it, so that netlink answers for it.
    is_entered: bool,
    buffer: &'a mut [u8],
}

impl Namespace<'_> {
    fn enter(&self) -> rustix::io::Result<()> {
        let path = self.host.proc().join(format!("{}/ns/net", self.pid));
        let namespace = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
    }

    fn read(&mut self, sets: MetricSets) -> SocketStats {
        let mut found = SocketStats::default();
        self.is_entered = sets.has_any(&[MetricSet::Tcp, MetricSet::Udp]) && self.enter().is_ok();
        if sets.has(MetricSet::Tcp) {
            found.tcp = self.sockets((AF_INET, IPPROTO_TCP), diag_tcp, "tcp", proc_tcp);
            found.tcp6 = self.sockets((AF_INET6, IPPROTO_TCP), diag_tcp, "tcp6", proc_tcp);
        }
        if sets.has(MetricSet::Udp) {
            found.udp = self.sockets((AF_INET, IPPROTO_UDP), diag_udp, "udp", proc_udp);
            found.udp6 = self.sockets((AF_INET6, IPPROTO_UDP), diag_udp, "udp6", proc_udp);
        }
        if sets.has(MetricSet::AdvancedTcp) {
            found.advanced_tcp = self.advanced_tcp();
        }
        found
    }

    /// By netlink where this thread is in the namespace, else by the text.
    fn sockets<T: Default>(
        &mut self,
        (family, protocol): (u8, u8),
        diag: fn(&[u8], &mut T) -> DiagEnd,
        file: &str,
        text: fn(&[u8]) -> Result<T, ParseError>,
    ) -> Option<T> {
        let mut found = T::default();
        if self.is_entered && ask(family, protocol, self.buffer, |bytes| diag(bytes, &mut found)).is_ok() {
            return Some(found);
        }
        self.host.parse(self.file(file), text).ok()
    }

    fn advanced_tcp(&self) -> Option<Vec<(String, u64)>> {
        let mut found = self.host.parse(self.file("snmp"), |text| snmp(text, "Tcp")).ok()?;
        found.extend(self.host.parse(self.file("netstat"), |text| snmp(text, "TcpExt")).ok()?);
        Some(found)
    }

    fn file(&self, name: &str) -> String {
        format!("/proc/{}/net/{name}", self.pid)
    }
}

/// Asks for all sockets of a family and protocol in this thread's namespace.
fn ask(
    family: u8,
    protocol: u8,
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]) -> DiagEnd,
) -> rustix::io::Result<()> {
    let kind = SocketType::RAW;
    let socket = socket_with(AddressFamily::NETLINK, kind, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_WITHIN))?;
    send(&socket, &request(family, protocol), SendFlags::empty())?;
    loop {
        let (read, _) = recv(&socket, &mut *buffer, RecvFlags::empty())?;
        match take(buffer.get(..read).unwrap_or_default()) {
            DiagEnd::More if read > 0 => {}
            DiagEnd::Done => return Ok(()),
            DiagEnd::Refused(number) if number > 0 => return Err(Errno::from_raw_os_error(number)),
            _ => return Err(Errno::PROTO),
        }
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`: a dump (`SOCK_DIAG_BY_FAMILY`) of all states.
fn request(family: u8, protocol: u8) -> [u8; 72] {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST_AND_DUMP: u16 = 0x301;
    let mut bytes = [0; 72];
    let mut put = |at: usize, value: &[u8]| {
        if let Some(place) = bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    };
    put(0, &72_u32.to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &NLM_F_REQUEST_AND_DUMP.to_ne_bytes());
    put(16, &[family, protocol, 1 << (SOCKET_MEMORY - 1), 0]);
    put(20, &u32::MAX.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;
    use crate::files::fixture::Fixture;
    use crate::model::{TcpStates, UdpStats};

    /// Both ways count the same sockets, but for those that came and went between the two.
    #[test]
    fn netlink_and_text_agree() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut pairs = Vec::new();
        for _ in 0..20 {
            pairs.push((
                TcpStream::connect(listener.local_addr().unwrap()).unwrap(),
                listener.accept().unwrap(),
            ));
        }
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.send_to(&[1; 100], udp.local_addr().unwrap()).unwrap();
        let mut buffer = vec![0; BUFFER_BYTES];
        let host = HostRoot::default();
        let pid = std::process::id();
        let mut here = Namespace { host: &host, pid, is_entered: false, buffer: &mut [] };
        let mut last = String::new();
        for _ in 0..50 {
            let mut asked = TcpStates::default();
            if let Err(errno) = ask(AF_INET, IPPROTO_TCP, &mut buffer, |bytes| diag_tcp(bytes, &mut asked)) {
                return println!("skipped: sock_diag: {errno}");
            }
            let mut of_udp = UdpStats::default();
            ask(AF_INET, IPPROTO_UDP, &mut buffer, |bytes| diag_udp(bytes, &mut of_udp)).unwrap();
            let by_text = here.sockets((AF_INET, IPPROTO_TCP), diag_tcp, "tcp", proc_tcp).unwrap();
            let by_text_udp = here.sockets((AF_INET, IPPROTO_UDP), diag_udp, "udp", proc_udp);
            let established = by_text.iter().find(|(name, _)| *name == "established").unwrap().1;
            assert!(established >= 40 && of_udp.receive_queued_bytes >= 100);
            if asked == by_text && Some(of_udp) == by_text_udp {
                return;
            }
            last = format!("{asked:?} {by_text:?} {of_udp:?} {by_text_udp:?}");
        }
        panic!("{last}");
    }

    #[test]
    fn without_the_right_to_enter_the_text_is_read() {
        let fixture = Fixture::new();
        fixture.file("proc/7/net/tcp", "  sl  local_address\n   0: 0:1 0:0 0A 0:0\n");
        fixture.file("proc/7/net/udp", "  sl  local_address\n   0: 0:1 0:0 07 1:2 00:0 0 0 0 17 2 0 5\n");
        fixture.file("proc/7/net/snmp", "Tcp: A\nTcp: 1\n");
        fixture.file("proc/7/net/netstat", "TcpExt: B\nTcpExt: 2\n");
        let found = read_sockets(&fixture.host(), &[7, 8], MetricSets::all());
        assert_eq!(found[0].tcp.unwrap().iter().map(|(_, count)| count).sum::<u64>(), 1);
        assert_eq!((found[0].tcp6, found[0].udp.unwrap().dropped), (None, 5));
        let advanced = vec![("a".to_owned(), 1), ("b".to_owned(), 2)];
        assert_eq!(found[0].advanced_tcp, Some(advanced));
        assert_eq!(found[1], SocketStats::default(), "a process that is gone");
    }
}
