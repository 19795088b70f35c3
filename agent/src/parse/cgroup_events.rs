//! `cgroup.events` (v2): whether a cgroup runs.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files>
//!
//! ```text
//! populated 1
//! frozen 0
//! ```
//! `populated` counts what lies below too.

use super::ParseError;
use super::pairs::each_pair;

/// `populated`; `None` where this kernel does not tell it.
///
/// # Errors
/// When a line is no key and number, or the text is empty.
pub fn cgroup_events_populated(input: &[u8]) -> Result<Option<bool>, ParseError> {
    let mut populated = None;
    each_pair(input, |pair| {
        if pair.key == b"populated" {
            populated = Some(pair.number()? != 0);
        }
        Ok(())
    })?;
    Ok(populated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn populated_or_not() {
        assert_eq!(cgroup_events_populated(b"populated 1\nfrozen 0\n").unwrap(), Some(true));
        assert_eq!(cgroup_events_populated(b"populated 0\n").unwrap(), Some(false));
        assert_eq!(cgroup_events_populated(b"frozen 0\n").unwrap(), None);
        assert!(cgroup_events_populated(b"").is_err() && cgroup_events_populated(b"populated x\n").is_err());
    }
}
