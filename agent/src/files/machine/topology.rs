//! Cores, caches, memory nodes and memory modules, read from sysfs.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cputopology.html>, `Documentation/ABI/stable/sysfs-devices-node`,
//! `Documentation/ABI/testing/sysfs-devices-edac`

use std::collections::BTreeMap;

use super::super::HostRoot;
use super::line;
use crate::model::{Cache, Core, Dimms, NumaNode, Topology};
use crate::parse::value;

const CPUS: &str = "/sys/devices/system/cpu";
const NODES: &str = "/sys/devices/system/node";

/// How the machine is built: some files for each processor, so it is read only where it is asked for.
pub(super) fn topology(host: &HostRoot) -> Topology {
    let mut nodes: Vec<NumaNode> =
        numbered(host, NODES, "node").into_iter().map(|id| node(host, id)).collect();
    if nodes.is_empty() {
        nodes.push(NumaNode::default());
    }
    let mut cores: BTreeMap<(u32, u32, u32), Core> = BTreeMap::new();
    for (cpu, package, id) in places(host) {
        let of_node = |node: u32| host.join(format!("{NODES}/node{node}/cpu{cpu}"));
        let at = nodes.iter().position(|node| of_node(node.id).symlink_metadata().is_ok()).unwrap_or(0);
        let Some(node) = nodes.get_mut(at) else { continue };
        let core = cores.entry((node.id, package, id)).or_insert_with(|| Core {
            node: node.id,
            package,
            id,
            ..Core::default()
        });
        core.threads.push(cpu);
        for cache in caches(host, cpu) {
            let of = if cache.level > 2 { &mut node.caches } else { &mut core.caches };
            if !of.contains(&cache) {
                of.push(cache);
            }
        }
    }
    Topology { cores: cores.into_values().collect(), nodes }
}

/// Memory modules by type, where the kernel's EDAC driver knows them.
pub(super) fn dimms(host: &HostRoot) -> Vec<Dimms> {
    const CONTROLLERS: &str = "/sys/devices/system/edac/mc";
    let mut found: BTreeMap<String, Dimms> = BTreeMap::new();
    for controller in numbered(host, CONTROLLERS, "mc") {
        let dir = format!("{CONTROLLERS}/mc{controller}");
        for dimm in numbered(host, &dir, "dimm") {
            let Some(kind) = line(host, &format!("{dir}/dimm{dimm}/dimm_mem_type")) else { continue };
            // MiB; an empty slot has none.
            let mib = host.parse(format!("{dir}/dimm{dimm}/size"), value).unwrap_or(0);
            if mib > 0 {
                let dimms = found.entry(kind.clone()).or_insert_with(|| Dimms { kind, ..Dimms::default() });
                dimms.count += 1;
                dimms.capacity_bytes = dimms.capacity_bytes.saturating_add(mib.saturating_mul(1 << 20));
            }
        }
    }
    found.into_values().collect()
}

/// Each processor with its package, and its core in that.
pub(super) fn places(host: &HostRoot) -> Vec<(u32, u32, u32)> {
    let place =
        |cpu| Some((cpu, topology_id(host, cpu, "physical_package_id")?, topology_id(host, cpu, "core_id")?));
    numbered(host, CPUS, "cpu").into_iter().filter_map(place).collect()
}

/// An id of each processor that has it.
pub(super) fn ids(host: &HostRoot, file: &str) -> Vec<u32> {
    numbered(host, CPUS, "cpu").into_iter().filter_map(|cpu| topology_id(host, cpu, file)).collect()
}

pub(in crate::files) fn topology_id(host: &HostRoot, cpu: u32, file: &str) -> Option<u32> {
    host.parse(format!("{CPUS}/cpu{cpu}/topology/{file}"), value).ok()?.try_into().ok()
}

/// The numbers of a directory's entries of that name, in order.
fn numbered(host: &HostRoot, dir: &str, name: &str) -> Vec<u32> {
    let number = |entry: String| entry.strip_prefix(name)?.parse().ok();
    let mut found: Vec<u32> = host.names(dir).filter_map(number).collect();
    found.sort_unstable();
    found
}

fn node(host: &HostRoot, id: u32) -> NumaNode {
    let dir = format!("{NODES}/node{id}");
    let size =
        |name: String| -> Option<u64> { name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok() };
    let pages = |kib| {
        let file = format!("{dir}/hugepages/hugepages-{kib}kB/nr_hugepages");
        host.parse(file, value).ok().map(|pages| (kib, pages))
    };
    let mut hugepages: Vec<(u64, u64)> =
        host.names(&format!("{dir}/hugepages")).filter_map(size).filter_map(pages).collect();
    hugepages.sort_unstable();
    NumaNode {
        id,
        memory_bytes: memory_bytes(host, &dir),
        hugepages,
        distances: distances(&line(host, &format!("{dir}/distance")).unwrap_or_default()),
        caches: Vec::new(),
    }
}

