//! The files of cgroup v2, by controller.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html>

use super::hugetlb;
use super::spec::{FileSpec, PIDS, into};
use crate::model::MetricSet::{
    CgroupDetail, Cpu, DiskIo, Memory, MemoryDetail, MemoryEvents, MemoryNuma, Pressure,
};
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
                cpu.nice_nsec = stat.nice_nsec;
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
    FileSpec::new(
        &[c"irq.pressure"],
        |sets| sets.has(CgroupDetail),
        |text, stats| {
            stats.pressure.irq = Some(parse::pressure(text)?);
            Ok(())
        },
    ),
    FileSpec::new(
        &[c"cgroup.stat"],
        |sets| sets.has(CgroupDetail),
        |text, stats| {
            stats.descendants = Some(parse::cgroup_stat(text)?);
            Ok(())
        },
    ),
];

pub(super) const FILES: &[(&str, &[FileSpec])] =
    &[("cpu", CPU), ("memory", MEMORY), ("pids", PIDS), ("io", IO), ("hugetlb", hugetlb::V2)];

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
    FileSpec::new(&[c"memory.stat"], |sets| sets.has(Memory) && !sets.has(MemoryDetail), memory_stat),
    FileSpec::new(
        &[c"memory.stat"],
        |sets| sets.has(MemoryDetail),
        |text, stats| {
            let detail = parse::memory_detail_v2(text)?;
            memory(stats).detail = Some(Box::new(detail));
            memory_stat(text, stats)
        },
    ),
    FileSpec::new(
        &[c"memory.numa_stat"],
        |sets| sets.has(MemoryNuma),
        |text, stats| {
            let page_bytes = rustix::param::page_size() as u64;
            memory(stats).numa = Some(parse::numa_stat_v2(text, page_bytes)?);
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
        |sets| sets.has(Memory) || sets.has(MemoryEvents),
        |text, stats| {
            let events = parse::memory_events(text)?;
            memory(stats).events = events;
            Ok(())
        },
    ),
    FileSpec::new(
        &[c"memory.events.local"],
        |sets| sets.has(MemoryEvents),
        |text, stats| {
            let events = parse::memory_events(text)?;
            memory(stats).events_local = events;
            Ok(())
        },
    ),
    FileSpec::new(
        &[c"memory.swap.events"],
        |sets| sets.has(MemoryEvents),
        |text, stats| {
            let events = parse::swap_events(text)?;
            memory(stats).swap_events = events;
            Ok(())
        },
    ),
    FileSpec::new(
        &[c"memory.swap.peak"],
        |sets| sets.has(MemoryDetail),
        into!(memory.swap_peak_bytes, parse::value),
    ),
    FileSpec::new(&[c"memory.swap.current"], |sets| sets.has(Memory), into!(memory.swap_bytes, parse::value)),
    FileSpec::new(&[c"memory.max"], |sets| sets.has(Memory) || sets.spec, into!(memory.limit, parse::limit)),
    FileSpec::new(&[c"memory.low"], |sets| sets.spec, into!(memory.reservation, parse::limit)),
    FileSpec::new(&[c"memory.swap.max"], |sets| sets.spec, into!(memory.swap_limit, parse::limit)),
];

fn memory_stat(text: &[u8], stats: &mut CgroupStats) -> Result<(), parse::ParseError> {
    let stat = parse::memory_stat_v2(text)?;
    let memory = memory(stats);
    memory.kernel_bytes = stat.kernel_bytes;
    memory.stat = stat;
    Ok(())
}

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
