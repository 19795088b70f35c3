//! The files of cgroup v1, by controller.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v1/index.html>

use super::hugetlb;
use super::spec::{FileSpec, PIDS, files, into};
use crate::model::MetricSet::{Cpu, Cpuset, DiskIo, Memory, MemoryDetail, MemoryNuma, PerCpu};
use crate::model::{CgroupStats, Limit};
use crate::parse::{self, ParseError};

pub(super) const FILES: &[(&str, &[FileSpec])] = &[
    ("cpuacct", CPUACCT),
    ("cpu", CPU),
    ("memory", MEMORY),
    ("pids", PIDS),
    ("blkio", BLKIO),
    ("hugetlb", hugetlb::V1),
    ("cpuset", CPUSET),
];

files! {
    /// `cpuacct.usage` prints the sum, over all possible CPUs, of the very counters that `cpuacct.usage_percpu` prints one
    /// by one, so the former is read only where the latter is not.
    CPUACCT {
        [c"cpuacct.usage_percpu"] PerCpu       => usage_percpu;
        [c"cpuacct.usage"]        Cpu | PerCpu => into!(cpu.usage_nsec, parse::value),
            is_known: |stats| stats.cpu.as_ref().is_some_and(|cpu| cpu.usage_nsec.is_some());
        [c"cpuacct.stat"]         Cpu          => |text, stats| parse::cpuacct_stat(text, stats.cpu.get_or_insert_default());
    }
}

files! {
    /// The kernel counts periods of a cgroup that has a quota; without one there is nothing to read.
    CPU {
        [c"cpu.cfs_quota_us"]  Cpu | spec => into!(cpu.quota_usec, parse::limit_v1);
        [c"cpu.stat"]          Cpu        => |text, stats| parse::cpu_stat(text, stats.cpu.get_or_insert_default()),
            is_known: |stats| stats.cpu.as_ref().is_some_and(|cpu| cpu.quota_usec == Some(Limit::Max));
        [c"cpu.cfs_period_us"] spec       => into!(cpu.period_usec, parse::value);
        [c"cpu.shares"]        spec       => into!(cpu.shares, parse::value);
    }
}

files! {
    /// `memory.stat` says it where no limit lies on the cgroup or above it; then the cgroup's own is not read.
    MEMORY {
        [c"memory.usage_in_bytes"]       Memory         => into!(memory.usage_bytes, parse::value);
        [c"memory.stat"]                 Memory but not MemoryDetail => |text, stats| memory_stat(text, false, stats);
        [c"memory.stat"]                 MemoryDetail   => |text, stats| memory_stat(text, true, stats);
        [c"memory.numa_stat"]            MemoryNuma     => into!(memory.numa, parse::numa_stat_v1);
        [c"memory.max_usage_in_bytes"]   Memory | peaks => into!(memory.peak_bytes, parse::value);
        [c"memory.failcnt"]              Memory | peaks => into!(memory.failcnt, parse::value);
        [c"memory.kmem.usage_in_bytes"]  Memory         => into!(memory.kernel_bytes, parse::value);
        [c"memory.limit_in_bytes"]       Memory | spec  => into!(memory.limit, parse::limit_v1),
            is_known: |stats| stats.memory.as_ref().is_some_and(|memory| memory.limit.is_some());
        [c"memory.soft_limit_in_bytes"]  spec           => into!(memory.reservation, parse::limit_v1);
        [c"memory.memsw.limit_in_bytes"] spec           => into!(memory.memory_and_swap_limit, parse::limit_v1),
            is_known: |stats| stats.memory.as_ref().is_some_and(|memory| memory.memory_and_swap_limit.is_some());
    }
}

files! {
    /// The throttle files count every device; those of a scheduler only the devices that use it. Only the last ones do
    /// not count what is below the cgroup. Both files of a kind walk the same list of devices: where the first names none,
    /// the second has none to name.
    BLKIO {
        [c"blkio.throttle.io_service_bytes_recursive", c"blkio.bfq.io_service_bytes_recursive",
            c"blkio.throttle.io_service_bytes"] DiskIo => into!(.io, parse::blkio_bytes);
        [c"blkio.throttle.io_serviced_recursive", c"blkio.bfq.io_serviced_recursive",
            c"blkio.throttle.io_serviced"] DiskIo => io_serviced,
            is_known: |stats| stats.io.as_ref().is_some_and(Vec::is_empty);
    }
}

files! {
    CPUSET { [c"cpuset.memory_migrate"] Cpuset => into!(.memory_migrate, memory_migrate); }
}

fn usage_percpu(text: &[u8], stats: &mut CgroupStats) -> Result<(), ParseError> {
    let found = parse::per_cpu_nsec(text)?;
    let cpu = stats.cpu.get_or_insert_default();
    cpu.usage_nsec = Some(found.iter().fold(0, |sum, &nsec| nsec.wrapping_add(sum)));
    cpu.per_cpu_nsec = Some(found);
    Ok(())
}

fn memory_stat(text: &[u8], with_detail: bool, stats: &mut CgroupStats) -> Result<(), ParseError> {
    let file = parse::memory_stat_v1(text, with_detail)?;
    let memory = stats.memory.get_or_insert_default();
    memory.swap_bytes = file.stat.swap_bytes;
    (memory.limit, memory.memory_and_swap_limit) = (file.limit, file.memory_and_swap_limit);
    (memory.stat, memory.detail) = (file.stat, file.detail);
    Ok(())
}

/// Adds the requests of each device to its entry.
fn io_serviced(text: &[u8], stats: &mut CgroupStats) -> Result<(), ParseError> {
    let requests = parse::blkio_requests(text)?;
    let devices = stats.io.get_or_insert_default();
    for from in requests {
        match devices.iter_mut().find(|device| (device.major, device.minor) == (from.major, from.minor)) {
            Some(to) => (to.reads, to.writes, to.discards) = (from.reads, from.writes, from.discards),
            None => devices.push(from),
        }
    }
    Ok(())
}

fn memory_migrate(text: &[u8]) -> Result<bool, ParseError> {
    Ok(parse::value(text)? != 0)
}
