//! The files of cgroup v2, by controller.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html>

use super::hugetlb;
use super::spec::{FileSpec, PIDS, files, into};
use crate::model::MetricSet::{
    CgroupDetail, Cpu, DiskIo, Memory, MemoryDetail, MemoryEvents, MemoryNuma, Pressure,
};
use crate::model::{self, CgroupStats};
use crate::parse::{self, ParseError};

pub(super) const FILES: &[(&str, &[FileSpec])] =
    &[("cpu", CPU), ("memory", MEMORY), ("pids", PIDS), ("io", IO), ("hugetlb", hugetlb::V2)];

files! {
    /// Files that need no controller.
    CORE_FILES {
        [c"cpu.stat"]        Cpu          => |text, stats| parse::cpu_stat(text, stats.cpu.get_or_insert_default()),
            yields_to_cpuacct: true;
        [c"cpu.pressure"]    Pressure     => into!(.pressure.cpu, parse::pressure);
        [c"memory.pressure"] Pressure     => into!(.pressure.memory, parse::pressure);
        [c"io.pressure"]     Pressure     => into!(.pressure.io, parse::pressure);
        [c"irq.pressure"]    CgroupDetail => into!(.pressure.irq, parse::pressure);
        [c"cgroup.stat"]     CgroupDetail => into!(.descendants, parse::keyed);
    }
}

files! {
    /// `cpu` needs the quota too: it says whether the throttling counters mean anything.
    CPU {
        [c"cpu.max"]    Cpu | spec => cpu_max;
        [c"cpu.weight"] spec       => into!(cpu.weight, parse::value);
    }
}

files! {
    MEMORY {
        [c"memory.current"]      Memory                      => into!(memory.usage_bytes, parse::value);
        [c"memory.stat"]         Memory but not MemoryDetail => |text, stats| memory_stat(text, false, stats);
        [c"memory.stat"]         MemoryDetail                => |text, stats| memory_stat(text, true, stats);
        [c"memory.numa_stat"]    MemoryNuma                  => into!(memory.numa, numa_stat);
        [c"memory.peak"]         Memory | peaks              => into!(memory.peak_bytes, parse::value);
        [c"memory.events"]       Memory | MemoryEvents       => into!(memory.events, parse::keyed::<model::MemoryEvents>);
        [c"memory.events.local"] MemoryEvents                => into!(memory.events_local, parse::keyed::<model::MemoryEvents>);
        [c"memory.swap.events"]  MemoryEvents                => into!(memory.swap_events, parse::keyed::<model::SwapEvents>);
        [c"memory.swap.peak"]    MemoryDetail                => into!(memory.swap_peak_bytes, parse::value);
        [c"memory.swap.current"] Memory                      => into!(memory.swap_bytes, parse::value);
        [c"memory.max"]          Memory | spec               => into!(memory.limit, parse::limit);
        [c"memory.low"]          spec                        => into!(memory.reservation, parse::limit);
        [c"memory.swap.max"]     spec                        => into!(memory.swap_limit, parse::limit);
    }
}

files! {
    IO { [c"io.stat"] DiskIo => into!(.io, parse::io_stat); }
}

fn cpu_max(text: &[u8], stats: &mut CgroupStats) -> Result<(), ParseError> {
    let (quota, period) = parse::cpu_max(text)?;
    let cpu = stats.cpu.get_or_insert_default();
    (cpu.quota_usec, cpu.period_usec) = (Some(quota), Some(period));
    Ok(())
}

fn memory_stat(text: &[u8], with_detail: bool, stats: &mut CgroupStats) -> Result<(), ParseError> {
    let file = parse::memory_stat_v2(text, with_detail)?;
    let memory = stats.memory.get_or_insert_default();
    memory.kernel_bytes = file.stat.kernel_bytes;
    (memory.stat, memory.detail) = (file.stat, file.detail);
    Ok(())
}

fn numa_stat(text: &[u8]) -> Result<Vec<model::NumaPages>, ParseError> {
    parse::numa_stat_v2(text, rustix::param::page_size() as u64)
}
