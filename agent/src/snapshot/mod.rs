//! The node at one instant, immutable. Exporters are views of it.

mod collect;
mod memory;
mod shared;

pub use collect::{AgentView, CollectOptions, Collector, FilesystemCollector, Shown};
pub use memory::LastMemory;
pub use shared::Snapshots;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::model::{CgroupPath, CgroupStats, ContainerNames, Identity, Machine, PodNames};

#[derive(Clone, Debug)]
pub struct NodeSnapshot {
    pub taken: SystemTime,
    pub machine: Arc<Machine>,
    /// Every cgroup, sorted by path, tombstones included.
    pub cgroups: Vec<CgroupSample>,
    /// What the reading cost and what went wrong.
    pub reading: Reading,
}

#[derive(Clone, Debug)]
pub struct CgroupSample {
    /// Its path; the same in each of its hierarchies.
    pub path: CgroupPath,
    pub identity: Arc<Identity>,
    /// The names from its runtime, of a container's own cgroup, once they are known.
    pub names: Option<Arc<ContainerNames>>,
    /// Its pod, of a container's and of the pod's own cgroup.
    pub pod: Option<Arc<PodNames>>,
    /// What systemd calls it, of a unit's own cgroup.
    pub unit_description: Option<Arc<str>>,
    pub stats: CgroupStats,
    /// OOM kills of its processes that the agent saw.
    pub oom_kills: u64,
    /// When it was last known to exist.
    pub last_seen: SystemTime,
    /// Whether it is gone: then only its totals are shown, so that a count outlives its container. `stats` holds the values
    /// that were read after its last process had ended, if any.
    pub removed: bool,
}

/// What a reading cost and what went wrong in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Wall time.
    pub duration: Duration,
    /// Cgroups that vanished while they were read; they are not in the snapshot.
    pub vanished: u64,
    /// Files that could not be read or understood; the rest of their cgroup is in the snapshot.
    pub errors: u64,
}
