//! A count of resctrl: `mon_data/mon_L3_<id>/llc_occupancy`, `mbm_total_bytes`, `mbm_local_bytes`.
//!
//! Kernel text: <https://docs.kernel.org/filesystems/resctrl.html>
//!
//! ```text
//! 4718592
//! ```
//! Bytes. The kernel prints a word where the processor has no number: `Unavailable` while a count is not ready,
//! `Error` for one that it refuses, `Unassigned` where all its counters count for others.

use super::{ParseError, value};

/// The number; `None` for one of the words.
pub fn resctrl_count(input: &[u8]) -> Result<Option<u64>, ParseError> {
    match input.trim_ascii() {
        b"Unavailable" | b"Error" | b"Unassigned" => Ok(None),
        _ => value(input).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
