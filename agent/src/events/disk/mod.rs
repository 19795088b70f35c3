//! The log on disk: segments of lines in one directory, oldest first by name.
//!
//! One thread writes ([`writer`]), any number of readers read ([`reader`]), and they share only the files. A reader never
//! reaches the records that are being written: those are still in memory.

mod reader;
mod segments;
mod served;
mod writer;

use std::path::PathBuf;
use std::time::Duration;

use crate::model::EventSync;

pub(super) use reader::DiskReader;
pub(super) use segments::read_end;
pub(super) use served::read as read_served;
pub(super) use writer::Writer;

/// No agent gives so many numbers, and each client can hold one of them. A file with a greater one is damaged.
const MAX_SEQ: u64 = 1 << 53;

/// Where the log is and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// The directory; it is made if it is missing.
    pub dir: PathBuf,
    /// Limit of all segments together.
    pub max_bytes: u64,
    /// A segment is deleted when its newest record is older.
    pub max_age: Duration,
    /// Limit of the number of segments.
    pub max_segments: u32,
    /// Which records are synced to the disk before they are served. This is for a power failure: a crash of the agent
    /// loses no served record either way.
    pub fsync: EventSync,
}

impl DiskOptions {
    /// A segment of this size is closed.
    pub(super) fn segment_bytes(&self) -> u64 {
        (self.max_bytes / u64::from(self.max_segments.max(1))).max(1)
    }
}

#[cfg(test)]
impl DiskOptions {
    /// Room for any test, below `dir`.
    pub(crate) fn fixture(dir: &std::path::Path) -> Self {
        Self {
            dir: dir.join("events"),
            max_bytes: 1 << 20,
            max_age: Duration::from_secs(3600),
            max_segments: 4,
            fsync: EventSync::None,
        }
    }
}
