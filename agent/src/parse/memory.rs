//! `memory.events` and `memory.swap.events` (v2): how often a cgroup met its limits.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files>
//!
//! ```text
//! memory.events:        memory.swap.events:
//! low 0                 high 0
//! high 12               max 5
//! max 3                 fail 6
//! oom 1
//! oom_kill 1
//! oom_group_kill 0
//! ```
//! Counts since the cgroup was made. `oom_group_kill` came in 5.17, `sock_throttled` (not read) in 6.19.

use super::ParseError;
use super::keyed::{keyed, keys};
use crate::model::{MemoryEvents, SwapEvents};

/// `memory.events` and `memory.events.local` (v2).
pub fn memory_events(input: &[u8]) -> Result<MemoryEvents, ParseError> {
    keys!(field_of: MemoryEvents {
        b"low" => low,
        b"high" => high,
        b"max" => max,
        b"oom" => oom,
        b"oom_kill" => oom_kill,
        b"oom_group_kill" => oom_group_kill,
    });
    keyed(input, field_of)
}

/// `memory.swap.events` (v2).
pub fn swap_events(input: &[u8]) -> Result<SwapEvents, ParseError> {
    keys!(field_of: SwapEvents { b"high" => high, b"max" => max, b"fail" => fail });
    keyed(input, field_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_5_10_have_no_group_kills() {
        let events = memory_events(b"low 0\nhigh 12\nmax 3\noom 2\noom_kill 1\n").unwrap();
        assert_eq!((events.low, events.high, events.max), (Some(0), Some(12), Some(3)));
        assert_eq!((events.oom, events.oom_kill, events.oom_group_kill), (Some(2), Some(1), None));
    }

    #[test]
    fn events_of_newer_kernels_have_more_lines() {
        let events = memory_events(b"oom_kill 4\noom_group_kill 1\nsock_throttled 9\n").unwrap();
        assert_eq!((events.oom_kill, events.oom_group_kill, events.low), (Some(4), Some(1), None));
    }

    #[test]
    fn events_of_swap() {
        let swap = swap_events(b"high 1\nmax 2\nfail 3\n").unwrap();
        assert_eq!((swap.high, swap.max, swap.fail), (Some(1), Some(2), Some(3)));
        assert!(swap_events(b"").is_err() && swap_events(b"high\n").is_err());
    }

    #[test]
    fn garbage_is_refused() {
        for refused in [&b""[..], b"oom_kill\n", b"oom_kill -1\n"] {
            assert!(memory_events(refused).is_err(), "{refused:?}");
        }
    }
}