/// `Node 0 MemTotal:       16256060 kB`
fn memory_bytes(host: &HostRoot, dir: &str) -> Option<u64> {
    let text = host.read(format!("{dir}/meminfo")).ok()?;
    let text = str::from_utf8(&text).ok()?;
    let (_, rest) = text.lines().find_map(|line| line.split_once("MemTotal:"))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn distances(text: &str) -> Vec<u64> {
    text.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect()
}

fn caches(host: &HostRoot, cpu: u32) -> Vec<Cache> {
    let dir = format!("{CPUS}/cpu{cpu}/cache");
    let cache = |index: u32| {
        let file = |name: &str| line(host, &format!("{dir}/index{index}/{name}"));
        Some(Cache {
            // Kernels before 4.10 have no id: the first processor that shares it stands for it.
            id: file("id").or_else(|| file("shared_cpu_list")).and_then(|id| first_number(&id))?,
            kind: file("type")?,
            level: file("level")?.parse().ok()?,
            bytes: size_bytes(&file("size")?)?,
        })
    };
    numbered(host, &dir, "index").into_iter().filter_map(cache).collect()
}

fn first_number(text: &str) -> Option<u64> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// `32K`, and `1M` from some firmware.
fn size_bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let shift = match unit {
        "K" => 10,
        "M" => 20,
        _ => return text.parse().ok(),
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;

    fn two_nodes() -> Fixture {
        let fixture = Fixture::new();
        for (cpu, core, node) in [(0, 0, 0), (1, 0, 0), (2, 0, 1), (10, 1, 1)] {
            let dir = format!("sys/devices/system/cpu/cpu{cpu}");
            fixture.file(&format!("{dir}/topology/physical_package_id"), format!("{node}\n"));
            fixture.file(&format!("{dir}/topology/core_id"), format!("{core}\n"));
            fixture.link(&format!("sys/devices/system/node/node{node}/cpu{cpu}"), "../../cpu");
            for (index, level, kind, size, id) in [
                (0, 1, "Data", "32K", core),
                (1, 2, "Unified", "1M", core),
                (2, 3, "Unified", "16384K", node),
            ] {
                for (file, text) in [
                    ("level", level.to_string()),
                    ("type", kind.to_owned()),
                    ("size", size.to_owned()),
                    ("id", id.to_string()),
                ] {
                    fixture.file(&format!("{dir}/cache/index{index}/{file}"), format!("{text}\n"));
                }
            }
        }
        let node = "sys/devices/system/node/node1";
        fixture.file(&format!("{node}/meminfo"), "Node 1 MemTotal:       2048 kB\nNode 1 MemFree: 1 kB\n");
        fixture.file(&format!("{node}/distance"), "21 10\n");
        fixture.file(&format!("{node}/hugepages/hugepages-2048kB/nr_hugepages"), "7\n");
        fixture
    }

    #[test]
    fn cores_and_caches_are_those_of_their_nodes() {
        let found = topology(&two_nodes().host());
        let threads: Vec<_> =
            found.cores.iter().map(|core| (core.node, core.id, core.threads.clone())).collect();
        assert_eq!(threads, [(0, 0, vec![0, 1]), (1, 0, vec![2]), (1, 1, vec![10])]);
        let caches: Vec<_> = found.cores[0].caches.iter().map(|cache| (cache.level, cache.bytes)).collect();
        assert_eq!(caches, [(1, 32 << 10), (2, 1 << 20)]);
        let node = &found.nodes[1];
        assert_eq!(
            (node.memory_bytes, &node.distances[..], &node.hugepages[..]),
            (Some(2 << 20), &[21, 10][..], &[(2048, 7)][..])
        );
        assert_eq!(node.caches.len(), 1, "shared by both cores");
    }

    #[test]
    fn a_machine_without_topology_has_one_node() {
        let found = topology(&Fixture::new().host());
        assert_eq!((found.nodes.len(), found.cores.len()), (1, 0));
        assert_eq!(dimms(&Fixture::new().host()), []);
    }

    #[test]
    fn modules_are_added_up_by_type() {
        let fixture = Fixture::new();
        for (dimm, size) in [(0, "8192"), (1, "8192"), (2, "0")] {
            let dir = format!("sys/devices/system/edac/mc/mc0/dimm{dimm}");
            fixture.file(&format!("{dir}/dimm_mem_type"), "Unbuffered-DDR4\n");
            fixture.file(&format!("{dir}/size"), format!("{size}\n"));
        }
        let wanted = Dimms { kind: "Unbuffered-DDR4".to_owned(), count: 2, capacity_bytes: 16_384 << 20 };
        assert_eq!(dimms(&fixture.host()), [wanted]);
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(
            (size_bytes("32K"), size_bytes("1M"), size_bytes("64")),
            (Some(32_768), Some(1 << 20), Some(64))
        );
        assert_eq!((size_bytes(""), size_bytes("K"), size_bytes("xM")), (None, None, None));
    }

    #[test]
    fn this_machine_has_its_processors() {
        let found = topology(&HostRoot::default());
        let threads: usize = found.cores.iter().map(|core| core.threads.len()).sum();
        if threads == 0 {
            return println!("skipped: sysfs has no topology here");
        }
        assert!(threads >= std::thread::available_parallelism().unwrap().get());
    }
}
