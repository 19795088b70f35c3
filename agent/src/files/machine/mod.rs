//! The node itself: processors, memory, identity.

mod topology;

pub(super) use topology::topology_id;

use std::collections::BTreeSet;

use super::{HostRoot, online_cpus};
use crate::model::{Machine, Topology};
use crate::parse::{assignment, meminfo};

/// Reads the node, with its topology where that is asked for. What the host lacks, or what cannot be read, is `None`.
pub fn machine(host: &HostRoot, with_topology: bool) -> Machine {
    let memory = host.parse("/proc/meminfo", meminfo).unwrap_or_default();
    let places = topology::places(host);
    Machine {
        machine_id: line(host, "/etc/machine-id").or_else(|| line(host, "/var/lib/dbus/machine-id")),
        system_uuid: line(host, "/sys/class/dmi/id/product_uuid"),
        boot_id: line(host, "/proc/sys/kernel/random/boot_id"),
        kernel_release: line(host, "/proc/sys/kernel/osrelease"),
        os_name: os_name(host),
        logical_cpus: count(online_cpus(host).into_iter()).or(count(places.iter())),
        physical_cores: count(places.iter().map(|&(_, package, core)| (package, core))),
        sockets: count(places.iter().map(|&(_, package, _)| package)),
        memory_bytes: memory.memory_total_bytes,
        swap_bytes: memory.swap_total_bytes,
        books: count(topology::ids(host, "book_id").into_iter()),
        drawers: count(topology::ids(host, "drawer_id").into_iter()),
        dimms: topology::dimms(host),
        topology: if with_topology { topology::topology(host) } else { Topology::default() },
    }
}

/// How many different ones there are; `None` for none.
fn count<T: Ord>(found: impl Iterator<Item = T>) -> Option<u64> {
    Some(found.collect::<BTreeSet<_>>().len() as u64).filter(|&count| count > 0)
}

/// The first line of a file without blanks around it; `None` when it is empty.
fn line(host: &HostRoot, path: &str) -> Option<String> {
    let bytes = host.read(path).ok()?;
    let text = String::from_utf8_lossy(bytes.split(|&b| b == b'\n').next()?).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn os_name(host: &HostRoot) -> Option<String> {
    let places = ["/etc/os-release", "/usr/lib/os-release"];
    let text = places.iter().find_map(|path| host.read(path).ok())?;
    assignment(&text, "PRETTY_NAME")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;

    #[test]
    fn a_host_with_everything() {
        let fixture = Fixture::new();
        fixture.file("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        fixture.file("sys/class/dmi/id/product_uuid", "4c4c4544-0000\n");
        fixture.file("proc/sys/kernel/random/boot_id", "b007\n");
        fixture.file("proc/sys/kernel/osrelease", "6.18.44\n");
        fixture.file("etc/os-release", "NAME=Debian\nPRETTY_NAME=\"Debian 12\"\n");
        fixture.file("sys/devices/system/cpu/online", "0-3\n");
        fixture.file("proc/meminfo", "MemTotal: 4 kB\nSwapTotal: 2 kB\n");
        for (cpu, core) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
            fixture.file(&format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id"), "0\n");
            fixture.file(&format!("sys/devices/system/cpu/cpu{cpu}/topology/core_id"), format!("{core}\n"));
        }
        fixture.dir(b"sys/devices/system/cpu/cpufreq");
        let text = |text: &str| Some(text.to_owned());
        let wanted = Machine {
            machine_id: text("0123456789abcdef0123456789abcdef"),
            system_uuid: text("4c4c4544-0000"),
            boot_id: text("b007"),
            kernel_release: text("6.18.44"),
            os_name: text("Debian 12"),
            logical_cpus: Some(4),
            physical_cores: Some(2),
            sockets: Some(1),
            memory_bytes: Some(4096),
            swap_bytes: Some(2048),
            ..Machine::default()
        };
        assert_eq!(machine(&fixture.host(), false), wanted);
    }

    #[test]
    fn a_host_without_these_files() {
        assert_eq!(machine(&Fixture::new().host(), false), Machine::default());
    }
}
