//! The single value shape: `pids.current`, `memory.current`, `memory.max`, `cpu.shares`, ...
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html#format>
//!
//! ```text
//! 123
//! ```
//! Bytes or a plain count, as the file says. "No limit" is `max` on v2 (and `pids.max` of v1), and on v1's memory
//! files the largest number of pages the kernel counts, or -1.

use super::ParseError;
use super::scan::{Line, decimal};
use crate::model::Limit;

/// `PAGE_COUNTER_MAX` (`LONG_MAX / PAGE_SIZE`) pages of 4 KiB: what v1 prints where no memory limit is set. With
/// larger pages the number is a little smaller, so [`limit_v1`] takes all from `LONG_MAX` less the largest page on.
const NO_LIMIT_V1_BYTES: u64 = 0x7fff_ffff_ffff_0000;

/// A single number.
pub fn value(input: &[u8]) -> Result<u64, ParseError> {
    let line = only_line(input)?;
    line.number(line.text, "a decimal number")
}

/// A count of resctrl (`mon_data/mon_L3_<id>/llc_occupancy`, `mbm_total_bytes`, `mbm_local_bytes`), in bytes. The kernel prints a word
/// where the processor has no number: `Unavailable` while a count is not ready, `Error` for one that it refuses, `Unassigned` where
/// all its counters count for others. That is `None`.
///
/// Kernel text: <https://docs.kernel.org/filesystems/resctrl.html>
pub fn resctrl_count(input: &[u8]) -> Result<Option<u64>, ParseError> {
    match input.trim_ascii() {
        b"Unavailable" | b"Error" | b"Unassigned" => Ok(None),
        _ => value(input).map(Some),
    }
}

/// A number or `max`: the limits of v2, and `pids.max` of both.
pub fn limit(input: &[u8]) -> Result<Limit, ParseError> {
    let line = only_line(input)?;
    word_limit(line.text).ok_or_else(|| line.refused("a decimal number or \"max\""))
}

/// A memory limit of v1 in bytes, or `cpu.cfs_quota_us` in microseconds. -1 is no limit, and so is the largest number of pages.
pub fn limit_v1(input: &[u8]) -> Result<Limit, ParseError> {
    let line = only_line(input)?;
    match line.text {
        b"-1" => Ok(Limit::Max),
        text => match line.number(text, "a decimal number or -1")? {
            NO_LIMIT_V1_BYTES.. => Ok(Limit::Max),
            bytes => Ok(Limit::Value(bytes)),
        },
    }
}

pub(super) fn word_limit(text: &[u8]) -> Option<Limit> {
    if text == b"max" { Some(Limit::Max) } else { decimal(text).map(Limit::Value) }
}

/// The text without its last newline; a second line is part of it and will be refused.
fn only_line(input: &[u8]) -> Result<Line<'_>, ParseError> {
    match input.strip_suffix(b"\n").unwrap_or(input) {
        b"" => Err(ParseError::Empty { wanted: "a single value" }),
        text => Ok(Line { number: 1, text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_values() {
        assert_eq!(value(b"123\n"), Ok(123));
        assert_eq!(value(b"0"), Ok(0));
        for refused in [&b""[..], b"\n", b"max\n", b"1 2\n", b"1\n2\n", b"-1\n"] {
            assert!(value(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn limits_of_v2() {
        assert_eq!(limit(b"max\n"), Ok(Limit::Max));
        assert_eq!(limit(b"0\n"), Ok(Limit::Value(0)));
        assert_eq!(limit(b"9223372036854771712\n"), Ok(Limit::Value(9_223_372_036_854_771_712)));
        for refused in [&b""[..], b"-1\n", b"maximum\n"] {
            assert!(limit(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn limits_of_v1() {
        assert_eq!(limit_v1(b"9223372036854771712\n"), Ok(Limit::Max), "4 KiB pages");
        assert_eq!(limit_v1(b"9223372036854710272\n"), Ok(Limit::Max), "64 KiB pages");
        assert_eq!(limit_v1(b"-1\n"), Ok(Limit::Max));
        assert_eq!(limit_v1(b"67108864\n"), Ok(Limit::Value(67_108_864)));
        assert_eq!(limit_v1(b"0\n"), Ok(Limit::Value(0)));
        assert!(limit_v1(b"max\n").is_err());
        assert!(limit_v1(b"\n").is_err());
    }

    #[test]
    fn quotas_of_v1() {
        assert_eq!(limit_v1(b"-1\n"), Ok(Limit::Max));
        assert_eq!(limit_v1(b"50000\n"), Ok(Limit::Value(50_000)));
        assert!(limit_v1(b"-2\n").is_err());
    }

    #[test]
    fn a_number_or_a_word_for_none() {
        assert_eq!(resctrl_count(b"4718592\n"), Ok(Some(4_718_592)));
        for word in [&b"Unavailable\n"[..], b"Error\n", b"Unassigned\n"] {
            assert_eq!(resctrl_count(word), Ok(None));
        }
        for text in [&b""[..], b"unavailable\n", b"-1\n", b"1 2\n"] {
            assert!(resctrl_count(text).is_err());
        }
    }
}
