//! From the rings' bytes to the model.
//!
//! Read field by field at the offsets of `cgtap_abi`, without a cast: a record that is too short or not ours is an
//! error.

mod oom;

use std::mem::offset_of;

use cgtap_abi::{ExitRecord, Header, LIFECYCLE_FIXED_BYTES, LifecycleRecord, PATH_BYTES, Program};

use super::KernelError;
use super::clock::Clock;
use crate::model::{CgroupKey, CgroupPath, HierarchyId, LifecycleEvent, LifecycleKind, Source};

pub(crate) use oom::oom;

/// A record's number: each program counts its records on each CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordNumber {
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

    fn record_number(&self) -> Result<RecordNumber, KernelError> {
        let program = Program::from_u32(self.u32(offset_of!(Header, program))?);
        Ok(RecordNumber {
            program: program.ok_or(self.error("of no program of ours"))?,
            cpu: self.u32(offset_of!(Header, cpu))?,
            seq: self.u64(offset_of!(Header, seq))?,
        })
    }
}

/// Whether a record was made after this time of the kernel's monotonic clock.
pub(crate) fn is_after(bytes: &[u8], monotonic_nsec: u64) -> bool {
    Bytes(bytes).u64(offset_of!(Header, ktime_nsec)).is_ok_and(|made| made > monotonic_nsec)
}

/// A [`LifecycleRecord`]. `source` is the form that is attached for its program.
pub(crate) fn lifecycle(
    bytes: &[u8],
    clock: Clock,
    source: impl Fn(Program) -> Source,
) -> Result<(RecordNumber, LifecycleEvent), KernelError> {
    let record = Bytes(bytes);
    let number = record.record_number()?;
    let kind = match number.program {
        Program::CgroupMkdir => LifecycleKind::Created,
        Program::CgroupRmdir => LifecycleKind::Removed,
        Program::CgroupRename => LifecycleKind::Renamed,
        Program::CgroupNotifyPopulated => {
            LifecycleKind::Populated(record.u32(offset_of!(LifecycleRecord, populated))? != 0)
        }
        Program::MarkVictim | Program::OomKillProcess | Program::SchedProcessExit => {
            return Err(record.error("an OOM record in the lifecycle ring"));
        }
    };
    let length = record.u32(offset_of!(LifecycleRecord, path_bytes))? as usize;
    let path = bytes.get(LIFECYCLE_FIXED_BYTES..).and_then(|rest| rest.get(..length));
    let path = CgroupPath::from_bytes(path.ok_or(record.error("shorter than its path"))?);
    let level = record.u32(offset_of!(LifecycleRecord, level))?;
    let hierarchy = HierarchyId(record.u32(offset_of!(LifecycleRecord, hierarchy))?);
    let parent = record.u64(offset_of!(LifecycleRecord, parent_id))?;
    let event = LifecycleEvent {
        time: clock.wall(record.u64(offset_of!(Header, ktime_nsec))?),
        source: source(number.program),
        key: CgroupKey { hierarchy, id: record.u64(offset_of!(LifecycleRecord, id))? },
        parent: (parent != 0).then_some(CgroupKey { hierarchy, id: parent }),
        level,
        path_cut: is_cut(&path, length, level),
        path,
        kind,
    };
    Ok((number, event))
}

/// The cgroup of an [`ExitRecord`].
pub(crate) fn exit(bytes: &[u8]) -> Result<CgroupKey, KernelError> {
    let record = Bytes(bytes);
    if record.record_number()?.program != Program::SchedProcessExit {
        return Err(record.error("not of an exit"));
    }
    Ok(CgroupKey {
        hierarchy: HierarchyId(record.u32(offset_of!(ExitRecord, hierarchy))?),
        id: record.u64(offset_of!(ExitRecord, id))?,
    })
}

/// The kernel cuts a path at its buffer. The level says how many names there must be, so a cut between two names
/// shows even when the buffer is not full to the last byte.
fn is_cut(path: &CgroupPath, length: usize, level: u32) -> bool {
    length >= PATH_BYTES - 1 || u32::try_from(path.components().count()) != Ok(level)
}

#[cfg(test)]
mod tests;
