//! The network namespaces of pods and containers, each under the one cgroup that owns it.
//!
//! All containers of a pod share a namespace, so it is the pod's, and a sum over cgroups counts it once. Any live process
//! of the pod will do. A container without a pod owns its own. The root's is the host's. Who shares that has none of its
//! own: a flag shows that, and its traffic is not counted again under it.

use std::collections::BTreeMap;

use super::CgroupToRead;
use crate::files::{CgroupReader, HostRoot, read_host_network, read_network, read_sockets};
use crate::model::{CgroupPath, CgroupStats, InterfaceStats, MetricSet, MetricSets, Role, SocketStats};

/// What is known of the namespace of one cgroup.
#[derive(Debug, Default)]
pub(super) struct Network {
    /// A process in it.
    pid: u32,
    interfaces: Vec<InterfaceStats>,
    sockets: Option<SocketStats>,
    /// It is the host's, and this is not the root.
    is_host: bool,
}

impl Network {
    /// Puts into the stats what `sets` want of it.
    pub(super) fn put(self, sets: MetricSets, stats: &mut CgroupStats) {
        stats.host_network = self.is_host;
        stats.network = (!self.is_host && sets.has(MetricSet::Network)).then_some(self.interfaces);
        stats.sockets = self.sockets;
    }
}

/// All namespaces, and the cgroups that were looked into and have no process.
#[derive(Debug, Default)]
pub(super) struct Networks<'a> {
    pub(super) found: BTreeMap<CgroupPath, Network>,
    pub(super) empty: Vec<&'a CgroupPath>,
}

/// Reads them; nothing when no set wants any.
pub(super) fn networks<'a>(
    host: &HostRoot,
    reader: &mut CgroupReader,
    known: &'a [CgroupToRead],
    sets: MetricSets,
) -> Networks<'a> {
    let with_sockets = sets.has_any(&[MetricSet::Tcp, MetricSet::Udp, MetricSet::AdvancedTcp]);
    if !sets.has(MetricSet::Network) && !with_sockets {
        return Networks::default();
    }
    let mut networks = namespaces(host, reader, known);
    if with_sockets {
        let mut own: Vec<&mut Network> =
            networks.found.values_mut().filter(|network| !network.is_host).collect();
        let pids: Vec<u32> = own.iter().map(|network| network.pid).collect();
        for (network, sockets) in own.iter_mut().zip(read_sockets(host, &pids, sets)) {
            network.sockets = Some(sockets);
        }
    }
    networks
}

fn namespaces<'a>(host: &HostRoot, reader: &mut CgroupReader, known: &'a [CgroupToRead]) -> Networks<'a> {
    let mut networks = Networks::default();
    if let Ok(interfaces) = read_host_network(host) {
        let of_host = Network { pid: 1, interfaces, ..Network::default() };
        networks.found.insert(CgroupPath::root(), of_host);
    }
    // Sorted by path: a pod comes before what lies in it.
    let mut pod: Option<&CgroupPath> = None;
    for cgroup in known {
        if cgroup.known.identity.role == Role::Pod {
            pod = Some(&cgroup.path);
        }
        let inside = matches!(cgroup.known.identity.role, Role::Container | Role::InsideContainer);
        if !inside || !cgroup.known.may_run() {
            continue;
        }
        let owner = match pod {
            Some(pod) if cgroup.path.is_within(pod) => pod,
            _ if cgroup.known.identity.is_container() => &cgroup.path,
            _ => continue,
        };
        if networks.found.contains_key(owner) {
            continue;
        }
        let Some(pid) = reader.first_process(&cgroup.path, &cgroup.known.members) else {
            networks.empty.push(&cgroup.path);
            continue;
        };
        let network = match read_network(host, pid) {
            Ok(Some(interfaces)) => Network { pid, interfaces, ..Network::default() },
            Ok(None) => Network { pid, is_host: true, ..Network::default() },
            // A process that ended meanwhile is no fault.
            Err(_) => continue,
        };
        networks.found.insert(owner.clone(), network);
    }
    networks
}
