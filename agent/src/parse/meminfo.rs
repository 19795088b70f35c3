//! `/proc/meminfo`: the node's memory and swap.
//!
//! Kernel text: <https://docs.kernel.org/filesystems/proc.html#meminfo>
//!
//! ```text
//! MemTotal:       24684084 kB
//! SwapTotal:             0 kB
//! SwapFree:              0 kB
//! ```
//! The kernel's kB are 1024 bytes.

use super::ParseError;
use super::keyed::keys;
use super::scan::{lines, split_once};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meminfo {
    pub memory_total_bytes: Option<u64>,
    pub swap_total_bytes: Option<u64>,
    pub swap_free_bytes: Option<u64>,
}

impl Meminfo {
    pub fn swap_used_bytes(&self) -> Option<u64> {
        self.swap_total_bytes?.checked_sub(self.swap_free_bytes?)
    }
}

/// `/proc/meminfo`.
pub fn meminfo(input: &[u8]) -> Result<Meminfo, ParseError> {
    keys!(field_of: Meminfo {
        b"MemTotal" => memory_total_bytes * 1024,
        b"SwapTotal" => swap_total_bytes * 1024,
        b"SwapFree" => swap_free_bytes * 1024,
    });
    let mut info = Meminfo::default();
    let mut found = false;
    for line in lines(input) {
        let (key, value) = split_once(line.text, b':').ok_or_else(|| line.refused("a key and \":\""))?;
        found = true;
        let Some((field, factor)) = field_of(&mut info, key) else { continue };
        let kib = value.trim_ascii().strip_suffix(b" kB").ok_or_else(|| line.refused("a number of kB"))?;
        *field = Some(line.scaled(kib, factor, "a number of kB")?);
    }
    if found { Ok(info) } else { Err(ParseError::Empty { wanted: "lines of a key and a number of kB" }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_are_1024_bytes() {
        let info = meminfo(
            b"MemTotal:       24684084 kB\nHugePages_Total:       0\nSwapTotal: 8 kB\nSwapFree: 5 kB\n",
        );
        let info = info.unwrap();
        assert_eq!(info.memory_total_bytes, Some(25_276_502_016));
        assert_eq!(info.swap_used_bytes(), Some(3072));
        assert_eq!(meminfo(b"MemTotal: 1 kB\n").unwrap().swap_used_bytes(), None);
    }

    #[test]
    fn garbage_is_refused() {
        for refused in [&b""[..], b"MemTotal 1 kB\n", b"MemTotal: 1\n", b"MemTotal: x kB\n"] {
            assert!(meminfo(refused).is_err(), "{refused:?}");
        }
    }
}
