//! The root cgroup: values that its controllers have no file for are read from `/proc`.

use super::{CgroupReading, ReadSets};
use crate::files::{FilesError, HostRoot};
use crate::model::{CgroupStats, MetricSet, Pressure};
use crate::parse::{meminfo, pressure, proc_stat};

/// Fills what the root's own files left empty.
pub(super) fn fill(host: &HostRoot, sets: ReadSets, reading: &mut CgroupReading) {
    let CgroupReading { stats, errors } = reading;
    if sets.has(MetricSet::Cpu) {
        errors.extend(fill_cpu(host, stats).err());
    }
    if sets.has(MetricSet::Memory) {
        errors.extend(fill_memory(host, stats).err());
    }
    if sets.has(MetricSet::Pressure) {
        let found = &mut stats.pressure;
        for (name, field) in [("cpu", &mut found.cpu), ("memory", &mut found.memory), ("io", &mut found.io)] {
            errors.extend(fill_pressure(host, name, field).err());
        }
    }
}

/// `/proc/stat`: counted by the kernel's ticks where the root has no `cpuacct` and no `cpu.stat`.
fn fill_cpu(host: &HostRoot, stats: &mut CgroupStats) -> Result<(), FilesError> {
    if stats.cpu.as_ref().is_some_and(|cpu| cpu.usage_nsec.is_some()) {
        return Ok(());
    }
    let node = host.parse("/proc/stat", proc_stat)?;
    let cpu = stats.cpu.get_or_insert_default();
    cpu.usage_nsec = Some(node.usage_nsec());
    (cpu.user_nsec, cpu.system_nsec) = (Some(node.user_nsec), Some(node.system_nsec));
    Ok(())
}

/// v2 has neither `memory.current` nor `memory.swap.current` at its root.
fn fill_memory(host: &HostRoot, stats: &mut CgroupStats) -> Result<(), FilesError> {
    let Some(memory) = &mut stats.memory else { return Ok(()) };
    if memory.usage_bytes.is_none() {
        let (anon, file) = (memory.stat.anon_bytes, memory.stat.file_bytes);
        memory.usage_bytes = anon.zip(file).and_then(|(anon, file)| anon.checked_add(file));
    }
    if memory.swap_bytes.is_none() {
        memory.swap_bytes = host.parse("/proc/meminfo", meminfo)?.swap_used_bytes();
    }
    Ok(())
}

/// `/proc/pressure`, which a kernel without stall times, or with `psi=0`, does not have.
fn fill_pressure(host: &HostRoot, name: &str, field: &mut Option<Pressure>) -> Result<(), FilesError> {
    if field.is_some() {
        return Ok(());
    }
    match host.parse(format!("/proc/pressure/{name}"), pressure) {
        Ok(found) => *field = Some(found),
        Err(error) if error.is_gone() || error.is_unsupported() => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
