//! The memory of each cgroup when the node was last read: what an OOM kill shows of the time before it.

use std::time::SystemTime;

use super::NodeSnapshot;
use crate::model::{CgroupPath, LastSample, Limit};

/// The memory of each cgroup at the last reading. Small beside a snapshot, which is not kept.
#[derive(Debug)]
pub struct LastMemory {
    taken: SystemTime,
    /// Sorted by path.
    cgroups: Vec<(CgroupPath, Memory)>,
}

#[derive(Clone, Copy, Debug)]
struct Memory {
    working_set_bytes: Option<u64>,
    anon_bytes: Option<u64>,
    file_bytes: Option<u64>,
    kernel_bytes: Option<u64>,
    limit: Option<Limit>,
}

impl LastMemory {
    pub(super) fn of(snapshot: &NodeSnapshot) -> Self {
        let alive = snapshot.cgroups.iter().filter(|sample| !sample.removed);
        let cgroups = alive.filter_map(|sample| {
            let memory = sample.stats.memory.as_ref()?;
            let kept = Memory {
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
    #[must_use]
    pub fn before(&self, time: SystemTime, path: &CgroupPath) -> Option<LastSample> {
        let age = time.duration_since(self.taken).ok()?;
        let at = self.cgroups.binary_search_by(|(other, _)| other.cmp(path)).ok()?;
        let (_, memory) = self.cgroups.get(at)?;
        let Memory { working_set_bytes, anon_bytes, file_bytes, kernel_bytes, limit } = *memory;
        Some(LastSample { age, working_set_bytes, anon_bytes, file_bytes, kernel_bytes, limit })
    }
}
