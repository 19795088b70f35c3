//! The machine's hardware (cores, caches, memory nodes, memory modules) and its system software.

use std::collections::BTreeMap;

use super::metric::LabelValue::{Number, Text};
use super::metric::{Emit, Metric, Value, emit_counts};
use crate::model::{Cache, Dimms, Machine, MetricSet};

metrics! { Some(MetricSet::CpuTopology);
    gauge "machine_dimm_count", "Number of RAM DIMMs, by type.",
        set None, both "/sys/devices/system/edac/mc/mc*/dimm*, where the kernel has an EDAC driver for it",
        labels &["type"], machine_many |m, emit| each_dimm(m, emit, |dimms| dimms.count);
    gauge "machine_dimm_capacity_bytes", "Capacity of RAM DIMMs, by type, in bytes.",
        set None, both "/sys/devices/system/edac/mc/mc*/dimm*/size", labels &["type"],
        machine_many |m, emit| each_dimm(m, emit, |dimms| dimms.capacity_bytes);
    gauge "machine_cpu_cache_capacity_bytes", "Capacity of CPU caches, in bytes; from level 3 on without core_id.",
        both "/sys/devices/system/cpu/cpu*/cache/index*", labels &["node_id", "core_id", "type", "level"],
        machine_many caches;
    gauge "machine_thread_siblings_count", "Number of hardware threads of the thread's core.",
        both "/sys/devices/system/cpu/cpu*/topology", labels &["node_id", "core_id", "thread_id"],
        machine_many siblings;
    gauge "machine_node_memory_capacity_bytes", "Memory of a NUMA node, in bytes.",
        both "/sys/devices/system/node/node*/meminfo MemTotal", labels &["node_id"], machine_many node_memory;
    gauge "machine_node_hugepages_count", "Huge pages of a NUMA node, by their size in KiB.",
        both "/sys/devices/system/node/node*/hugepages/hugepages-*/nr_hugepages", labels &["node_id", "page_size"],
        machine_many hugepages;
    gauge "machine_node_distance", "Distance from one NUMA node to another.",
        both "/sys/devices/system/node/node*/distance", labels &["node_id", "target_node_id"], machine_many distances;
    unstamped "cgtap_version_info", "Always 1; what runs here are the labels.",
        set None, both "uname -r, os-release", labels &["kernel_version", "os_version", "version"],
        machine_many |m, emit| versions(m, emit, ["kernel_version", "os_version", "version"], env!("CARGO_PKG_VERSION"));
    unstamped "cadvisor_version_info", "Always 1; for dashboards that read the node's kernel from cAdvisor.",
        set Some(MetricSet::CadvisorVersion), both "uname -r, os-release; cadvisorVersion is cgtap's",
        labels &["kernelVersion", "osVersion", "cadvisorVersion"],
        machine_many |m, emit| versions(m, emit, ["kernelVersion", "osVersion", "cadvisorVersion"], AS_CADVISOR);
}

const AS_CADVISOR: &str = concat!("cgtap-", env!("CARGO_PKG_VERSION"));

fn versions(machine: &Machine, emit: &mut Emit<'_>, [kernel, os, agent]: [&'static str; 3], version: &str) {
    let known = [(kernel, machine.kernel_release.as_deref()), (os, machine.os_name.as_deref())];
    let [kernel, os] = known.map(|(label, text)| (label, Text(text.unwrap_or_default())));
    let labels = [kernel, os, (agent, Text(version))];
    emit(&labels, Value::Count(1));
}

fn each_dimm(machine: &Machine, emit: &mut Emit<'_>, value: fn(&Dimms) -> u64) {
    emit_counts(emit, "type", machine.dimms.iter().map(|dimms| (&*dimms.kind, value(dimms))));
}

fn node_memory(machine: &Machine, emit: &mut Emit<'_>) {
    for node in &machine.topology.nodes {
        if let Some(bytes) = node.memory_bytes {
            emit(&[("node_id", Number(node.id))], Value::Count(bytes));
        }
    }
}

/// Ids of cores are unique only in their package, and one node can have two packages: such caches are added up.
fn caches(machine: &Machine, emit: &mut Emit<'_>) {
    let topology = &machine.topology;
    let of_cores = topology.cores.iter().map(|core| (core.node, Some(core.id), &core.caches));
    let of_nodes = topology.nodes.iter().map(|node| (node.id, None, &node.caches));
    let mut sums: BTreeMap<(u32, Option<u32>, &str, u32), u64> = BTreeMap::new();
    for (node, core, caches) in of_cores.chain(of_nodes) {
        for Cache { kind, level, bytes, .. } in caches {
            let sum = sums.entry((node, core, kind, *level)).or_default();
            *sum = sum.saturating_add(*bytes);
        }
    }
    for ((node, core, kind, level), bytes) in sums {
        let labels = [
            ("node_id", Number(node)),
            ("core_id", core.map_or(Text(""), Number)),
            ("type", Text(kind)),
            ("level", Number(level)),
        ];
        emit(&labels, Value::Count(bytes));
    }
}

fn siblings(machine: &Machine, emit: &mut Emit<'_>) {
    for core in &machine.topology.cores {
        for &thread in &core.threads {
            let labels =
                [("node_id", Number(core.node)), ("core_id", Number(core.id)), ("thread_id", Number(thread))];
            emit(&labels, Value::Count(core.threads.len() as u64));
        }
    }
}

fn hugepages(machine: &Machine, emit: &mut Emit<'_>) {
    for node in &machine.topology.nodes {
        for &(kib, pages) in &node.hugepages {
            let size = u32::try_from(kib).unwrap_or(u32::MAX);
            let labels = [("node_id", Number(node.id)), ("page_size", Number(size))];
            emit(&labels, Value::Count(pages));
        }
    }
}

/// The kernel writes the distances in the order of the existing nodes, whose numbers may have gaps.
fn distances(machine: &Machine, emit: &mut Emit<'_>) {
    let nodes = &machine.topology.nodes;
    for node in nodes {
        for (target, &distance) in nodes.iter().zip(&node.distances) {
            let labels = [("node_id", Number(node.id)), ("target_node_id", Number(target.id))];
            emit(&labels, Value::Count(distance));
        }
    }
}
