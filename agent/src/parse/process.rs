//! Files of one process or thread: `schedstat`, `stat`, `status`, `limits`, `smaps_rollup`.
//!
//! Kernel text: <https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat>, manuals:
//! <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>,
//! <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>,
//! <https://man7.org/linux/man-pages/man5/proc_pid_limits.5.html>,
//! <https://man7.org/linux/man-pages/man5/proc_pid_smaps.5.html>
//!
//! ```text
//! schedstat:           stat:                      limits:
//! 34027136 105932 41   417 (a) b) S 1 417 ...     Max open files            1024                 1048576  files
//! smaps_rollup:
//! Referenced:         1152 kB
//! ```
//! Nanoseconds and a count in `schedstat`; a name in `stat` may hold blanks and brackets; KiB in `smaps_rollup`.

use super::ParseError;
use super::scan::{Line, lines, words};
use crate::model::{Limit, SchedStats, TaskStates};

/// `/proc/<pid>/task/<tid>/schedstat`.
pub fn schedstat(input: &[u8]) -> Result<SchedStats, ParseError> {
    const WANTED: &str = "run time, wait time and a count of time slices";
    let line = lines(input).next().ok_or(ParseError::Empty { wanted: WANTED })?;
    let mut words = line.words();
    let mut number = || line.number(words.next().unwrap_or_default(), WANTED);
    Ok(SchedStats { run_nsec: number()?, runqueue_nsec: number()?, run_periods: number()? })
}

/// The state in `/proc/<pid>/task/<tid>/stat`, as a count of one; of one that is no task any more, of none.
pub fn task_state(input: &[u8]) -> Result<TaskStates, ParseError> {
    let line = Line { number: 1, text: input };
    let input = input.trim_ascii_end();
    let end = input.iter().rposition(|&byte| byte == b')').and_then(|at| input.get(at + 1..));
    let mut found = TaskStates::default();
    match end.and_then(|rest| words(rest).next()) {
        Some(b"R") => found.running = 1,
        Some(b"S" | b"I") => found.sleeping = 1,
        Some(b"D") => found.uninterruptible = 1,
        Some(b"T" | b"t") => found.stopped = 1,
        Some(&[_]) => {}
        _ => return Err(line.refused("a name in brackets and a state")),
    }
    Ok(found)
}

/// The rest of the first line that begins so.
fn after<'a>(input: &'a [u8], prefix: &[u8]) -> Option<(Line<'a>, &'a [u8])> {
    lines(input).find_map(|line| Some((line, line.text.strip_prefix(prefix)?)))
}

/// `Tgid` of `/proc/<pid>/status`: the process that the thread belongs to. The kernel shows 0 for a thread that it is
/// taking out of its tables (`task_tgid_nr_ns`); no process has that number, so it is refused. `Name` is escaped by the
/// kernel, so it can hold no newline and fake no line.
pub fn tgid(input: &[u8]) -> Result<u32, ParseError> {
    let (line, value) = after(input, b"Tgid:").ok_or(ParseError::Empty { wanted: "a line of \"Tgid:\"" })?;
    let number = line.number(value.trim_ascii(), "\"Tgid:\" and a number")?;
    let id = u32::try_from(number).ok().filter(|&id| id != 0);
    id.ok_or_else(|| line.refused("a process id of 32 bits and not 0"))
}

/// The soft limit of open files in `/proc/<pid>/limits`; `None` where there is no such line.
pub fn open_files_limit(input: &[u8]) -> Result<Option<Limit>, ParseError> {
    let Some((line, rest)) = after(input, b"Max open files") else { return Ok(None) };
    Ok(Some(match words(rest).next() {
        Some(b"unlimited") => Limit::Max,
        soft => Limit::Value(line.number(soft.unwrap_or_default(), "a limit of open files")?),
    }))
}

/// `Referenced` of `/proc/<pid>/smaps_rollup`, in bytes; `None` where there is no such line.
pub fn referenced_bytes(input: &[u8]) -> Result<Option<u64>, ParseError> {
    let Some((line, rest)) = after(input, b"Referenced:") else { return Ok(None) };
    let kib = words(rest).next().unwrap_or_default();
    line.scaled(kib, 1024, "a number of kB that fits 64 bits in bytes").map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedstat_is_three_numbers() {
        let found = schedstat(b"34027136 105932 41\n").unwrap();
        assert_eq!((found.run_nsec, found.runqueue_nsec, found.run_periods), (34_027_136, 105_932, 41));
        for refused in [&b""[..], b"1 2\n", b"1 x 3\n"] {
            assert!(schedstat(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn a_name_may_hold_brackets() {
        let none = TaskStates::default();
        assert_eq!(task_state(b"7 (a) R (b) D 1 7\n"), Ok(TaskStates { uninterruptible: 1, ..none }));
        assert_eq!(task_state(b"7 (a) S 1\n"), Ok(TaskStates { sleeping: 1, ..none }));
        assert_eq!(task_state(b"7 (a) t 1\n"), Ok(TaskStates { stopped: 1, ..none }));
        assert_eq!(task_state(b"7 (a) Z 1\n"), Ok(none));
        for refused in [&b""[..], b"7 a S\n", b"7 (a)\n", b"7 (a) SS 1\n"] {
            assert!(task_state(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn the_soft_limit_is_the_first() {
        let text = b"Limit  Soft Limit  Hard Limit  Units\nMax open files   1024   1048576   files\n";
        assert_eq!(open_files_limit(text), Ok(Some(Limit::Value(1024))));
        assert_eq!(open_files_limit(b"Max open files unlimited unlimited files\n"), Ok(Some(Limit::Max)));
        assert_eq!(open_files_limit(b"Max stack size 1 2 bytes\n"), Ok(None));
        assert!(open_files_limit(b"Max open files\n").is_err());
    }

    #[test]
    fn referenced_memory_is_in_kib() {
        assert_eq!(referenced_bytes(b"Rss: 4 kB\nReferenced:   1152 kB\n"), Ok(Some(1_179_648)));
        assert_eq!(referenced_bytes(b"Rss: 4 kB\n"), Ok(None));
        for refused in
            [&b"Referenced:\n"[..], b"Referenced: x kB\n", b"Referenced: 18446744073709551615 kB\n"]
        {
            assert!(referenced_bytes(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn the_process_of_a_thread() {
        assert_eq!(tgid(b"Name:\tTgid: 1\nUmask:\t0022\nTgid:\t4711\nPid:\t4713\n"), Ok(4711));
    }

    #[test]
    fn a_thread_without_a_process_is_refused() {
        for refused in
            [&b""[..], b"Pid:\t1\n", b"Tgid:\t\n", b"Tgid:\t-1\n", b"Tgid:\t4294967296\n", b"Tgid:\t0\n"]
        {
            assert!(tgid(refused).is_err(), "{refused:?}");
        }
    }
}
