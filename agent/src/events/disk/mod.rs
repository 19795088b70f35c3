//! The log on disk: segments of lines in one directory, oldest first by name.
//!
//! One thread writes ([`writer`]), any number of readers read ([`reader`]), and they share nothing but the files: a reader
//! never comes to what the writer is at, as that is still in memory.

mod reader;
mod segments;
mod writer;

use std::path::PathBuf;
use std::time::Duration;

pub(super) use reader::DiskReader;
pub(super) use segments::look;
pub use writer::Encode;
pub(super) use writer::Writer;

/// When records are forced to the disk. A crash of the agent loses nothing that was served either way; this is about
/// the machine's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Each record before it is served.
    Always,
    /// An OOM kill before it is served, others within a second.
    OomKills,
    /// When the kernel does.
    Never,
}

/// Where the log lies and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// The directory, made when it is not there.
    pub dir: PathBuf,
    /// All segments together.
    pub max_bytes: u64,
    /// How old the newest record of a segment gets.
    pub max_age: Duration,
    /// How many segments there are at most.
    pub max_segments: u32,
    /// When records are forced to the disk.
    pub fsync: Fsync,
}

impl DiskOptions {
    /// A segment is closed when it is as large.
    pub(super) fn segment_bytes(&self) -> u64 {
        (self.max_bytes / u64::from(self.max_segments.max(1))).max(1)
    }
}
