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
    let mut numbers = words(rest);
    let mut transfers = || -> Result<TransferStats, ParseError> {
        let mut columns = [0; 8];
        for column in &mut columns {
            *column = line.number(numbers.next().unwrap_or_default(), WANTED)?;
        }
        let [bytes, packets, errors, dropped, ..] = columns;
        Ok(TransferStats { bytes, packets, errors, dropped })
    };
    let name = name.trim_ascii();
    let found = InterfaceStats { name: text(name), receive: transfers()?, transmit: transfers()? };
    if numbers.next().is_some() || name.is_empty() { Err(line.refused(WANTED)) } else { Ok(found) }
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
