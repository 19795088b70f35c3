//! Processor time: `cpu.stat` of v1 and v2, `cpuacct.stat`, `cpuacct.usage_percpu`, `cpu.max`.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files>,
//! <https://docs.kernel.org/admin-guide/cgroup-v1/cpuacct.html>, <https://docs.kernel.org/scheduler/sched-bwc.html>
//!
//! ```text
//! v2 cpu.stat:            v1 cpu.stat:        cpuacct.stat:   cpu.max:
//! usage_usec 307244873    nr_periods 0        user 24105      50000 100000
//! user_usec 237236157     nr_throttled 0      system 7113
//! system_usec 70008715    throttled_time 0
//! nr_periods 12           nr_bursts 0         cpuacct.usage_percpu:
//! nr_throttled 3          burst_time 0        145031305572 167151954070
//! throttled_usec 8123
//! ```
//! v2 counts in microseconds, v1's `cpu.stat` in nanoseconds, `cpuacct.stat` in USER_HZ, which is 100 on every
//! architecture that Linux gives to users today. The `nr_` lines of v2 need the cpu controller.

use super::keyed::{Field, each_pair, keys};
use super::scan::lines;
use super::value::word_limit;
use super::{ParseError, ParseError::Empty};
use crate::model::{CpuStats, Limit};

/// Nanoseconds in one tick of USER_HZ.
pub(super) const NSEC_PER_TICK: u64 = 10_000_000;

const NSEC_PER_USEC: u64 = 1000;

/// `cpu.stat` of either version: no key has two meanings.
pub fn cpu_stat(input: &[u8], cpu: &mut CpuStats) -> Result<(), ParseError> {
    keys!(field_of: CpuStats {
        b"usage_usec" => usage_nsec * NSEC_PER_USEC,
        b"user_usec" => user_nsec * NSEC_PER_USEC,
        b"system_usec" => system_nsec * NSEC_PER_USEC,
        b"nice_usec" => nice_nsec * NSEC_PER_USEC,
        b"nr_periods" => periods,
        b"nr_throttled" => throttled_periods,
        b"throttled_usec" => throttled_nsec * NSEC_PER_USEC,
        b"throttled_time" => throttled_nsec,
        b"nr_bursts" => burst_periods,
        b"burst_usec" => burst_nsec * NSEC_PER_USEC,
        b"burst_time" => burst_nsec,
    });
    fill(input, cpu, field_of)
}

/// `cpuacct.stat` (v1): the fields `user_nsec` and `system_nsec`.
pub fn cpuacct_stat(input: &[u8], cpu: &mut CpuStats) -> Result<(), ParseError> {
    keys!(field_of: CpuStats { b"user" => user_nsec * NSEC_PER_TICK, b"system" => system_nsec * NSEC_PER_TICK });
    fill(input, cpu, field_of)
}

/// Fills the fields of a table, or none of them when a line is not as it must be.
fn fill(
    input: &[u8],
    cpu: &mut CpuStats,
    field_of: impl for<'a> Fn(&'a mut CpuStats, &[u8]) -> Option<Field<'a>>,
) -> Result<(), ParseError> {
    // The rest is a few words to copy.
    let per_cpu_nsec = cpu.per_cpu_nsec.take();
    let mut found = cpu.clone();
    let read = each_pair(input, |pair| pair.put(field_of(&mut found, pair.key)));
    if read.is_ok() {
        *cpu = found;
    }
    cpu.per_cpu_nsec = per_cpu_nsec;
    read
}

/// `cpuacct.usage_percpu` (v1): nanoseconds of each possible CPU, in order.
pub fn per_cpu_nsec(input: &[u8]) -> Result<Vec<u64>, ParseError> {
    let line = lines(input).next().ok_or(Empty { wanted: "a number for each CPU" })?;
    let cpus = line.words().map(|word| line.number(word, "a decimal number for each CPU"));
    let cpus = cpus.collect::<Result<Vec<_>, _>>()?;
    if cpus.is_empty() { Err(line.refused("a decimal number for each CPU")) } else { Ok(cpus) }
}

