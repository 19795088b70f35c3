//! `memory.numa_stat` of v1 and v2: where a cgroup's memory is.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html#numa-stat>,
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files>
//!
//! ```text
//! v1:                                   v2:
//! file=1220 N0=1000 N1=220              anon N0=8052736 N1=0
//! hierarchical_file=2440 N0=2000 N1=440 file N0=517185536 N1=4096
//! ```
//! v1 counts pages, for the cgroup alone and with all below it; v2 counts bytes (since 5.10), always with all below.

use super::ParseError;
use super::scan::{decimal, lines, split_once, words};
use crate::model::{NumaKind, NumaPages};

const WANTED: &str = "a key and N<node>=<decimal number> for each node";

/// `memory.numa_stat` of v1.
pub fn numa_stat_v1(input: &[u8]) -> Result<Vec<NumaPages>, ParseError> {
    fn key_of(word: &[u8]) -> Option<(&[u8], bool)> {
        let (key, _sum) = split_once(word, b'=')?;
        let whole = key.strip_prefix(b"hierarchical_");
        Some((whole.unwrap_or(key), whole.is_some()))
    }
    numa_stat(input, 1, key_of)
}

/// `memory.numa_stat` of v2, in pages of `page_bytes`.
pub fn numa_stat_v2(input: &[u8], page_bytes: u64) -> Result<Vec<NumaPages>, ParseError> {
    numa_stat(input, page_bytes.max(1), |word| Some((word, true)))
}

/// The kind in the first word of a line, and whether the line counts all below.
type KeyOf = fn(&[u8]) -> Option<(&[u8], bool)>;

fn numa_stat(input: &[u8], divisor: u64, key_of: KeyOf) -> Result<Vec<NumaPages>, ParseError> {
    let mut found = Vec::new();
    for line in lines(input) {
        let fields = || {
            let (key, nodes) = split_once(line.text, b' ')?;
            Some((key_of(key)?, nodes))
        };
        let ((key, hierarchical), nodes) = fields().ok_or_else(|| line.refused(WANTED))?;
        let Some(kind) = str::from_utf8(key).ok().and_then(NumaKind::from_name) else { continue };
        for word in words(nodes) {
            let parsed = || {
                let (node, amount) = split_once(word.strip_prefix(b"N")?, b'=')?;
                let node = u32::try_from(decimal(node)?).ok()?;
                Some(NumaPages { kind, hierarchical, node, pages: decimal(amount)? / divisor })
            };
            found.push(parsed().ok_or_else(|| line.refused(WANTED))?);
        }
    }
    if found.is_empty() { Err(ParseError::Empty { wanted: WANTED }) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_has_both_scopes() {
        let text = b"total=6 N0=4 N1=2\nfile=3 N0=2 N1=1\nhierarchical_total=9 N0=9 N1=0\n\
                     hierarchical_anon=7 N0=7 N1=0\n";
        let found = numa_stat_v1(text).unwrap();
        let values: Vec<_> = found.iter().map(|f| (f.kind, f.hierarchical, f.node, f.pages)).collect();
        let wanted = [
            (NumaKind::File, false, 0, 2),
            (NumaKind::File, false, 1, 1),
            (NumaKind::Anon, true, 0, 7),
            (NumaKind::Anon, true, 1, 0),
        ];
        assert_eq!(values, wanted);
    }

    #[test]
    fn v2_bytes_become_pages() {
        let found =
            numa_stat_v2(b"anon N0=8192\nfile N0=4096\nshmem N0=1\nunevictable N0=0\n", 4096).unwrap();
        assert_eq!(found.iter().map(|f| f.pages).collect::<Vec<_>>(), [2, 1, 0]);
        assert!(found.iter().all(|f| f.hierarchical));
    }

    #[test]
    fn garbage_is_refused() {
        for refused in [&b""[..], b"file\n", b"file=1 0=1\n", b"file=1 N0=x\n", b"file=1 Nx=1\n"] {
            assert!(numa_stat_v1(refused).is_err(), "{refused:?}");
        }
        for refused in [&b""[..], b"file\n", b"file N0\n", b"file N0=-1\n"] {
            assert!(numa_stat_v2(refused, 4096).is_err(), "{refused:?}");
        }
    }
}
