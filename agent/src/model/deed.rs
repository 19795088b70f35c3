//! What is to be done about what happened.

use std::sync::Arc;

use super::{CgroupKey, CgroupPath, CgroupStats, EventDraft, Identity, OomKill};

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

/// What the threads that read last values of containers are asked.
#[derive(Debug, PartialEq, Eq)]
pub enum LastRequest {
    /// It runs: open its files, so that they need not be opened when there is no time.
    Open(CgroupPath, Vec<CgroupKey>),
    /// Its last process has ended: read, and answer.
    Read(CgroupPath, Vec<CgroupKey>, ExitNumber),
    Forget(CgroupPath),
}

/// The last values of a container.
#[derive(Debug)]
pub struct LastValues {
    pub path: CgroupPath,
    /// Which of its exits.
    pub exit: ExitNumber,
    /// `None` when its directory was gone.
    pub stats: Option<Box<CgroupStats>>,
}

/// What the thread that follows the cgroups' own counts of kills is asked.
#[derive(Debug, PartialEq, Eq)]
pub enum CountRequest {
    /// The cgroup was made after the agent began.
    Watch(CgroupPath, CgroupKey),
    /// The cgroup is gone.
    Forget(CgroupPath),
    /// These exist, and no others. `is_new`: those that are not followed yet were made after the agent began.
    WatchAll { cgroups: Vec<(CgroupPath, CgroupKey)>, is_new: bool },
    /// Something happened that may not have woken the thread.
    LookSoon,
}

/// Something that is to be done, in this order.
#[derive(Debug, PartialEq)]
pub enum Deed {
    /// Append an event. What is known of its names and of memory before it is added then.
    Report(Box<EventDraft>),
    /// Walk the tree as soon as that is allowed.
    WalkSoon,
    /// Look into `/proc` for the process and cgroup of a kill, at once.
    LookUp(Box<OomKill>),
    /// Ask the runtimes what this container is called.
    WantNames(Arc<Identity>),
    /// Ask the threads that read last values.
    Last(LastRequest),
    /// Ask the thread that follows the cgroups' own counts.
    Count(CountRequest),
    /// Everything that the kernel has counted is in the log of events now.
    Checkpoint(Checkpoint),
    /// The kernel counted this many kills that no source reports.
    GiveUp(u64),
}
