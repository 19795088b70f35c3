//! `memory.events` (v2) and `memory.oom_control` (v1): how often a cgroup met its limits.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files>,
//! <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html#oom-control>
//!
//! ```text
//! memory.events:        memory.oom_control:
//! low 0                 oom_kill_disable 0
//! high 12               under_oom 0
//! max 3                 oom_kill 1
//! oom 1
//! oom_kill 1
//! oom_group_kill 0
//! ```
//! Counts since the cgroup was made. `oom_group_kill` came in 5.17, `sock_throttled` (not read) in 6.19; the
//! `oom_kill` line of v1 in 4.13.

use super::ParseError;
use super::pairs::each_pair;
use crate::model::{MemoryEvents, SwapEvents};

/// `memory.events` (v2).
///
/// # Errors
/// When a line is no key and number, or the text is empty.
pub fn memory_events(input: &[u8]) -> Result<MemoryEvents, ParseError> {
    let mut events = MemoryEvents::default();
    each_pair(input, |pair| {
        let field = match pair.key {
            b"low" => &mut events.low,
            b"high" => &mut events.high,
            b"max" => &mut events.max,
            b"oom" => &mut events.oom,
            b"oom_kill" => &mut events.oom_kill,
            b"oom_group_kill" => &mut events.oom_group_kill,
            _ => return Ok(()),
        };
        *field = Some(pair.number()?);
        Ok(())
    })?;
    Ok(events)
}

/// `memory.swap.events` (v2).
///
/// # Errors
/// When a line is no key and number, or the text is empty.
pub fn swap_events(input: &[u8]) -> Result<SwapEvents, ParseError> {
    let mut events = SwapEvents::default();
    each_pair(input, |pair| {
        match pair.key {
            b"high" => events.high = Some(pair.number()?),
            b"max" => events.max = Some(pair.number()?),
            b"fail" => events.fail = Some(pair.number()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(events)
}

/// How often a limit was met: the line `max` of `pids.events` and `hugetlb.<size>.events`.
///
/// # Errors
/// When a line is no key and number, or there is no such line.
pub fn max_events(input: &[u8]) -> Result<u64, ParseError> {
    let mut found = None;
    each_pair(input, |pair| {
        if pair.key == b"max" {
            found = Some(pair.number()?);
        }
        Ok(())
    })?;
    found.ok_or(ParseError::Empty { wanted: "a line of \"max\"" })
}

/// What `memory.oom_control` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OomControl {
    /// `under_oom`: whether the cgroup's tasks wait for memory now.
    pub under_oom: Option<bool>,
    /// `oom_kill`: processes killed for memory, of this cgroup alone.
    pub oom_kill: Option<u64>,
}

/// `memory.oom_control` (v1).
///
/// # Errors
/// When a line is no key and number, or the text is empty.
pub fn oom_control(input: &[u8]) -> Result<OomControl, ParseError> {
    let mut control = OomControl::default();
    each_pair(input, |pair| {
        match pair.key {
            b"under_oom" => control.under_oom = Some(pair.number()? != 0),
            b"oom_kill" => control.oom_kill = Some(pair.number()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(control)
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
    fn events_of_one_limit() {
        assert_eq!(max_events(b"max 7\n"), Ok(7));
        assert!(max_events(b"min 7\n").is_err() && max_events(b"max x\n").is_err());
        let swap = swap_events(b"high 1\nmax 2\nfail 3\n").unwrap();
        assert_eq!((swap.high, swap.max, swap.fail), (Some(1), Some(2), Some(3)));
        assert!(swap_events(b"").is_err() && swap_events(b"high\n").is_err());
    }

    #[test]
    fn oom_control_of_v1() {
        let control = oom_control(b"oom_kill_disable 0\nunder_oom 1\noom_kill 5\n").unwrap();
        assert_eq!(control, OomControl { under_oom: Some(true), oom_kill: Some(5) });
        assert_eq!(oom_control(b"oom_kill_disable 0\nunder_oom 0\n").unwrap().oom_kill, None);
    }

    #[test]
    fn garbage_is_refused() {
        for refused in [&b""[..], b"oom_kill\n", b"oom_kill -1\n"] {
            assert!(memory_events(refused).is_err(), "{refused:?}");
            assert!(oom_control(refused).is_err(), "{refused:?}");
        }
    }
}
