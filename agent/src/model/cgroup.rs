//! Which cgroup is meant, and in which hierarchy.

use std::path::PathBuf;

use super::{CgroupPath, named};

/// A hierarchy's number as in `/proc/self/cgroup` and in the kernel's cgroup tracepoints; 0 is cgroup v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HierarchyId(pub u32);

impl HierarchyId {
    /// cgroup v2, the unified hierarchy.
    pub const V2: Self = Self(0);
}

/// One directory of one hierarchy. On v1 an id is unique only inside its hierarchy, so both are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CgroupKey {
    pub hierarchy: HierarchyId,
    /// The directory's inode number, which is the kernel's `kernfs_node.id` (since 5.5).
    pub id: u64,
}

named! {
    /// The two interfaces of control groups.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum CgroupVersion {
        /// One hierarchy for one or more controllers.
        V1 = "v1",
        /// The unified hierarchy.
        V2 = "v2",
    }
}

named! {
    /// What a host mounts.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum CgroupMode {
        /// v1 hierarchies alone.
        V1 = "v1",
        /// The unified hierarchy alone.
        V2 = "v2",
        /// v1 hierarchies with controllers, and v2 beside them.
        Hybrid = "hybrid",
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    pub id: HierarchyId,
    pub version: CgroupVersion,
    /// Its controllers as the kernel names them (`memory`, `cpu`, `cpuacct`, `blkio`, `io`, `pids`, ...);
    /// a named v1 hierarchy has none.
    pub controllers: Vec<String>,
    /// Where its root is mounted, as this process can open it (below the host root).
    pub mount: PathBuf,
}

/// Where memory is accounted: the v1 hierarchy with the controller, else v2.
pub fn memory_hierarchy(hierarchies: &[Hierarchy]) -> HierarchyId {
    let memory = hierarchies.iter().find(|hierarchy| hierarchy.has("memory"));
    memory.map_or(HierarchyId::V2, |hierarchy| hierarchy.id)
}

impl Hierarchy {
    /// Whether the controller of that kernel name counts here.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }

    /// The directory of a cgroup of this hierarchy.
    pub fn dir(&self, path: &CgroupPath) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        let below = path.as_bytes().strip_prefix(b"/").unwrap_or(path.as_bytes());
        self.mount.join(std::ffi::OsStr::from_bytes(below))
    }
}
