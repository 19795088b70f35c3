//! The files of cgroup v1, by controller.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v1/index.html>

use super::hugetlb;
use super::spec::{FileSpec, PIDS, into};
use crate::model::MetricSet::{Cpu, Cpuset, DiskIo, Memory, MemoryDetail, MemoryNuma, PerCpu};
use crate::model::{CgroupStats, CpuStats, IoDeviceStats, Limit, MemoryStats};
use crate::parse::{self, BlkioDevice};

pub(super) const FILES: &[(&str, &[FileSpec])] = &[
    ("cpuacct", CPUACCT),
    ("cpu", CPU),
    ("memory", MEMORY),
    ("pids", PIDS),
    ("blkio", BLKIO),
    ("hugetlb", hugetlb::V1),
    ("cpuset", CPUSET),
];

const CPUSET: &[FileSpec] = &[FileSpec::new(
    &[c"cpuset.memory_migrate"],
    |sets| sets.has(Cpuset),
    |text, stats| {
        stats.memory_migrate = Some(parse::value(text)? != 0);
        Ok(())
    },
)];

/// `cpuacct.usage` prints the sum, over all possible CPUs, of the very counters that `cpuacct.usage_percpu` prints one
/// by one, so the former is read only where the latter is not.
const CPUACCT: &[FileSpec] = &[
    FileSpec::new(
        &[c"cpuacct.usage_percpu"],
        |sets| sets.has(PerCpu),
        |text, stats| {
            let found = parse::per_cpu_nsec(text)?;
            let cpu = cpu(stats);
            cpu.usage_nsec = Some(found.iter().fold(0, |sum, &nsec| nsec.wrapping_add(sum)));
            cpu.per_cpu_nsec = Some(found);
            Ok(())
        },
    ),
    FileSpec {
        is_told: |stats| stats.cpu.as_ref().is_some_and(|cpu| cpu.usage_nsec.is_some()),
        ..FileSpec::new(
            &[c"cpuacct.usage"],
            |sets| sets.has(Cpu) || sets.has(PerCpu),
            into!(cpu.usage_nsec, parse::value),
        )
    },
    FileSpec::new(
        &[c"cpuacct.stat"],
        |sets| sets.has(Cpu),
        |text, stats| {
            let stat = parse::cpuacct_stat(text)?;
            let cpu = cpu(stats);
            (cpu.user_nsec, cpu.system_nsec) = (stat.user_nsec, stat.system_nsec);
            Ok(())
        },
    ),
];

/// The kernel counts periods of a cgroup that has a quota; without one there is nothing to read.
const CPU: &[FileSpec] = &[
    FileSpec::new(
        &[c"cpu.cfs_quota_us"],
        |sets| sets.has(Cpu) || sets.spec,
        into!(cpu.quota_usec, parse::quota_v1),
    ),
    FileSpec {
        is_told: |stats| stats.cpu.as_ref().is_some_and(|cpu| cpu.quota_usec == Some(Limit::Max)),
        ..FileSpec::new(
            &[c"cpu.stat"],
            |sets| sets.has(Cpu),
            |text, stats| {
                let stat = parse::cpu_stat(text)?;
                let cpu = cpu(stats);
                (cpu.periods, cpu.throttled_periods, cpu.throttled_nsec) =
                    (stat.periods, stat.throttled_periods, stat.throttled_nsec);
                (cpu.burst_periods, cpu.burst_nsec) = (stat.burst_periods, stat.burst_nsec);
                Ok(())
            },
        )
    },
    FileSpec::new(&[c"cpu.cfs_period_us"], |sets| sets.spec, into!(cpu.period_usec, parse::value)),
    FileSpec::new(&[c"cpu.shares"], |sets| sets.spec, into!(cpu.shares, parse::value)),
];

