//! The flat keyed shape: `cpu.stat`, `memory.stat`, `memory.events`, `memory.oom_control`, `cpuacct.stat`.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html#format>
//!
//! ```text
//! KEY0 VAL0
//! KEY1 VAL1
//! ```
//! This is the hot path of a scrape: one pass, no allocation, and the value of a key that nobody wants is not parsed.

use super::ParseError;
use super::scan::{Line, split_once};

/// One line of the shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'a> {
    line: Line<'a>,
    /// The key.
    pub(super) key: &'a [u8],
    value: &'a [u8],
}

impl Pair<'_> {
    /// The value.
    pub(super) fn number(&self) -> Result<u64, ParseError> {
        self.line.number(self.value, "a key and a decimal number")
    }

    /// The value times `factor`.
    pub(super) fn scaled(&self, factor: u64) -> Result<u64, ParseError> {
        self.line.scaled(self.value, factor, "a key and a decimal number that fits 64 bits in our unit")
    }
}

/// Calls `take` for each line; refuses a text without lines and a line that is not a key and a value.
pub(super) fn each_pair<'a>(
    input: &'a [u8],
    mut take: impl FnMut(Pair<'a>) -> Result<(), ParseError>,
) -> Result<(), ParseError> {
    let (mut rest, mut number, mut found) = (input, 0, false);
    while !rest.is_empty() {
        let (text, after) = split_once(rest, b'\n').unwrap_or((rest, b""));
        rest = after;
        number += 1;
        if text.is_empty() {
            continue;
        }
        let line = Line { number, text };
        let (key, value) = split_once(text, b' ').ok_or_else(|| line.refused("a key and a value"))?;
        take(Pair { line, key, value })?;
        found = true;
    }
    if found { Ok(()) } else { Err(ParseError::Empty { wanted: "lines of a key and a value" }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(input: &[u8]) -> Result<u64, ParseError> {
        let mut total = 0;
        each_pair(input, |pair| {
            if pair.key != b"skip" {
                total += pair.number()?;
            }
            Ok(())
        })?;
        Ok(total)
    }

    #[test]
    fn pairs_with_and_without_the_last_newline() {
        assert_eq!(sum(b"a 1\nb 2\n"), Ok(3));
        assert_eq!(sum(b"a 1\nb 2"), Ok(3));
    }

    #[test]
    fn the_value_of_an_unwanted_key_is_not_parsed() {
        assert_eq!(sum(b"skip what ever\nb 2\n"), Ok(2));
    }

    #[test]
    fn garbage_is_refused_with_its_line() {
        assert_eq!(sum(b"a 1\nb\n"), Err(ParseError::line(2, b"b", "a key and a value")));
        assert_eq!(sum(b"a 1\nb x\n"), Err(ParseError::line(2, b"b x", "a key and a decimal number")));
        assert!(sum(b"").is_err());
        assert!(sum(b"\n").is_err());
    }
}
