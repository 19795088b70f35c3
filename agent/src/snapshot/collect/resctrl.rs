//! Cache and memory bandwidth of the node, and of each container for which its runtime made a group of resctrl.

use std::collections::HashMap;

use super::CgroupToRead;
use crate::files::{CacheGroups, CacheReading, HostRoot};
use crate::model::{CgroupPath, Role};

/// Reads the groups; nothing where resctrl is not mounted.
pub(super) fn cache_domains(host: &HostRoot, known: &[CgroupToRead]) -> HashMap<CgroupPath, CacheReading> {
    let Some(groups) = CacheGroups::list(host) else { return HashMap::new() };
    let reading =
        |cgroup: &CgroupToRead| match (cgroup.known.identity.role, &cgroup.known.identity.container_id) {
            (Role::Root, _) => Some(groups.read_root(host)),
            (Role::Container, Some(id)) => groups.read(host, id),
            _ => None,
        };
    known.iter().filter_map(|cgroup| Some((cgroup.path.clone(), reading(cgroup)?))).collect()
}
