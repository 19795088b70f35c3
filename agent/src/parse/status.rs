//! `/proc/<pid>/status`: the process of a thread.
//!
//! Manual: <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>
//!
//! ```text
//! Name: stress
//! Tgid: 4711
//! Pid: 4713
//! ```
//! `Name` is escaped by the kernel, so it can hold no newline and fake no line.

use super::ParseError;
use super::scan::lines;

/// `Tgid`: the process that the thread belongs to. The kernel shows 0 for a thread that it is taking out of its tables
/// (`task_tgid_nr_ns`); no process has that number, so it is refused.
pub fn tgid(input: &[u8]) -> Result<u32, ParseError> {
    for line in lines(input) {
        if let Some(value) = line.text.strip_prefix(b"Tgid:") {
            let number = line.number(value.trim_ascii(), "\"Tgid:\" and a number")?;
            let id = u32::try_from(number).ok().filter(|&id| id != 0);
            return id.ok_or_else(|| line.refused("a process id of 32 bits and not 0"));
        }
    }
    Err(ParseError::Empty { wanted: "a line of \"Tgid:\"" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_of_a_thread() {
        assert_eq!(tgid(b"Name:\tTgid: 1\nUmask:\t0022\nTgid:\t4711\nPid:\t4713\n"), Ok(4711));
    }

    #[test]
    fn garbage_is_refused() {
        for refused in
            [&b""[..], b"Pid:\t1\n", b"Tgid:\t\n", b"Tgid:\t-1\n", b"Tgid:\t4294967296\n", b"Tgid:\t0\n"]
        {
            assert!(tgid(refused).is_err(), "{refused:?}");
        }
    }
}
