//! The machine's hardware (cores, caches, memory nodes, memory modules) and its system software.

use std::collections::BTreeMap;

use super::metric::{Emit, LabelValue, Metric, Value};
use crate::model::{Cache, Machine, MetricSet};

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric::gauge(name, help).set(MetricSet::CpuTopology)
}

pub(super) const METRICS: &[Metric] = &[
    Metric::gauge("machine_dimm_count", "Number of RAM DIMMs, by type.")
        .both("/sys/devices/system/edac/mc/mc*/dimm*, where the kernel has an EDAC driver for it")
        .machine_many(&["type"], |m, emit| {
            for dimms in &m.dimms {
                emit(&[("type", LabelValue::Text(&dimms.kind))], Value::Count(dimms.count));
            }
        }),
    Metric::gauge("machine_dimm_capacity_bytes", "Capacity of RAM DIMMs, by type, in bytes.")
        .both("/sys/devices/system/edac/mc/mc*/dimm*/size")
        .machine_many(&["type"], |m, emit| {
            for dimms in &m.dimms {
                emit(&[("type", LabelValue::Text(&dimms.kind))], Value::Count(dimms.capacity_bytes));
            }
        }),
    gauge(
        "machine_cpu_cache_capacity_bytes",
        "Capacity of CPU caches, in bytes; from level 3 on without core_id.",
    )
    .both("/sys/devices/system/cpu/cpu*/cache/index*")
    .machine_many(&["node_id", "core_id", "type", "level"], caches),
    gauge("machine_thread_siblings_count", "Number of hardware threads of the thread's core.")
        .both("/sys/devices/system/cpu/cpu*/topology")
        .machine_many(&["node_id", "core_id", "thread_id"], siblings),
    gauge("machine_node_memory_capacity_bytes", "Memory of a NUMA node, in bytes.")
        .both("/sys/devices/system/node/node*/meminfo MemTotal")
        .machine_many(&["node_id"], |m, emit| {
            for (node, bytes) in
                m.topology.nodes.iter().filter_map(|node| Some((node.id, node.memory_bytes?)))
            {
                emit(&[("node_id", LabelValue::Number(node))], Value::Count(bytes));
            }
        }),
    gauge("machine_node_hugepages_count", "Huge pages of a NUMA node, by their size in KiB.")
        .both("/sys/devices/system/node/node*/hugepages/hugepages-*/nr_hugepages")
        .machine_many(&["node_id", "page_size"], hugepages),
    gauge("machine_node_distance", "Distance from one NUMA node to another.")
        .both("/sys/devices/system/node/node*/distance")
        .machine_many(&["node_id", "target_node_id"], distances),
    Metric::gauge("cgtap_version_info", "Always 1; what runs here are the labels.")
        .both("uname -r, os-release")
        .unstamped()
        .machine_many(&["kernel_version", "os_version", "version"], |m, emit| {
            let version = LabelValue::Text(env!("CARGO_PKG_VERSION"));
            let labels = [("kernel_version", kernel(m)), ("os_version", os(m)), ("version", version)];
            emit(&labels, Value::Count(1));
        }),
    Metric::gauge(
        "cadvisor_version_info",
        "Always 1; for dashboards that read the node's kernel from cAdvisor.",
    )
    .set(MetricSet::CadvisorVersion)
    .both("uname -r, os-release; cadvisorVersion is cgtap's")
    .unstamped()
    .machine_many(&["kernelVersion", "osVersion", "cadvisorVersion"], |m, emit| {
        let version = LabelValue::Text(concat!("cgtap-", env!("CARGO_PKG_VERSION")));
        let labels = [("kernelVersion", kernel(m)), ("osVersion", os(m)), ("cadvisorVersion", version)];
        emit(&labels, Value::Count(1));
    }),
];

fn kernel(machine: &Machine) -> LabelValue<'_> {
    LabelValue::Text(machine.kernel_release.as_deref().unwrap_or_default())
}

fn os(machine: &Machine) -> LabelValue<'_> {
    LabelValue::Text(machine.os_name.as_deref().unwrap_or_default())
}

/// Ids of cores are unique only in their package, and one node can have two packages: such caches are added up.
fn caches(machine: &Machine, emit: &mut Emit<'_>) {
    let topology = &machine.topology;
    let of_cores = topology
        .cores
        .iter()
        .flat_map(|core| core.caches.iter().map(|cache| (core.node, Some(core.id), cache)));
    let of_nodes =
        topology.nodes.iter().flat_map(|node| node.caches.iter().map(|cache| (node.id, None, cache)));
    let mut sums: BTreeMap<(u32, Option<u32>, &str, u32), u64> = BTreeMap::new();
    for (node, core, Cache { kind, level, bytes, .. }) in of_cores.chain(of_nodes) {
        let sum = sums.entry((node, core, kind, *level)).or_default();
        *sum = sum.saturating_add(*bytes);
    }
    for ((node, core, kind, level), bytes) in sums {
        let labels = [
            ("node_id", LabelValue::Number(node)),
            ("core_id", core.map_or(LabelValue::Text(""), LabelValue::Number)),
            ("type", LabelValue::Text(kind)),
            ("level", LabelValue::Number(level)),
        ];
        emit(&labels, Value::Count(bytes));
    }
}

fn siblings(machine: &Machine, emit: &mut Emit<'_>) {
    for core in &machine.topology.cores {
        for &thread in &core.threads {
            let labels = [
                ("node_id", LabelValue::Number(core.node)),
                ("core_id", LabelValue::Number(core.id)),
                ("thread_id", LabelValue::Number(thread)),
            ];
            emit(&labels, Value::Count(core.threads.len() as u64));
        }
    }
}

fn hugepages(machine: &Machine, emit: &mut Emit<'_>) {
    for node in &machine.topology.nodes {
        for &(kib, pages) in &node.hugepages {
            let size = u32::try_from(kib).unwrap_or(u32::MAX);
            let labels = [("node_id", LabelValue::Number(node.id)), ("page_size", LabelValue::Number(size))];
            emit(&labels, Value::Count(pages));
        }
    }
}

/// The kernel writes the distances in the order of the existing nodes, whose numbers may have gaps.
fn distances(machine: &Machine, emit: &mut Emit<'_>) {
    let nodes = &machine.topology.nodes;
    for node in nodes {
        for (target, &distance) in nodes.iter().zip(&node.distances) {
            let labels =
                [("node_id", LabelValue::Number(node.id)), ("target_node_id", LabelValue::Number(target.id))];
            emit(&labels, Value::Count(distance));
        }
    }
}
