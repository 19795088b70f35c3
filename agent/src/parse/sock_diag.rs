//! Messages of netlink's `sock_diag`: the sockets of a network namespace.
//!
//! Kernel text: `include/uapi/linux/netlink.h`, `inet_diag.h`, `sock_diag.h`;
//! <https://man7.org/linux/man-pages/man7/sock_diag.7.html>
//!
//! A datagram holds messages, each with a header of 16 bytes (length, type, flags, sequence, port) and padded to 4. A
//! socket's message is `struct inet_diag_msg` (72 bytes: family, state at 1, receive queue at 56, transmit queue at
//! 60), then attributes: the one of type 7 is an array of `u32` whose ninth is dropped datagrams. Native byte order.

use crate::model::{TcpStates, UdpStats};

const HEADER: usize = 16;
const MESSAGE: usize = 72;
const DONE: u16 = 3;
const ERROR: u16 = 2;
/// `INET_DIAG_SKMEMINFO`: the attribute with a socket's memory and dropped datagrams.
pub const SOCKET_MEMORY: u8 = 7;
/// `SK_MEMINFO_DROPS`.
const DROPS: usize = 8;

/// Whether the answer ends with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiagEnd {
    /// More is to come.
    More,
    /// It was the last one.
    Done,
    /// The kernel refused, with this error number; or the bytes are no answer (0).
    Refused(i32),
}

/// Counts the TCP sockets of one datagram of an answer.
pub fn diag_tcp(datagram: &[u8], states: &mut TcpStates) -> DiagEnd {
    each_socket(datagram, |socket| {
        states.add(*socket.get(1)?);
        Some(())
    })
}

/// Adds the UDP sockets of one datagram of an answer.
pub fn diag_udp(datagram: &[u8], found: &mut UdpStats) -> DiagEnd {
    each_socket(datagram, |socket| {
        let add = |sum: &mut u64, more: u32| *sum = sum.saturating_add(more.into());
        add(&mut found.receive_queued_bytes, u32_at(socket, 56)?);
        add(&mut found.transmit_queued_bytes, u32_at(socket, 60)?);
        add(&mut found.dropped, dropped(socket.get(MESSAGE..)?).unwrap_or(0));
        found.sockets += 1;
        Some(())
    })
}

/// Calls `take` with each message of a socket.
fn each_socket(datagram: &[u8], mut take: impl FnMut(&[u8]) -> Option<()>) -> DiagEnd {
    let mut rest = datagram;
    while !rest.is_empty() {
        let (Some(length), Some(kind)) = (u32_at(rest, 0), u16_at(rest, 4)) else {
            return DiagEnd::Refused(0);
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(body) = rest.get(HEADER..length) else { return DiagEnd::Refused(0) };
        match kind {
            DONE => return DiagEnd::Done,
            ERROR => {
                return DiagEnd::Refused(
                    u32_at(body, 0).map_or(0, |number| number.wrapping_neg().cast_signed()),
                );
            }
            _ if body.len() < MESSAGE || take(body).is_none() => return DiagEnd::Refused(0),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    DiagEnd::More
}

fn dropped(attributes: &[u8]) -> Option<u32> {
    let mut rest = attributes;
    loop {
        let (length, kind) = (usize::from(u16_at(rest, 0)?), u16_at(rest, 2)?);
        let value = rest.get(4..length)?;
        if kind == u16::from(SOCKET_MEMORY) {
            return u32_at(value, DROPS * 4);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + body.len()).unwrap();
        let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], body].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn of(state: u8, receive: u32, transmit: u32, dropped: Option<u32>) -> Vec<u8> {
        let mut body = vec![0; MESSAGE];
        body[1] = state;
        body[56..60].copy_from_slice(&receive.to_ne_bytes());
        body[60..64].copy_from_slice(&transmit.to_ne_bytes());
        if let Some(dropped) = dropped {
            body.extend([&5_u16.to_ne_bytes()[..], &8_u16.to_ne_bytes(), &[1, 0, 0, 0]].concat());
            body.extend([&40_u16.to_ne_bytes()[..], &7_u16.to_ne_bytes(), &[0; 32]].concat());
            body.extend(dropped.to_ne_bytes());
        }
        message(20, &body)
    }

    #[test]
    fn sockets_are_counted_until_the_end() {
        let mut states = TcpStates::default();
        let datagram = [of(1, 0, 0, None), of(10, 0, 0, None)].concat();
        assert_eq!(diag_tcp(&datagram, &mut states), DiagEnd::More);
        assert_eq!(diag_tcp(&message(DONE, &[0; 4]), &mut states), DiagEnd::Done);
        assert_eq!(states.iter().map(|(_, count)| count).sum::<u64>(), 2);
        let mut udp = UdpStats::default();
        assert_eq!(diag_udp(&[of(7, 3, 4, Some(9)), of(7, 1, 1, None)].concat(), &mut udp), DiagEnd::More);
        let wanted = UdpStats { sockets: 2, dropped: 9, receive_queued_bytes: 4, transmit_queued_bytes: 5 };
        assert_eq!(udp, wanted);
    }

    #[test]
    fn a_refusal_has_its_number() {
        let refused = message(ERROR, &[&(-2_i32).to_ne_bytes()[..], &[0; 16]].concat());
        assert_eq!(diag_tcp(&refused, &mut TcpStates::default()), DiagEnd::Refused(2));
    }

    #[test]
    fn every_cut_is_refused_or_less() {
        let whole = of(7, 3, 4, Some(9));
        for end in 1..whole.len() {
            let end = diag_udp(&whole[..end], &mut UdpStats::default());
            assert_eq!(end, DiagEnd::Refused(0));
        }
    }
}
