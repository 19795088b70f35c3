//! What is to be done about what happened.

use std::sync::Arc;
use std::time::Duration;

use super::{CgroupKey, CgroupPath, EventDraft, Identity, OomKill};

/// Up to where the kernel's kills are accounted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// `oom_kill` of `/proc/vmstat`.
    pub kernel_kills: u64,
    /// The last record of the kernel log that was read, where it is read.
    pub log_sequence: Option<u64>,
}

/// Exits of containers are numbered, as one container may exit more than once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitNumber(pub u64);

/// Something that is to be done, in this order.
#[derive(Debug, PartialEq)]
pub enum Deed {
    /// Append an event. What is known of its names and of memory before it is added then.
    Tell(Box<EventDraft>),
    /// Walk the tree as soon as that is allowed.
    WalkSoon,
    /// Look into `/proc` for the process and cgroup of a kill, at once.
    LookUp(Box<OomKill>),
    /// Ask the runtimes what this container is called.
    WantNames(Arc<Identity>),
    /// Open the files of a container that runs, for its last values.
    OpenLast(CgroupPath, Vec<CgroupKey>),
    /// Read the last values of a container.
    ReadLast(CgroupPath, Vec<CgroupKey>, ExitNumber),
    /// Forget the last values of a container that is gone.
    ForgetLast(CgroupPath),
    /// Follow the cgroup's own count of kills; it was made after the agent began.
    WatchCount(CgroupPath, CgroupKey),
    /// The cgroup is gone.
    ForgetCount(CgroupPath),
    /// Compare the cgroups whose counts are followed with the registry.
    /// `is_new`: those that are not followed yet were made after the agent began.
    WatchAllCounts { is_new: bool },
    /// Look at the counts soon.
    CountSoon,
    /// Everything that the kernel has counted is in the log of events now.
    Checkpoint(Checkpoint),
    /// The kernel counted this many kills that no source reports.
    GiveUp(u64),
    /// A walk took this long.
    NoteWalk(Duration),
}
