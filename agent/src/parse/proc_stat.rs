//! `/proc/stat`: the node's processor time and the time of its boot.
//!
//! Kernel text: <https://docs.kernel.org/filesystems/proc.html#miscellaneous-kernel-statistics-in-proc-stat>
//!
//! ```text
//! cpu  23724 0 6942 117416 500 0 58 21 0 0
//! cpu0 11407 0 2844 59959 95 0 11 10 0 0
//! btime 1763964000
//! ```
//! USER_HZ since boot: user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice. Guests are part of
//! user and nice. `btime` is in seconds since 1970.

use super::ParseError;
use super::cpu::NSEC_PER_TICK;
use super::scan::{Line, lines, words};

/// The times of the whole node, split as in the `cpu.stat` of v2's root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcStat {
    /// User and nice.
    pub user_nsec: u64,
    /// System, irq and softirq.
    pub system_nsec: u64,
    /// When the node booted, in seconds since 1970.
    pub boot_time_sec: Option<u64>,
}

impl ProcStat {
    /// User and system time; stolen time is not the node's own.
    pub fn usage_nsec(&self) -> u64 {
        self.user_nsec.saturating_add(self.system_nsec)
    }
}

/// `/proc/stat`.
pub fn proc_stat(input: &[u8]) -> Result<ProcStat, ParseError> {
    let mut total = None;
    let mut boot_time_sec = None;
    for line in lines(input) {
        if let Some(rest) = line.text.strip_prefix(b"cpu ") {
            total = Some(cpu_line(&line, rest)?);
        } else if let Some(rest) = line.text.strip_prefix(b"btime ") {
            boot_time_sec = Some(line.number(rest, "the seconds of the boot")?);
        }
    }
    let (user_nsec, system_nsec) = total.ok_or(ParseError::Empty { wanted: "a line of \"cpu\"" })?;
    Ok(ProcStat { user_nsec, system_nsec, boot_time_sec })
}

fn cpu_line(line: &Line<'_>, rest: &[u8]) -> Result<(u64, u64), ParseError> {
    const WANTED: &str = "\"cpu\" and at least seven decimal numbers";
    let mut ticks = [0_u64; 7];
    let mut found = words(rest);
    for tick in &mut ticks {
        *tick = line.number(found.next().unwrap_or_default(), WANTED)?;
    }
    let [user, nice, system, _, _, irq, softirq] = ticks;
    let nsec = |parts: &[u64]| {
        let sum = parts.iter().try_fold(0_u64, |sum, &part| sum.checked_add(part));
        sum.and_then(|sum| sum.checked_mul(NSEC_PER_TICK)).ok_or_else(|| line.refused(WANTED))
    };
    Ok((nsec(&[user, nice])?, nsec(&[system, irq, softirq])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_and_the_boot() {
        let text = b"cpu  1 2 4 8 16 32 64 128 0 0\ncpu0 9 9 9 9 9 9 9 9 0 0\nintr 1 0 0\nbtime 1763964000\n";
        let stat = proc_stat(text).unwrap();
        assert_eq!(stat.user_nsec, 30_000_000);
        assert_eq!(stat.system_nsec, 1_000_000_000);
        assert_eq!(stat.usage_nsec(), 1_030_000_000);
        assert_eq!(stat.boot_time_sec, Some(1_763_964_000));
    }

    #[test]
    fn garbage_is_refused() {
        for refused in [
            &b""[..],
            b"cpu0 1 2 3 4 5 6 7\n",
            b"cpu  1 2 3\n",
            b"cpu  1 2 3 4 5 6 x\n",
            b"cpu  1 2 3 4 5 6 7\nbtime x\n",
            b"cpu  18446744073709551615 2 3 4 5 6 7\n",
        ] {
            assert!(proc_stat(refused).is_err(), "{refused:?}");
        }
    }
}
