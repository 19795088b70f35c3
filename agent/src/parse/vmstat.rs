//! `/proc/vmstat`: the machine's counters of memory events.
//!
//! ```text
//! oom_kill 3
//! ```
//! `oom_kill` (since 4.13): processes that the kernel has killed for memory since the machine started, whatever the limit.

use super::ParseError;
use super::pairs::each_pair;

/// `oom_kill`; `None` where this kernel does not count it.
///
/// # Errors
/// When a line is no key and number, or the text is empty.
pub fn vmstat_oom_kill(input: &[u8]) -> Result<Option<u64>, ParseError> {
    let mut found = None;
    each_pair(input, |pair| {
        if pair.key == b"oom_kill" {
            found = Some(pair.number()?);
        }
        Ok(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_among_others() {
        assert_eq!(vmstat_oom_kill(b"nr_free_pages 1\noom_kill 12\nnuma_hit 3\n").unwrap(), Some(12));
        assert_eq!(vmstat_oom_kill(b"nr_free_pages 1\n").unwrap(), None);
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(vmstat_oom_kill(b"").is_err());
        assert!(vmstat_oom_kill(b"oom_kill x\n").is_err());
    }
}
