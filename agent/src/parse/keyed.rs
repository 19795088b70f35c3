//! The flat keyed shape: `cpu.stat`, `memory.stat`, `memory.events`, `cgroup.events`, `/proc/vmstat`.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html#format>
//!
//! ```text
//! KEY0 VAL0
//! KEY1 VAL1
//! ```
//! A table of [`keys`] says which key fills which field. This is the hot path of a scrape: one pass, no allocation, and
//! the value of a key that is in no table is not parsed.

use super::ParseError;
use super::scan::{Line, split_once};
use crate::model::Keyed;

/// The field of a key, and the factor from the kernel's unit to the field's.
pub(super) type Field<'a> = (&'a mut Option<u64>, u64);

/// A table of keys: `keys!(field_of: MemoryStat { b"anon" => anon_bytes, b"user_usec" => user_nsec * 1000 })` makes
/// `fn field_of(&mut MemoryStat, key: &[u8]) -> Option<Field>`. Each key is compared with the whole of one known length,
/// which the compiler makes into a few instructions.
macro_rules! keys {
    ($name:ident: $type:ty { $($key:literal => $field:ident $(* $factor:expr)?),+ $(,)? }) => {
        fn $name<'a>(to: &'a mut $type, key: &[u8]) -> Option<crate::parse::keyed::Field<'a>> {
            $(if key == $key {
                return Some((&mut to.$field, [1 $(, $factor)?].into_iter().product()));
            })+
            None
        }
    };
}
pub(super) use keys;

#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'a> {
    line: Line<'a>,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
}

impl Pair<'_> {
    pub(super) fn number(&self) -> Result<u64, ParseError> {
        self.line.number(self.value, "a key and a decimal number")
    }

    /// Puts the value into its field, if it has one.
    pub(super) fn put(&self, field: Option<Field<'_>>) -> Result<(), ParseError> {
        match field {
            Some((field, 1)) => *field = Some(self.number()?),
            Some((field, factor)) => {
                let wanted = "a key and a decimal number that fits 64 bits in our unit";
                *field = Some(self.line.scaled(self.value, factor, wanted)?);
            }
            None => {}
        }
        Ok(())
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

/// A file whose keys `T` declares: `memory.events`, `memory.swap.events`, `cgroup.stat`.
///
/// Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files>,
/// <https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files>
pub fn keyed<T: Keyed>(input: &[u8]) -> Result<T, ParseError> {
    let mut found = T::default();
    each_pair(input, |pair| pair.put(found.field(pair.key).map(|field| (field, 1))))?;
    Ok(found)
}

/// The value of one key; `None` where the kernel does not print it. So are read:
///
/// - `oom_kill` of `/proc/vmstat` (since 4.13): processes killed for memory since the machine started, whatever the limit.
/// - `oom_kill` of `memory.events.local` (v2) and `memory.oom_control` (v1, since 4.13): those of one cgroup alone.
/// - `populated` of `cgroup.events` (v2): 1 while a process runs in the cgroup or below it.
pub fn value_of(input: &[u8], key: &str) -> Result<Option<u64>, ParseError> {
    let mut found = None;
    each_pair(input, |pair| pair.put((pair.key == key.as_bytes()).then_some((&mut found, 1))))?;
    Ok(found)
}

/// The value of the line `max`, in `pids.events` and `hugetlb.<size>.events`: how often the limit was met.
pub fn max_events(input: &[u8]) -> Result<u64, ParseError> {
    value_of(input, "max")?.ok_or(ParseError::Empty { wanted: "a line of \"max\"" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Descendants, MemoryEvents, SwapEvents};

    #[test]
    fn events_of_5_10_have_no_group_kills() {
        let events: MemoryEvents = keyed(b"low 0\nhigh 12\nmax 3\noom 2\noom_kill 1\n").unwrap();
        assert_eq!((events.low, events.high, events.max), (Some(0), Some(12), Some(3)));
        assert_eq!((events.oom, events.oom_kill, events.oom_group_kill), (Some(2), Some(1), None));
    }

    #[test]
    fn events_of_newer_kernels_have_more_lines() {
        let events: MemoryEvents = keyed(b"oom_kill 4\noom_group_kill 1\nsock_throttled 9\n").unwrap();
        assert_eq!((events.oom_kill, events.oom_group_kill, events.low), (Some(4), Some(1), None));
    }

    #[test]
    fn events_of_swap_and_cgroups_below() {
        let swap: SwapEvents = keyed(b"high 1\nmax 2\nfail 3\n").unwrap();
        assert_eq!((swap.high, swap.max, swap.fail), (Some(1), Some(2), Some(3)));
        let text = b"nr_descendants 12\nnr_subsys_cpu 3\nnr_dying_descendants 4\n";
        assert_eq!(keyed(text), Ok(Descendants { living: Some(12), dying: Some(4) }));
    }

    #[test]
    fn events_that_are_garbage_are_refused() {
        for refused in [&b""[..], b"oom_kill\n", b"oom_kill -1\n"] {
            assert!(keyed::<MemoryEvents>(refused).is_err(), "{refused:?}");
        }
    }

    #[derive(Debug, Default, PartialEq)]
    struct Two {
        plain: Option<u64>,
        scaled: Option<u64>,
    }

    keys!(field_of: Two { b"a" => plain, b"b_usec" => scaled * 1000 });

    fn two(input: &[u8]) -> Result<Two, ParseError> {
        let mut found = Two::default();
        each_pair(input, |pair| pair.put(field_of(&mut found, pair.key)))?;
        Ok(found)
    }

    #[test]
    fn pairs_with_and_without_the_last_newline() {
        let wanted = Two { plain: Some(1), scaled: Some(2000) };
        assert_eq!(two(b"a 1\nb_usec 2\n").unwrap(), wanted);
        assert_eq!(two(b"b_usec 2\n\na 1").unwrap(), wanted);
        assert_eq!(two(b"a 1\n").unwrap().scaled, None);
    }

    #[test]
    fn the_value_of_an_unknown_key_is_not_parsed() {
        assert_eq!(two(b"skip what ever\na 2\n").unwrap().plain, Some(2));
    }

    #[test]
    fn garbage_is_refused_with_its_line() {
        assert_eq!(two(b"a 1\nb\n"), Err(ParseError::line(2, b"b", "a key and a value")));
        assert_eq!(two(b"x 1\na x\n"), Err(ParseError::line(2, b"a x", "a key and a decimal number")));
        assert!(two(b"b_usec 18446744073709551615\n").is_err());
        assert!(two(b"").is_err() && two(b"\n").is_err());
    }

    #[test]
    fn the_value_of_one_key() {
        assert_eq!(value_of(b"nr_free_pages 1\noom_kill 12\nnuma_hit 3\n", "oom_kill"), Ok(Some(12)));
        assert_eq!(value_of(b"nr_free_pages 1\n", "oom_kill"), Ok(None));
        for refused in [&b""[..], b"oom_kill\n", b"oom_kill x\n", b"oom_kill -1\n"] {
            assert!(value_of(refused, "oom_kill").is_err(), "{refused:?}");
        }
        assert_eq!(max_events(b"max 7\n"), Ok(7));
        assert!(max_events(b"min 7\n").is_err() && max_events(b"max x\n").is_err());
    }
}