const MEMORY: &[FileSpec] = &[
    FileSpec::new(
        &[c"memory.usage_in_bytes"],
        |sets| sets.has(Memory),
        into!(memory.usage_bytes, parse::value),
    ),
    FileSpec::new(&[c"memory.stat"], |sets| sets.has(Memory) && !sets.has(MemoryDetail), memory_stat),
    FileSpec::new(
        &[c"memory.stat"],
        |sets| sets.has(MemoryDetail),
        |text, stats| {
            let detail = parse::memory_detail_v1(text)?;
            memory(stats).detail = Some(Box::new(detail));
            memory_stat(text, stats)
        },
    ),
    FileSpec::new(
        &[c"memory.numa_stat"],
        |sets| sets.has(MemoryNuma),
        into!(memory.numa, parse::numa_stat_v1),
    ),
    FileSpec::new(
        &[c"memory.max_usage_in_bytes"],
        |sets| sets.has(Memory) || sets.peaks,
        into!(memory.peak_bytes, parse::value),
    ),
    FileSpec::new(
        &[c"memory.failcnt"],
        |sets| sets.has(Memory) || sets.peaks,
        into!(memory.failcnt, parse::value),
    ),
    FileSpec::new(
        &[c"memory.kmem.usage_in_bytes"],
        |sets| sets.has(Memory),
        into!(memory.kernel_bytes, parse::value),
    ),
    FileSpec {
        is_told: |stats| stats.memory.as_ref().is_some_and(|memory| memory.limit.is_some()),
        ..FileSpec::new(
            &[c"memory.limit_in_bytes"],
            |sets| sets.has(Memory) || sets.spec,
            into!(memory.limit, parse::limit_v1),
        )
    },
    FileSpec::new(
        &[c"memory.soft_limit_in_bytes"],
        |sets| sets.spec,
        into!(memory.reservation, parse::limit_v1),
    ),
    FileSpec {
        is_told: |stats| stats.memory.as_ref().is_some_and(|memory| memory.memory_and_swap_limit.is_some()),
        ..FileSpec::new(
            &[c"memory.memsw.limit_in_bytes"],
            |sets| sets.spec,
            into!(memory.memory_and_swap_limit, parse::limit_v1),
        )
    },
];

fn memory_stat(text: &[u8], stats: &mut CgroupStats) -> Result<(), parse::ParseError> {
    let stat = parse::memory_stat_v1(text)?;
    let memory = memory(stats);
    memory.swap_bytes = stat.swap_bytes;
    memory.stat = stat;
    no_limit_above(text, memory);
    Ok(())
}

/// The throttle files count every device; those of a scheduler only the devices that use it. Only the last ones do
/// not count what is below the cgroup. Both files of a kind walk the same list of devices: where the first names none,
/// the second has none to name.
const BLKIO: &[FileSpec] = &[
    FileSpec::new(
        &[
            c"blkio.throttle.io_service_bytes_recursive",
            c"blkio.bfq.io_service_bytes_recursive",
            c"blkio.throttle.io_service_bytes",
        ],
        |sets| sets.has(DiskIo),
        |text, stats| {
            each_device(stats, &parse::blkio(text)?, |device, bytes| {
                (device.read_bytes, device.write_bytes, device.discard_bytes) =
                    (bytes.read, bytes.write, bytes.discard);
                (device.sync_bytes, device.async_bytes, device.total_bytes) =
                    (bytes.sync, bytes.r#async, bytes.total);
            });
            Ok(())
        },
    ),
    FileSpec {
        is_told: |stats| stats.io.as_ref().is_some_and(Vec::is_empty),
        ..FileSpec::new(
            &[
                c"blkio.throttle.io_serviced_recursive",
                c"blkio.bfq.io_serviced_recursive",
                c"blkio.throttle.io_serviced",
            ],
            |sets| sets.has(DiskIo),
            |text, stats| {
                each_device(stats, &parse::blkio(text)?, |device, requests| {
                    (device.reads, device.writes, device.discards) =
                        (requests.read, requests.write, requests.discard);
                });
                Ok(())
            },
        )
    },
];

/// `memory.stat` tells the lowest limit of the cgroup and all above it (`hierarchical_memory_limit`). Where that is none
/// at all, the cgroup's own is none either.
fn no_limit_above(text: &[u8], memory: &mut MemoryStats) {
    let own = |number: &[u8]| parse::limit_v1(number).ok().filter(|&lowest| lowest == Limit::Max);
    for line in text.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"hierarchical_")) {
        if let Some(number) = line.strip_prefix(b"hierarchical_memory_limit ") {
            memory.limit = own(number);
        } else if let Some(number) = line.strip_prefix(b"hierarchical_memsw_limit ") {
            memory.memory_and_swap_limit = own(number);
            return;
        }
    }
}

/// Gives each device of a file, and the entry of the same number, to `set`.
fn each_device(stats: &mut CgroupStats, found: &[BlkioDevice], set: fn(&mut IoDeviceStats, &BlkioDevice)) {
    let devices = stats.io.get_or_insert_default();
    for from in found {
        let same = |device: &IoDeviceStats| (device.major, device.minor) == (from.major, from.minor);
        if let Some(device) = devices.iter_mut().find(|device| same(device)) {
            set(device, from);
        } else {
            let mut device =
                IoDeviceStats { major: from.major, minor: from.minor, ..IoDeviceStats::default() };
            set(&mut device, from);
            devices.push(device);
        }
    }
}

fn cpu(stats: &mut CgroupStats) -> &mut CpuStats {
    stats.cpu.get_or_insert_default()
}

fn memory(stats: &mut CgroupStats) -> &mut MemoryStats {
    stats.memory.get_or_insert_default()
}
