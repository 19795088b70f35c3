//! `/proc/<pid>/net/dev`: the interfaces of a process's network namespace.
//!
//! Manual: <https://man7.org/linux/man-pages/man5/proc_pid_net.5.html>
//!
//! ```text
//! Inter-|   Receive                                                |  Transmit
//!  face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls ...
//!   eth0: 296025405    7660    0    0    0     0          0         0   454223    4613    0    0    0     0 ...
//! ```
//! Bytes and counts, 16 after the name. A name has no blank, `/` or `:`, but may touch its first number.

use super::ParseError;
use super::scan::{Line, lines, split_once, text, words};
use crate::model::{InterfaceStats, TransferStats};

/// `/proc/<pid>/net/dev`, all interfaces.
pub fn net_dev(input: &[u8]) -> Result<Vec<InterfaceStats>, ParseError> {
    let mut lines = lines(input);
    for _ in 0..2 {
        let heading = lines.next().ok_or(ParseError::Empty { wanted: "two heading lines" })?;
        if !heading.text.contains(&b'|') {
            return Err(heading.refused("a heading with \"|\""));
        }
    }
    lines.map(|line| interface(&line)).collect()
}

fn interface(line: &Line<'_>) -> Result<InterfaceStats, ParseError> {
    const WANTED: &str = "an interface, \":\" and 16 decimal numbers";
    let (name, rest) = split_once(line.text, b':').ok_or_else(|| line.refused(WANTED))?;
    let mut numbers = [0_u64; 16];
    let mut found = words(rest);
    for number in &mut numbers {
        *number = line.number(found.next().unwrap_or_default(), WANTED)?;
    }
    let name = name.trim_ascii();
    if found.next().is_some() || name.is_empty() {
        return Err(line.refused(WANTED));
    }
    let [
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        _,
        _,
        _,
        _,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
        ..,
    ] = numbers;
    Ok(InterfaceStats {
        name: text(name),
        receive: TransferStats {
            bytes: rx_bytes,
            packets: rx_packets,
            errors: rx_errors,
            dropped: rx_dropped,
        },
        transmit: TransferStats {
            bytes: tx_bytes,
            packets: tx_packets,
            errors: tx_errors,
            dropped: tx_dropped,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "Inter-|   Receive        |  Transmit\n face |bytes packets|bytes packets\n";

    fn parse(body: &str) -> Result<Vec<InterfaceStats>, ParseError> {
        net_dev(format!("{HEADING}{body}").as_bytes())
    }

    #[test]
    fn each_field_has_its_place() {
        let found = parse("  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n").unwrap();
        let wanted = InterfaceStats {
            name: "eth0".to_owned(),
            receive: TransferStats { bytes: 1, packets: 2, errors: 3, dropped: 4 },
            transmit: TransferStats { bytes: 9, packets: 10, errors: 11, dropped: 12 },
        };
        assert_eq!(found, [wanted]);
    }

    #[test]
    fn a_name_may_touch_its_number() {
        let found = parse("eth0:12345 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n").unwrap();
        assert_eq!((found[0].name.as_str(), found[0].receive.bytes), ("eth0", 12345));
    }

    #[test]
    fn a_namespace_without_interfaces() {
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn garbage_is_refused() {
        assert!(net_dev(b"").is_err());
        assert!(net_dev(b"eth0: 1\neth1: 2\n").is_err());
        for refused in [
            "eth0 1\n",
            "eth0: 1 2 3\n",
            ": 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
            "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 x\n",
            "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n",
        ] {
            assert!(parse(refused).is_err(), "{refused:?}");
        }
    }
}
