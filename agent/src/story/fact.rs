//! What comes into the story.

use crate::model::{CgroupEvents, Hook, LastValues, LogBatch, LookedUp, OomKill, Source};
use crate::registry::FinishedWalk;

/// Something that a source reports.
#[derive(Debug)]
pub(crate) enum Fact {
    /// The first walk is done, and these events happened since the sources were opened.
    FirstWalk(Vec<CgroupEvents>, FinishedWalk),
    /// A later walk is done. The cgroup events from before its end come first.
    Walk(FinishedWalk),
    /// Cgroups were made or removed, or began or ended to have processes.
    Cgroups(CgroupEvents),
    /// The kernel killed processes. Of a ring, the cgroup events from before come first.
    Kills(Vec<OomKill>),
    /// `/proc` was looked at for a kill.
    LookedUp(Box<LookedUp>),
    /// The kernel log was read. When it has kills, has caught up or ended, the kills and cgroup events from before come first.
    Log(LogBatch),
    /// The last values of a container were read, or could not be.
    LastValues(LastValues),
    /// What the programs have dropped in all; `None` for hooks whose ring is not read.
    Dropped([Option<u64>; Hook::ALL.len()]),
    /// Records that could not be read or understood.
    Lost { records: u64, source: Source },
    /// Something that waits may be due.
    Time,
    /// The agent ends; everything from before came first.
    End,
}
