//! From the rings' bytes to the model.
//!
//! Read field by field at the offsets of `cgtap_abi`, without a cast: a record that is too short or not ours is an
//! error.

use std::mem::offset_of;

use cgtap_abi::{Header, LIFECYCLE_FIXED_BYTES, LifecycleRecord, OomRecord, PATH_BYTES, Program, present};

use super::KernelError;
use super::clock::Clock;
use crate::model::{
    CgroupKey, CgroupPath, Decision, HierarchyId, LifecycleEvent, LifecycleKind, OomKill, Source, Victim,
};

/// A record's place in the sequence of its program on its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) program: Program,
    pub(crate) cpu: u32,
    pub(crate) seq: u64,
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], KernelError> {
        let found = self.0.get(at..).and_then(|rest| rest.first_chunk::<N>());
        found.copied().ok_or(self.error("shorter than its fields"))
    }

    fn u32(&self, at: usize) -> Result<u32, KernelError> {
        Ok(u32::from_ne_bytes(self.array(at)?))
    }

    fn i32(&self, at: usize) -> Result<i32, KernelError> {
        Ok(i32::from_ne_bytes(self.array(at)?))
    }

    fn u64(&self, at: usize) -> Result<u64, KernelError> {
        Ok(u64::from_ne_bytes(self.array(at)?))
    }

    fn error(&self, what: &'static str) -> KernelError {
        KernelError::Record { bytes: self.0.len(), what }
    }

    fn place(&self) -> Result<Place, KernelError> {
        let program = Program::from_u32(self.u32(offset_of!(Header, program))?);
        Ok(Place {
            program: program.ok_or(self.error("of no program of ours"))?,
            cpu: self.u32(offset_of!(Header, cpu))?,
            seq: self.u64(offset_of!(Header, seq))?,
        })
    }
}

/// A [`LifecycleRecord`]. `source` is the form that is attached for its program.
pub(crate) fn lifecycle(
    bytes: &[u8],
    clock: Clock,
    source: impl Fn(Program) -> Source,
) -> Result<(Place, LifecycleEvent), KernelError> {
    let record = Bytes(bytes);
    let place = record.place()?;
    let kind = match place.program {
        Program::CgroupMkdir => LifecycleKind::Created,
        Program::CgroupRmdir => LifecycleKind::Removed,
        Program::CgroupRename => LifecycleKind::Renamed,
        Program::CgroupNotifyPopulated => {
            LifecycleKind::Populated(record.u32(offset_of!(LifecycleRecord, populated))? != 0)
        }
        Program::MarkVictim => return Err(record.error("an OOM record in the lifecycle ring")),
    };
    let length = record.u32(offset_of!(LifecycleRecord, path_bytes))? as usize;
    let path = bytes.get(LIFECYCLE_FIXED_BYTES..).and_then(|rest| rest.get(..length));
    let path = CgroupPath::from_bytes(path.ok_or(record.error("shorter than its path"))?);
    let level = record.u32(offset_of!(LifecycleRecord, level))?;
    let event = LifecycleEvent {
        time: clock.wall(record.u64(offset_of!(Header, ktime_nsec))?),
        source: source(place.program),
        key: CgroupKey {
            hierarchy: HierarchyId(record.u32(offset_of!(LifecycleRecord, hierarchy))?),
            id: record.u64(offset_of!(LifecycleRecord, id))?,
        },
        level,
        path_cut: is_cut(&path, length, level),
        path,
        kind,
    };
    Ok((place, event))
}

/// The kernel cuts a path at its buffer. The level says how many names there must be, so a cut between two names
/// shows even when the buffer is not full to the last byte.
fn is_cut(path: &CgroupPath, length: usize, level: u32) -> bool {
    length >= PATH_BYTES - 1 || u32::try_from(path.components().count()) != Ok(level)
}

/// An [`OomRecord`].
pub(crate) fn oom(bytes: &[u8], clock: Clock, source: Source) -> Result<(Place, OomKill), KernelError> {
    let record = Bytes(bytes);
    let place = record.place()?;
    if place.program != Program::MarkVictim {
        return Err(record.error("a lifecycle record in the OOM ring"));
    }
    let bits = record.u32(offset_of!(OomRecord, present))?;
    let has = |bit: u32| bits & bit != 0;
    let optional = |bit: u32, at: usize| if has(bit) { record.u64(at).map(Some) } else { Ok(None) };
    let cgroup = CgroupKey {
        hierarchy: HierarchyId(record.u32(offset_of!(OomRecord, hierarchy))?),
        id: record.u64(offset_of!(OomRecord, cgroup_id))?,
    };
    let comm: [u8; 16] = record.array(offset_of!(OomRecord, comm))?;
    let adjustment = record.i32(offset_of!(OomRecord, oom_score_adj))?;
    let (tgid, uid) = (record.u32(offset_of!(OomRecord, tgid))?, record.u32(offset_of!(OomRecord, uid))?);
    let victim = Victim {
        pid: Some(record.u32(offset_of!(OomRecord, pid))?),
        tgid: has(present::TGID).then_some(tgid),
        comm: has(present::COMM).then(|| comm.split(|&b| b == 0).next().unwrap_or_default().to_vec()),
        uid: has(present::UID).then_some(uid),
        oom_score_adj: has(present::OOM_SCORE_ADJ).then(|| i16::try_from(adjustment).ok()).flatten(),
        total_vm_bytes: optional(present::TOTAL_VM, offset_of!(OomRecord, total_vm_bytes))?,
        anon_rss_bytes: optional(present::ANON_RSS, offset_of!(OomRecord, anon_rss_bytes))?,
        file_rss_bytes: optional(present::FILE_RSS, offset_of!(OomRecord, file_rss_bytes))?,
        shmem_rss_bytes: optional(present::SHMEM_RSS, offset_of!(OomRecord, shmem_rss_bytes))?,
        swap_bytes: None,
        pgtables_bytes: optional(present::PGTABLES, offset_of!(OomRecord, pgtables_bytes))?,
    };
    let kill = OomKill {
        time: clock.wall(record.u64(offset_of!(Header, ktime_nsec))?),
        source,
        cgroup: has(present::CGROUP).then_some(cgroup),
        path: None,
        victim,
        decision: Decision::default(),
    };
    Ok((place, kill))
}

#[cfg(test)]
mod tests;
