//! `/proc/<pid>/net/tcp`, `tcp6`, `udp`, `udp6`: the sockets of a network namespace, one a line.
//!
//! Kernel text: <https://docs.kernel.org/networking/proc_net_tcp.html>
//!
//! ```text
//!   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
//!    0: 0100007F:0277 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1 0 100 0 0 10 0
//! ```
//! Hexadecimal but for the last ones; the last of a UDP socket is how many datagrams it dropped.

use super::ParseError;
use super::scan::{Line, decimal, lines, split_once, words};
use crate::model::{TcpStates, UdpStats};

const TCP: &str = "a socket with its state, in hexadecimal, in the fourth place";
const UDP: &str = "a socket with its queues in the fifth place and dropped datagrams in the last";

/// `/proc/<pid>/net/tcp` or `tcp6`.
pub fn proc_tcp(input: &[u8]) -> Result<TcpStates, ParseError> {
    let mut states = TcpStates::default();
    for line in sockets(input)? {
        let state = words(line.text).nth(3).and_then(hexadecimal).and_then(|state| u8::try_from(state).ok());
        states.add(state.ok_or_else(|| line.refused(TCP))?);
    }
    Ok(states)
}

/// `/proc/<pid>/net/udp` or `udp6`.
pub fn proc_udp(input: &[u8]) -> Result<UdpStats, ParseError> {
    let mut found = UdpStats::default();
    for line in sockets(input)? {
        let socket = || {
            let mut words = words(line.text);
            let (transmit, receive) = split_once(words.nth(4)?, b':')?;
            Some((hexadecimal(transmit)?, hexadecimal(receive)?, decimal(words.last()?)?))
        };
        let (transmit, receive, dropped) = socket().ok_or_else(|| line.refused(UDP))?;
        found.sockets += 1;
        found.transmit_queued_bytes = found.transmit_queued_bytes.saturating_add(transmit);
        found.receive_queued_bytes = found.receive_queued_bytes.saturating_add(receive);
        found.dropped = found.dropped.saturating_add(dropped);
    }
    Ok(found)
}

fn sockets(input: &[u8]) -> Result<impl Iterator<Item = Line<'_>>, ParseError> {
    let mut lines = lines(input);
    match lines.next() {
        Some(heading) if words(heading.text).next() == Some(b"sl") => Ok(lines),
        Some(heading) => Err(heading.refused("a heading that begins with \"sl\"")),
        None => Err(ParseError::Empty { wanted: "a heading" }),
    }
}

fn hexadecimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit);
    digits.then(|| u64::from_str_radix(str::from_utf8(text).ok()?, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_is_counted_by_state() {
        let text = b"  sl  local_address rem_address   st\n   0: 0:1 0:0 0A 0:0\n   1: 0:1 0:0 01 0:0\n";
        let counted: Vec<_> = proc_tcp(text).unwrap().iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("established", 1), ("listen", 1)]);
    }

    #[test]
    fn udp_is_added_up() {
        let text = b"   sl  local_address\n  1: 0:1 0:0 07 00000010:00000A00 00:0 0 0 0 17 2 0 5\n\
                     2: 0:1 0:0 07 00000001:00000001 00:0 0 0 0 17 2 0 6\n";
        let found = proc_udp(text).unwrap();
        assert_eq!((found.sockets, found.dropped), (2, 11));
        assert_eq!((found.transmit_queued_bytes, found.receive_queued_bytes), (17, 2561));
    }

    #[test]
    fn garbage_is_refused() {
        for refused in [&b""[..], b"x\n", b"sl\n1: 2\n", b"sl\n1: 0 0 xx\n", b"sl\n0: 0:1 0:0 +A 0:0\n"] {
            assert!(proc_tcp(refused).is_err(), "{refused:?}");
        }
        for refused in [&b""[..], b"sl\n1: 2\n", b"sl\n1: 0 0 07 1 x 1\n", b"sl\n1: 0 0 07 1:1 x\n"] {
            assert!(proc_udp(refused).is_err(), "{refused:?}");
        }
    }
}
