//! When a cgroup began and was last seen, and its limits.

use super::cpu::cpu;
use super::memory::memory;
use super::metric::{Metric, Scope, Value};
use crate::model::{ContainerNames, CpuStats, Health, Limit};
use crate::snapshot::CgroupSample;

metrics! { None;
    gauge "container_last_seen", "Last time the container was seen, as Unix time in seconds.",
        both "the time of the reading", one |s, _| Value::unix_time(s.last_seen);
    unstamped "container_creation_time_seconds", "When the container's cgroup was made, as Unix time in seconds.",
        both "the runtime; else the cgroup's directory",
        one |s, _| Value::unix_time(names(s).and_then(|names| names.created).or(s.stats.created)?);
    unstamped "container_start_time_seconds", "Start time of the container, as Unix time in seconds.",
        both "the runtime; else the cgroup's directory",
        one |s, _| Value::unix_time(names(s).and_then(|names| names.started).or(s.stats.created)?);
    unstamped "container_health_state",
        "Health of the container by its own check: 1 healthy, 0 not (yet), -1 without a check.",
        both "the runtime, Docker and Podman alone", one |s, _| names(s)?.health.map(health);
    unstamped "container_spec_cpu_period", "CPU period of the container, in microseconds.",
        v1 "cpu.cfs_period_us", v2 "cpu.max, second field", count |s| cpu(s)?.period_usec;
    unstamped "container_spec_cpu_quota", "CPU quota of the container, in microseconds per period.",
        v1 "cpu.cfs_quota_us; none when -1", v2 "cpu.max, first field; none when max",
        count |s| cpu(s)?.quota_usec.and_then(Limit::value);
    unstamped "container_spec_cpu_shares", "CPU share of the container, in the terms of cgroup v1.",
        v1 "cpu.shares", v2 "2 + (cpu.weight - 1) * 262142 / 9999", count |s| shares(cpu(s)?);
    unstamped "container_spec_memory_limit_bytes", "Memory limit of the container, in bytes; 0 is no limit.",
        v1 "memory.limit_in_bytes; root: MemTotal", v2 "memory.max; root: MemTotal",
        one |s, scope| limit_or_machine(s, scope.machine.memory_bytes, memory(s)?.limit);
    unstamped "container_spec_memory_swap_limit_bytes",
        "Swap limit of the container, in bytes (v1: memory and swap together); 0 is no limit.",
        v1 "memory.memsw.limit_in_bytes; root: SwapTotal", v2 "memory.swap.max; root: SwapTotal", one swap_limit;
    unstamped "container_spec_memory_reservation_limit_bytes",
        "Memory reservation of the container, in bytes; 0 is none.", v1 "memory.soft_limit_in_bytes", v2 "memory.low",
        one |s, _| memory(s)?.reservation.map(zero_for_none);
}

fn names(sample: &CgroupSample) -> Option<&ContainerNames> {
    sample.names.as_deref()
}

fn health(health: Health) -> Value {
    match health {
        Health::Healthy => Value::Count(1),
        Health::Starting | Health::Unhealthy => Value::Count(0),
        Health::None => Value::MinusOne,
    }
}

/// runc turns the shares that an orchestrator asks for into `weight = 1 + (shares - 2) * 9999 / 262142`. This is the
/// inverse that cAdvisor uses, and dashboards divide by it. runc rounds down, and newer versions use another curve, so
/// the result is near the asked shares and not always equal to them.
fn shares(cpu: &CpuStats) -> Option<u64> {
    cpu.shares.or_else(|| cpu.weight?.checked_sub(1)?.checked_mul(262_142).map(|scaled| 2 + scaled / 9999))
}

fn zero_for_none(limit: Limit) -> Value {
    Value::Count(limit.value().unwrap_or(0))
}

/// The root cgroup has no limit of its own; cAdvisor shows the machine's size there, and dashboards divide by it.
fn limit_or_machine(sample: &CgroupSample, machine: Option<u64>, limit: Option<Limit>) -> Option<Value> {
    match machine {
        Some(bytes) if sample.path.is_root() => Some(Value::Count(bytes)),
        _ => limit.map(zero_for_none),
    }
}

fn swap_limit(sample: &CgroupSample, scope: &Scope<'_>) -> Option<Value> {
    let memory = memory(sample)?;
    limit_or_machine(sample, scope.machine.swap_bytes, memory.memory_and_swap_limit.or(memory.swap_limit))
}
