//! The memory of each cgroup when the node was last read: what an OOM kill shows of the time before it.

use std::time::{Duration, SystemTime};

use super::NodeSnapshot;
use crate::model::{CgroupPath, LastSample};

/// The memory of each cgroup at the last reading. Small beside a snapshot, which is not kept.
#[derive(Debug)]
pub struct LastMemory {
    taken: SystemTime,
    /// Sorted by path, and of no age yet.
    cgroups: Vec<(CgroupPath, LastSample)>,
}

impl LastMemory {
    pub(super) fn of(snapshot: &NodeSnapshot) -> Self {
        let alive = snapshot.cgroups.iter().filter(|sample| !sample.removed);
        let cgroups = alive.filter_map(|sample| {
            let memory = sample.stats.memory.as_ref()?;
            let kept = LastSample {
                age: Duration::ZERO,
                working_set_bytes: memory.working_set_bytes(),
                anon_bytes: memory.stat.anon_bytes,
                file_bytes: memory.stat.file_bytes,
                kernel_bytes: memory.kernel_bytes,
                limit: memory.limit,
            };
            Some((sample.path.clone(), kept))
        });
        Self { taken: snapshot.taken, cgroups: cgroups.collect() }
    }

    /// What a cgroup had then, if that was before `time`.
    pub fn before(&self, time: SystemTime, path: &CgroupPath) -> Option<LastSample> {
        let age = time.duration_since(self.taken).ok()?;
        let at = self.cgroups.binary_search_by(|(other, _)| other.cmp(path)).ok()?;
        let (_, memory) = self.cgroups.get(at)?;
        Some(LastSample { age, ..memory.clone() })
    }
}
