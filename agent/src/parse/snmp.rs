//! `/proc/<pid>/net/snmp` and `net/netstat`: counters of a network namespace's protocols.
//!
//! Kernel text: <https://docs.kernel.org/networking/snmp_counter.html>
//!
//! ```text
//! Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens
//! Tcp: 1 200 120000 -1 7660
//! ```
//! Two lines for each protocol: names, then values. Counts; -1 is "no limit".

use super::ParseError;
use super::scan::{lines, words};

const WANTED: &str = "a line of names and a line of as many numbers for each protocol";

/// The counters of one protocol (`Tcp`, `TcpExt`), names in lower case. A negative value is left out.
pub fn snmp(input: &[u8], protocol: &str) -> Result<Vec<(String, u64)>, ParseError> {
    let mut of_protocol = lines(input).filter(|line| {
        line.text.strip_prefix(protocol.as_bytes()).is_some_and(|rest| rest.first() == Some(&b':'))
    });
    let (Some(names), Some(values)) = (of_protocol.next(), of_protocol.next()) else {
        return Err(ParseError::Empty { wanted: WANTED });
    };
    let (mut found, mut numbers) = (Vec::new(), words(values.text).skip(1));
    for name in words(names.text).skip(1) {
        let number = numbers.next().ok_or_else(|| values.refused(WANTED))?;
        if let Some(b"-1") = Some(number) {
            continue;
        }
        let number = values.number(number, WANTED)?;
        found.push((super::scan::text(name).to_ascii_lowercase(), number));
    }
    if numbers.next().is_some() { Err(values.refused(WANTED)) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"Ip: A B\nIp: 1 2\nTcp: MaxConn ActiveOpens\nTcp: -1 7\nTcpExt: TW\nTcpExt: 3\n";

    #[test]
    fn each_protocol_has_its_own() {
        assert_eq!(snmp(TEXT, "Tcp"), Ok(vec![("activeopens".to_owned(), 7)]));
        assert_eq!(snmp(TEXT, "TcpExt"), Ok(vec![("tw".to_owned(), 3)]));
    }

    #[test]
    fn garbage_is_refused() {
        for refused in
            [&b""[..], b"Tcp: A B\n", b"Tcp: A B\nTcp: 1\n", b"Tcp: A\nTcp: 1 2\n", b"Tcp: A\nTcp: x\n"]
        {
            assert!(snmp(refused, "Tcp").is_err(), "{refused:?}");
        }
    }
}
