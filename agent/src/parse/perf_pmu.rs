//! The events of a unit and how its terms are put into the kernel's numbers: `events/*` and `format/*` below
//! `/sys/bus/event_source/devices/<unit>`; and lists of processors.
//!
//! Kernel text: `Documentation/ABI/testing/sysfs-bus-event_source-devices-events` and `-format`
//!
//! ```text
//! events/cache-misses    event=0x2e,umask=0x41
//! format/event           config:0-7
//! format/umask           config:8-15,32-39
//! cpumask                0,18
//! ```

use super::ParseError;
use super::scan::text;

/// Numbers in a list of processors; the kernel takes no more than 8192 of them.
const MAX_CPUS: usize = 8192;

/// A term of an event and its value; a term without one is 1. `?` is a value that the user has to give: it is refused.
pub fn perf_terms(input: &[u8]) -> Result<Vec<(String, u64)>, ParseError> {
    let line = text(input.trim_ascii());
    let refused = || ParseError::line(1, input.trim_ascii(), "terms NAME=NUMBER between commas");
    let term = |term: &str| {
        let (name, value) =
            term.split_once('=').map_or((term, Some(1)), |(name, value)| (name, number(value)));
        if name.trim().is_empty() {
            return Err(refused());
        }
        Ok((name.trim().to_owned(), value.ok_or_else(refused)?))
    };
    line.split(',').map(term).collect()
}

/// Where a term goes: which of the three numbers, and the bits of it, lowest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermBits {
    word: usize,
    bits: Vec<u32>,
}

impl TermBits {
    /// Puts the value there; false when it has more bits than there is room for.
    pub fn put(&self, value: u64, config: &mut [u64; 3]) -> bool {
        let Some(word) = config.get_mut(self.word) else { return false };
        for (from, &to) in self.bits.iter().enumerate().take(64) {
            *word |= (value >> from & 1) << to;
        }
        self.bits.len() >= 64 || value >> self.bits.len() == 0
    }
}

/// A file of `format`.
pub fn perf_format(input: &[u8]) -> Result<TermBits, ParseError> {
    let refused =
        || ParseError::line(1, input.trim_ascii(), "config, config1 or config2 with ranges of bits");
    let line = text(input.trim_ascii());
    let (word, ranges) = line.split_once(':').ok_or_else(refused)?;
    let word =
        ["config", "config1", "config2"].iter().position(|known| *known == word).ok_or_else(refused)?;
    let bits = ranges_of(ranges, 64).ok_or_else(refused)?;
    if bits.iter().any(|&bit| bit > 63) {
        return Err(refused());
    }
    Ok(TermBits { word, bits })
}

/// `cpumask` and `online`: the numbers of processors, in order.
pub fn cpu_list(input: &[u8]) -> Result<Vec<u32>, ParseError> {
    let line = text(input.trim_ascii());
    if line.is_empty() {
        return Ok(Vec::new());
    }
    let cpus = ranges_of(&line, MAX_CPUS);
    cpus.ok_or_else(|| ParseError::line(1, input.trim_ascii(), "numbers and ranges between commas"))
}

/// `0-3,8`: all of these numbers, if they are at most `most`.
fn ranges_of(text: &str, most: usize) -> Option<Vec<u32>> {
    let mut found = Vec::new();
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        let count = usize::try_from(last.checked_sub(first)?).ok()?;
        if found.len().saturating_add(count) >= most {
            return None;
        }
        found.extend(first..=last);
    }
    Some(found)
}

/// Decimal, or hexadecimal after `0x`.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => u64::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_go_to_the_bits_of_their_formats() {
        let terms = perf_terms(b"event=0x2e,umask=0x41,inv,cmask=10\n").unwrap();
        let names: Vec<&str> = terms.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["event", "umask", "inv", "cmask"]);
        assert_eq!(terms.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [0x2e, 0x41, 1, 10]);
        let mut config = [0; 3];
        assert!(perf_format(b"config:0-7,32\n").unwrap().put(0x1ff, &mut config));
        assert!(perf_format(b"config1:8-15\n").unwrap().put(0x41, &mut config));
        assert!(perf_format(b"config2:0-63\n").unwrap().put(u64::MAX, &mut config));
        assert_eq!(config, [0x1_0000_00ff, 0x4100, u64::MAX]);
        assert!(!perf_format(b"config:23\n").unwrap().put(2, &mut config), "a bit too many");
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for terms in [&b""[..], b"event=?", b"=1", b"event=0x", b"event=+1", b"a,,b"] {
            assert!(perf_terms(terms).is_err(), "{}", text(terms));
        }
        for format in
            [&b""[..], b"config", b"config:", b"config3:0-1", b"config:7-0", b"config:60-64", b"config:0-99"]
        {
            assert!(perf_format(format).is_err(), "{}", text(format));
        }
    }

    #[test]
    fn lists_of_processors() {
        assert_eq!(cpu_list(b"0-2,8\n"), Ok(vec![0, 1, 2, 8]));
        assert_eq!(cpu_list(b"\n"), Ok(vec![]));
        for list in [&b"a"[..], b"3-1", b"0-4294967295", b"1,,2"] {
            assert!(cpu_list(list).is_err(), "{}", text(list));
        }
    }
}
