//! The directory by which the kernel counts performance events of a cgroup.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, openat};

use super::CgroupReader;
use crate::model::{CgroupKey, CgroupPath, HierarchyId};

impl CgroupReader {
    /// The member that events are counted by: in v1's hierarchy for it, else in v2's, which always has it then.
    pub fn perf_member(&self, members: &[CgroupKey]) -> Option<CgroupKey> {
        let of_v1 = self.context.hierarchies.iter().find(|source| source.hierarchy.has("perf_event"));
        let wanted = of_v1.map_or(HierarchyId::V2, |source| source.hierarchy.id);
        members.iter().find(|key| key.hierarchy == wanted).copied()
    }

    /// Its directory, open for reading; `None` when it is gone or another one is there.
    pub fn perf_dir(&mut self, cgroup: &CgroupPath, member: CgroupKey) -> Option<OwnedFd> {
        let index = self.context.index(member.hierarchy)?;
        let dir = self.context.open_dir(index, cgroup, member.id).ok()?;
        // What is kept of a cgroup is good for opening only.
        openat(dir, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
    }
}
