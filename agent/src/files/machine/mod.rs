//! The node itself: processors, memory, identity.

use std::collections::BTreeSet;

mod topology;

use super::HostRoot;
use crate::model::{Machine, Topology};
use crate::parse::{assignment, cpuinfo, meminfo, value};

/// Reads the node, with its topology where that is asked for. What the host lacks, or what cannot be read, is `None`.
#[must_use]
pub fn machine(host: &HostRoot, with_topology: bool) -> Machine {
    let cpus = host.parse("/proc/cpuinfo", cpuinfo).ok();
    let memory = host.parse("/proc/meminfo", meminfo).unwrap_or_default();
    let cpus_of = packages(host);
    Machine {
        machine_id: line(host, "/etc/machine-id").or_else(|| line(host, "/var/lib/dbus/machine-id")),
        system_uuid: line(host, "/sys/class/dmi/id/product_uuid"),
        boot_id: line(host, "/proc/sys/kernel/random/boot_id"),
        kernel_release: line(host, "/proc/sys/kernel/osrelease"),
        os_name: os_name(host),
        logical_cpus: cpus.map(|cpus| cpus.processors).or(cpus_of.processors),
        physical_cores: cpus_of.cores.or(cpus.and_then(|cpus| cpus.cores)),
        sockets: cpus_of.packages.or(cpus.and_then(|cpus| cpus.packages)),
        memory_bytes: memory.memory_total_bytes,
        swap_bytes: memory.swap_total_bytes,
        books: topology::distinct(host, "book_id"),
        drawers: topology::distinct(host, "drawer_id"),
        dimms: topology::dimms(host),
        topology: if with_topology { topology::topology(host) } else { Topology::default() },
    }
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

/// Processors, cores and packages from sysfs, which has them on every architecture.
#[derive(Default)]
struct Packages {
    processors: Option<u64>,
    cores: Option<u64>,
    packages: Option<u64>,
}

fn packages(host: &HostRoot) -> Packages {
    let (mut processors, mut cores, mut packages) = (0, BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir(host.sys().join("devices/system/cpu")).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(|name| name.strip_prefix("cpu")) else { continue };
        let id = |file: &str| {
            host.parse(format!("/sys/devices/system/cpu/cpu{number}/topology/{file}"), value).ok()
        };
        // An offline processor has no topology; a board without the number of its package shows -1.
        if let (Some(package), Some(core)) = (id("physical_package_id"), id("core_id")) {
            processors += 1;
            packages.insert(package);
            cores.insert((package, core));
        }
    }
    let count = |found: usize| u64::try_from(found).ok().filter(|&n| n > 0);
    Packages { processors: count(processors), cores: count(cores.len()), packages: count(packages.len()) }
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
        fixture
            .file("proc/cpuinfo", "processor\t: 0\n\nprocessor\t: 1\n\nprocessor\t: 2\n\nprocessor\t: 3\n");
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
    fn a_host_that_tells_nothing() {
        assert_eq!(machine(&Fixture::new().host(), false), Machine::default());
    }
}