/// `cpu.max` (v2): processor time allowed per period, and the period, both in microseconds.
pub fn cpu_max(input: &[u8]) -> Result<(Limit, u64), ParseError> {
    const WANTED: &str = "a number or \"max\", and a period";
    let line = lines(input).next().ok_or(Empty { wanted: WANTED })?;
    let mut words = line.words();
    let (Some(quota), Some(period), None) = (words.next(), words.next(), words.next()) else {
        return Err(line.refused(WANTED));
    };
    let quota = word_limit(quota).ok_or_else(|| line.refused(WANTED))?;
    Ok((quota, line.number(period, WANTED)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parser = fn(&[u8], &mut CpuStats) -> Result<(), ParseError>;

    fn read(parser: Parser, text: &[u8]) -> Result<CpuStats, ParseError> {
        let mut cpu = CpuStats::default();
        parser(text, &mut cpu).map(|()| cpu)
    }

    #[test]
    fn a_file_with_a_bad_line_fills_nothing() {
        let mut cpu =
            CpuStats { per_cpu_nsec: Some(vec![5]), quota_usec: Some(Limit::Max), ..CpuStats::default() };
        let before = cpu.clone();
        assert!(cpu_stat(b"usage_usec 307\nuser_usec -1\n", &mut cpu).is_err());
        assert!(cpuacct_stat(b"user 1\nsystem x\n", &mut cpu).is_err());
        assert_eq!(cpu, before);
    }

    #[test]
    fn v2_counts_in_microseconds() {
        let text =
            b"usage_usec 307\nuser_usec 237\nsystem_usec 70\nnice_usec 0\ncore_sched.force_idle_usec 0\n\
            nr_periods 12\nnr_throttled 3\nthrottled_usec 8123\nnr_bursts 1\nburst_usec 9\n";
        let stat = read(cpu_stat, text).unwrap();
        assert_eq!(stat.usage_nsec, Some(307_000));
        assert_eq!(stat.user_nsec, Some(237_000));
        assert_eq!(stat.system_nsec, Some(70_000));
        assert_eq!(
            (stat.periods, stat.throttled_periods, stat.throttled_nsec),
            (Some(12), Some(3), Some(8_123_000))
        );
        assert_eq!((stat.burst_periods, stat.burst_nsec), (Some(1), Some(9000)));
    }

    #[test]
    fn v1_counts_in_nanoseconds_and_has_no_usage() {
        let stat = read(cpu_stat, b"nr_periods 7\nnr_throttled 2\nthrottled_time 31\n").unwrap();
        assert_eq!((stat.periods, stat.throttled_periods, stat.throttled_nsec), (Some(7), Some(2), Some(31)));
        assert_eq!((stat.usage_nsec, stat.burst_periods), (None, None), "what is not printed is absent");
    }

    #[test]
    fn garbage_in_cpu_stat_is_refused() {
        for refused in [&b""[..], b"usage_usec\n", b"usage_usec x\n", b"usage_usec 18446744073709551615\n"] {
            assert!(read(cpu_stat, refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn cpuacct_stat_is_in_ticks() {
        let stat = read(cpuacct_stat, b"user 24105\nsystem 7113\n").unwrap();
        assert_eq!(stat.user_nsec, Some(241_050_000_000));
        assert_eq!(stat.system_nsec, Some(71_130_000_000));
        assert!(read(cpuacct_stat, b"user -1\n").is_err());
        assert!(read(cpuacct_stat, b"").is_err());
    }

    #[test]
    fn per_cpu_list_ends_with_a_blank() {
        assert_eq!(per_cpu_nsec(b"145031305572 167151954070 \n"), Ok(vec![145_031_305_572, 167_151_954_070]));
        for refused in [&b""[..], b" \n", b"1 x\n"] {
            assert!(per_cpu_nsec(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn cpu_max_with_and_without_quota() {
        assert_eq!(cpu_max(b"50000 100000\n"), Ok((Limit::Value(50_000), 100_000)));
        assert_eq!(cpu_max(b"max 100000\n"), Ok((Limit::Max, 100_000)));
        for refused in [&b""[..], b"max\n", b"max max\n", b"1 2 3\n"] {
            assert!(cpu_max(refused).is_err(), "{refused:?}");
        }
    }
}
