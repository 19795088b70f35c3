//! The node itself.

use super::{Dimms, Topology};

/// What `machine_*` metrics show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// `/etc/machine-id`.
    pub machine_id: Option<String>,
    /// `/sys/class/dmi/id/product_uuid`.
    pub system_uuid: Option<String>,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: Option<String>,
    /// `uname -r`.
    pub kernel_release: Option<String>,
    /// `PRETTY_NAME` of the host's `os-release`.
    pub os_name: Option<String>,
    /// Logical processors that are online.
    pub logical_cpus: Option<u64>,
    /// Distinct (package, core) pairs.
    pub physical_cores: Option<u64>,
    /// Distinct packages.
    pub sockets: Option<u64>,
    /// Distinct books of processors (s390 alone).
    pub books: Option<u64>,
    /// Distinct drawers of processors (s390 alone).
    pub drawers: Option<u64>,
    /// `MemTotal`.
    pub memory_bytes: Option<u64>,
    /// `SwapTotal`.
    pub swap_bytes: Option<u64>,
    /// Memory modules by type.
    pub dimms: Vec<Dimms>,
    /// How it is built; empty unless it is asked for.
    pub topology: Topology,
}
