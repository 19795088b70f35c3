//! `cgroup.procs`: the processes of a cgroup.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files>
//!
//! ```text
//! 1
//! 417
//! ```
//! One process id (thread group) a line, not sorted; 0 for a process outside the reader's PID namespace.

use super::ParseError;
use super::scan::{Line, lines};

/// The first process that the reader's PID namespace knows; `None` when there is none.
pub fn first_process(input: &[u8]) -> Result<Option<u32>, ParseError> {
    each_process(input).next().transpose()
}

/// All processes that the reader's PID namespace knows.
pub fn processes(input: &[u8]) -> Result<Vec<u32>, ParseError> {
    each_process(input).collect()
}

fn each_process(input: &[u8]) -> impl Iterator<Item = Result<u32, ParseError>> {
    let pid = |line: Line<'_>| {
        let pid = line.number(line.text, "a process id")?;
        u32::try_from(pid).ok().ok_or_else(|| line.refused("a process id of 32 bits"))
    };
    lines(input).map(pid).filter(|pid| !matches!(pid, Ok(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_processes_are_passed_over() {
        assert_eq!(first_process(b"0\n417\n1\n"), Ok(Some(417)));
        assert_eq!(first_process(b"0\n"), Ok(None));
        assert_eq!(first_process(b""), Ok(None));
        assert_eq!(processes(b"0\n417\n1\n"), Ok(vec![417, 1]));
    }

    #[test]
    fn garbage_is_refused() {
        assert!(first_process(b"x\n").is_err());
        assert!(processes(b"417\nx\n").is_err());
        assert!(first_process(b"4294967296\n").is_err());
    }
}
