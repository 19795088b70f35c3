//! The files of cgroup v2, by controller.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html>

use super::spec::{FileSpec, PIDS, into};
use crate::model::MetricSet::{Cpu, DiskIo, Memory, Pressure};
use crate::model::{CgroupStats, MemoryStats};
use crate::parse;

/// Files that need no controller.
pub(super) const CORE_FILES: &[FileSpec] = &[
    FileSpec {
        yields_to_cpuacct: true,
        ..FileSpec::new(
            &[c"cpu.stat"],
            |sets| sets.has(Cpu),
            |text, stats| {
                let stat = parse::cpu_stat(text)?;
                let cpu = stats.cpu.get_or_insert_default();
                (cpu.usage_nsec, cpu.user_nsec, cpu.system_nsec) =
                    (stat.usage_nsec, stat.user_nsec, stat.system_nsec);
                (cpu.periods, cpu.throttled_periods, cpu.throttled_nsec) =
                    (stat.periods, stat.throttled_periods, stat.throttled_nsec);
                (cpu.burst_periods, cpu.burst_nsec) = (stat.burst_periods, stat.burst_nsec);
                Ok(())
            },
        )
    },
    FileSpec::new(
        &[c"cpu.pressure"],
        |sets| sets.has(Pressure),
        |text, stats| {
            stats.pressure.cpu = Some(parse::pressure(text)?);
            Ok(())
        },
    ),
    FileSpec::new(
        &[c"memory.pressure"],
        |sets| sets.has(Pressure),
        |text, stats| {
            stats.pressure.memory = Some(parse::pressure(text)?);
            Ok(())
        },
    ),
    FileSpec::new(
        &[c"io.pressure"],
        |sets| sets.has(Pressure),
        |text, stats| {
            stats.pressure.io = Some(parse::pressure(text)?);
            Ok(())
        },
    ),
];

pub(super) const FILES: &[(&str, &[FileSpec])] =
    &[("cpu", CPU), ("memory", MEMORY), ("pids", PIDS), ("io", IO)];

const CPU: &[FileSpec] = &[
    // The quota tells whether the throttling counters mean anything, so `cpu` needs it too.
    FileSpec::new(
        &[c"cpu.max"],
        |sets| sets.has(Cpu) || sets.spec,
        |text, stats| {
            let (quota, period) = parse::cpu_max(text)?;
            let cpu = stats.cpu.get_or_insert_default();
            (cpu.quota_usec, cpu.period_usec) = (Some(quota), Some(period));
            Ok(())
        },
    ),
    FileSpec::new(
        &[c"cpu.weight"],
        |sets| sets.spec,
        |text, stats| {
            let weight = parse::value(text)?;
            stats.cpu.get_or_insert_default().weight = Some(weight);
            Ok(())
        },
    ),
];

const MEMORY: &[FileSpec] = &[
    FileSpec::new(&[c"memory.current"], |sets| sets.has(Memory), into!(memory.usage_bytes, parse::value)),
    FileSpec::new(
        &[c"memory.stat"],
        |sets| sets.has(Memory),
        |text, stats| {
            let stat = parse::memory_stat_v2(text)?;
            let memory = memory(stats);
            memory.kernel_bytes = stat.kernel_bytes;
            memory.stat = stat;
            Ok(())
        },
    ),
    FileSpec::new(
        &[c"memory.peak"],
        |sets| sets.has(Memory) || sets.peaks,
        into!(memory.peak_bytes, parse::value),
    ),
    FileSpec::new(
        &[c"memory.events"],
        |sets| sets.has(Memory),
        |text, stats| {
            let events = parse::memory_events(text)?;
            memory(stats).events = events;
            Ok(())
        },
    ),
    FileSpec::new(&[c"memory.swap.current"], |sets| sets.has(Memory), into!(memory.swap_bytes, parse::value)),
    FileSpec::new(&[c"memory.max"], |sets| sets.has(Memory) || sets.spec, into!(memory.limit, parse::limit)),
    FileSpec::new(&[c"memory.low"], |sets| sets.spec, into!(memory.reservation, parse::limit)),
    FileSpec::new(&[c"memory.swap.max"], |sets| sets.spec, into!(memory.swap_limit, parse::limit)),
];

const IO: &[FileSpec] = &[FileSpec::new(
    &[c"io.stat"],
    |sets| sets.has(DiskIo),
    |text, stats| {
        stats.io = Some(parse::io_stat(text)?);
        Ok(())
    },
)];

fn memory(stats: &mut CgroupStats) -> &mut MemoryStats {
    stats.memory.get_or_insert_default()
}
