//! Processors, caches, memory nodes and memory modules of the node.

/// How the machine is built. What the host does not list is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Cores, by node and core.
    pub cores: Vec<Core>,
    /// NUMA nodes; a machine without any has one, 0.
    pub nodes: Vec<NumaNode>,
}

/// A core: `/sys/devices/system/cpu/cpu<n>/topology`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Core {
    pub node: u32,
    /// `physical_package_id`.
    pub package: u32,
    /// `core_id`, which is unique in its package alone.
    pub id: u32,
    /// Numbers of its processors (hardware threads).
    pub threads: Vec<u32>,
    /// Caches of levels 1 and 2.
    pub caches: Vec<Cache>,
}

/// A processor's cache: `/sys/devices/system/cpu/cpu<n>/cache/index<i>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// `id`, which is unique in its level and kind.
    pub id: u64,
    /// `Data`, `Instruction` or `Unified`.
    pub kind: String,
    /// From 1 on.
    pub level: u32,
    /// `size`.
    pub bytes: u64,
}

/// A NUMA node: `/sys/devices/system/node/node<n>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumaNode {
    pub id: u32,
    /// `meminfo` `MemTotal`.
    pub memory_bytes: Option<u64>,
    /// Size in KiB and number of huge pages: `hugepages/hugepages-<size>kB/nr_hugepages`.
    pub hugepages: Vec<(u64, u64)>,
    /// To each node in the order of their numbers: `distance`.
    pub distances: Vec<u64>,
    /// Caches of level 3 and beyond.
    pub caches: Vec<Cache>,
}

/// Memory modules of one type: `/sys/devices/system/edac/mc/mc*/dimm*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dimms {
    /// `dimm_mem_type`: `Unbuffered-DDR4`.
    pub kind: String,
    pub count: u64,
    /// `size`, of all.
    pub capacity_bytes: u64,
}
