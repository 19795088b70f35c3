//! From the rings' bytes to the model.
//!
//! A record that is too short or not ours is an error.

mod oom;

use std::mem::size_of;

use aya::Pod;
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

/// A record that begins the bytes, which need not be aligned.
fn read<T: Pod>(bytes: &[u8]) -> Result<T, KernelError> {
    if bytes.len() < size_of::<T>() {
        return Err(error(bytes, "shorter than its fields"));
    }
    // SAFETY: there are enough bytes, and any bytes are a valid `Pod`.
    Ok(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

fn error(bytes: &[u8], what: &'static str) -> KernelError {
    KernelError(format!("record of {} bytes: {what}", bytes.len()))
}

fn record_number(bytes: &[u8]) -> Result<RecordNumber, KernelError> {
    let Header { program, cpu, seq, .. } = read(bytes)?;
    let program = Program::from_u32(program).ok_or_else(|| error(bytes, "of no program of ours"))?;
    Ok(RecordNumber { program, cpu, seq })
}

/// Whether a record was made after this time of the kernel's monotonic clock.
pub(crate) fn is_after(bytes: &[u8], monotonic_nsec: u64) -> bool {
    read(bytes).is_ok_and(|header: Header| header.ktime_nsec > monotonic_nsec)
}

/// A [`LifecycleRecord`]. `source` is the form that is attached for its program.
pub(crate) fn lifecycle(
    bytes: &[u8],
    clock: Clock,
    source: impl Fn(Program) -> Source,
) -> Result<(RecordNumber, LifecycleEvent), KernelError> {
    let number = record_number(bytes)?;
    // A record ends with its path, which is shorter than its room.
    let path = bytes.get(LIFECYCLE_FIXED_BYTES..).ok_or_else(|| error(bytes, "shorter than its fields"))?;
    let mut whole = [0; size_of::<LifecycleRecord>()];
    whole.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    let record: LifecycleRecord = read(&whole)?;
    let kind = match number.program {
        Program::CgroupMkdir => LifecycleKind::Created,
        Program::CgroupRmdir => LifecycleKind::Removed,
        Program::CgroupRename => LifecycleKind::Renamed,
        Program::CgroupNotifyPopulated => LifecycleKind::Populated(record.populated != 0),
        Program::MarkVictim | Program::OomKillProcess | Program::SchedProcessExit => {
            return Err(error(bytes, "a record of another ring"));
        }
    };
    let length = record.path_bytes as usize;
    let path =
        CgroupPath::from_bytes(path.get(..length).ok_or_else(|| error(bytes, "shorter than its path"))?);
    let key = |id| CgroupKey { hierarchy: HierarchyId(record.hierarchy), id };
    let event = LifecycleEvent {
        time: clock.wall(record.header.ktime_nsec),
        source: source(number.program),
        key: key(record.id),
        parent: (record.parent_id != 0).then(|| key(record.parent_id)),
        level: record.level,
        path_cut: is_cut(&path, length, record.level),
        path,
        kind,
    };
    Ok((number, event))
}

/// The cgroup of an [`ExitRecord`].
pub(crate) fn exit(bytes: &[u8]) -> Result<CgroupKey, KernelError> {
    if record_number(bytes)?.program != Program::SchedProcessExit {
        return Err(error(bytes, "not of an exit"));
    }
    let ExitRecord { hierarchy, id, .. } = read(bytes)?;
    Ok(CgroupKey { hierarchy: HierarchyId(hierarchy), id })
}

/// The kernel cuts a path at its buffer. The level says how many names there must be, so a cut between two names
/// shows even when the buffer is not full to the last byte.
fn is_cut(path: &CgroupPath, length: usize, level: u32) -> bool {
    length >= PATH_BYTES - 1 || u32::try_from(path.components().count()) != Ok(level)
}

#[cfg(test)]
mod tests;
