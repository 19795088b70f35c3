//! The state of the agent, for `/status` and `cgtap check`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{CgroupMode, Hierarchy, NamesStatus, Source, named};

named! {
    /// A hook of the kernel that the agent wants.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Hook {
        /// `cgroup:cgroup_mkdir`.
        CgroupMkdir = "cgroup_mkdir",
        /// `cgroup:cgroup_rmdir`.
        CgroupRmdir = "cgroup_rmdir",
        /// `cgroup:cgroup_rename`.
        CgroupRename = "cgroup_rename",
        /// `cgroup:cgroup_notify_populated`.
        CgroupNotifyPopulated = "cgroup_notify_populated",
        /// `oom:mark_victim`.
        MarkVictim = "mark_victim",
        /// The entry of the function `oom_kill_process`, no tracepoint.
        OomKillProcess = "oom_kill_process",
        /// `sched:sched_process_exit`: the early sign that a cgroup will be empty.
        SchedProcessExit = "sched_process_exit",
    }
}

impl Hook {
    /// Whether it is a tracepoint; the other is the entry of a function.
    pub fn is_tracepoint(self) -> bool {
        self != Self::OomKillProcess
    }

    /// The tracepoint's group, or `function`.
    pub fn group(self) -> &'static str {
        match self {
            Self::MarkVictim => "oom",
            Self::OomKillProcess => "function",
            Self::SchedProcessExit => "sched",
            _ => "cgroup",
        }
    }
}

/// Whether a hook serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookStatus {
    pub hook: Hook,
    /// The form that is attached; `None` when none is.
    pub rung: Option<Source>,
    /// Why better forms are not, one line each.
    pub refused: Vec<String>,
    /// What its program counted.
    pub counters: HookCounters,
}

impl HookStatus {
    /// The form in which one of the hooks is attached.
    pub fn rung(hooks: &[Self], hook: Hook) -> Option<Source> {
        hooks.iter().find(|status| status.hook == hook).and_then(|status| status.rung)
    }
}

/// What a BPF program counted since it was attached, all CPUs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookCounters {
    /// Times it ran.
    pub seen: u64,
    /// Records that it put in the ring.
    pub submitted: u64,
    /// Records for which the ring had no room.
    pub dropped: u64,
}

named! {
    /// One of the two things that rungs are for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Ladder {
        /// Cgroups made and removed.
        Lifecycle = "lifecycle",
        /// OOM kills.
        Oom = "oom",
    }
}

/// Whether a rung serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferState {
    Serves,
    /// It could, and another does.
    Offered,
    /// It cannot, or is not wanted: why.
    Refused(String),
}

/// A rung of a ladder on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub ladder: Ladder,
    pub source: Source,
    pub state: OfferState,
}

/// OOM kills since the agent began, as the kernel's own count (`oom_kill` of `/proc/vmstat`) judges them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OomKillCounts {
    /// Reported as events.
    pub reported: u64,
    /// Counted by the kernel and reported by no rung.
    pub unreported: u64,
}

/// The state of the event log on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskHealth {
    /// Why records are not written now.
    pub failing: Option<String>,
    /// The newest record that was written; 0 before the first.
    pub written_seq: u64,
    /// The oldest record on disk, by its segment's name.
    pub first_seq: Option<u64>,
    pub segments: u64,
    pub bytes: u64,
    /// Failures to write, sync or open.
    pub errors: u64,
    /// Records that left the memory before the disk took them.
    pub unsaved: u64,
    /// Records that were served before the disk had them, as it failed or was too slow.
    pub served_early: u64,
    /// Bytes of a record that a crash had cut, taken away at the start.
    pub cut_bytes: u64,
    /// Whole lines at the end of the log that were not what had been written, found at the start.
    pub damaged: u64,
}

/// Whether a sink delivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SinkState {
    /// The last delivery succeeded, or there was none yet.
    #[default]
    Delivering,
    /// The last delivery failed for this reason and is tried again.
    Failing(String),
    /// Nothing more is sent until the agent starts again, for this reason.
    Stopped(String),
}

/// A way of events out of the node, and how far it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkStatus {
    pub name: String,
    pub state: SinkState,
    /// Events that were delivered since the agent began.
    pub sent: u64,
    /// Deliveries that failed and were tried again.
    pub retried: u64,
    /// Events that left the log before they could be delivered, wanted or not, or that could not be encoded.
    pub dropped: u64,
    /// Events that the target refused for good, which are not sent again.
    pub refused: u64,
    /// The place in the log up to which each event is delivered or refused.
    pub seq: u64,
    /// Failures to save that place.
    pub cursor_errors: u64,
}

/// What was found when the agent started. It does not change.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// `CARGO_PKG_VERSION`.
    pub version: &'static str,
    /// When the agent started.
    pub started: SystemTime,
    /// `uname -r`.
    pub kernel_release: String,
    /// The boot's id; empty where it is not known.
    pub boot_id: Arc<str>,
    /// What the host mounts.
    pub cgroup_mode: CgroupMode,
    pub hierarchies: Arc<[Hierarchy]>,
    /// Each hook and its rung, with counters of zero.
    pub hooks: Vec<HookStatus>,
    /// Whether the kernel's BTF could be read.
    pub btf: bool,
    /// The rung that serves lifecycle events.
    pub lifecycle_source: Source,
    /// The rung that serves OOM kills, if any.
    pub oom_source: Option<Source>,
    /// Every rung of both ladders, best first.
    pub offers: Vec<Offer>,
    /// Why the directories of cgroups are not watched, where that was tried.
    pub tree_refused: Option<String>,
    /// Why each rung for OOM kills without BPF that was tried does not serve.
    pub oom_refused: Vec<String>,
    /// Whether the kernel counts OOM kills.
    pub kernel_counts_kills: bool,
}

impl HostFacts {
    /// The same, since the sources of these ladders have ended: cgroups are found by walks, OOM kills are not reported.
    pub fn without(&self, ended: &[Ladder]) -> Self {
        let mut facts = self.clone();
        let is_ended = |ladder| ended.contains(&ladder);
        facts.oom_source = facts.oom_source.filter(|_| !is_ended(Ladder::Oom));
        if is_ended(Ladder::Lifecycle) {
            facts.lifecycle_source = Source::Walk;
        }
        for offer in facts.offers.iter_mut().filter(|offer| is_ended(offer.ladder)) {
            if offer.source == Source::Walk {
                offer.state = OfferState::Serves;
            } else if offer.state == OfferState::Serves {
                offer.state = OfferState::Refused("it ended while the agent ran".to_owned());
            }
        }
        facts
    }
}

#[cfg(test)]
impl HostFacts {
    pub(crate) fn fixture() -> Self {
        Self {
            version: "1.2.3",
            started: SystemTime::UNIX_EPOCH,
            kernel_release: "6.1".into(),
            boot_id: "b".into(),
            cgroup_mode: CgroupMode::V2,
            hierarchies: Arc::new([]),
            hooks: Vec::new(),
            btf: false,
            lifecycle_source: Source::Walk,
            oom_source: None,
            offers: Vec::new(),
            tree_refused: None,
            oom_refused: Vec::new(),
            kernel_counts_kills: false,
        }
    }
}

/// The agent's state at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// What does not change.
    pub facts: Arc<HostFacts>,
    /// From start to ready; `None` before.
    pub ready_after: Option<Duration>,
    pub hooks: Vec<HookStatus>,
    /// OOM kills reported and not; `None` where the kernel does not count them.
    pub oom_kills: Option<OomKillCounts>,
    /// Cgroups that exist, by path.
    pub cgroups: u64,
    /// Those that are containers.
    pub containers: u64,
    /// Removed cgroups whose last values are kept.
    pub tombstones: u64,
    /// Walks of the tree since start.
    pub walks: u64,
    /// Kernel records lost since start, by counters and gaps in sequence numbers.
    pub lost_records: u64,
    /// The newest event's number; 0 before the first.
    pub last_seq: u64,
    /// The oldest event still in memory.
    pub first_seq: u64,
    /// The log on disk; `None` where there is none.
    pub event_disk: Option<DiskHealth>,
    /// Other ways of events out of the node.
    pub sinks: Vec<SinkStatus>,
    /// Clients that follow `/events` now.
    pub followers: u64,
    /// How many containers have names, and where these come from.
    pub names: NamesStatus,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_does_not_serve() {
        let offer = |ladder, source, state| Offer { ladder, source, state };
        let facts = HostFacts {
            lifecycle_source: Source::TpBtf,
            oom_source: Some(Source::Kmsg),
            offers: vec![
                offer(Ladder::Lifecycle, Source::TpBtf, OfferState::Serves),
                offer(Ladder::Lifecycle, Source::Walk, OfferState::Offered),
                offer(Ladder::Oom, Source::Kmsg, OfferState::Serves),
            ],
            ..HostFacts::fixture()
        };
        let serving = |facts: &HostFacts| -> Vec<Source> {
            let serves = facts.offers.iter().filter(|offer| offer.state == OfferState::Serves);
            serves.map(|offer| offer.source).collect()
        };
        let left = facts.without(&[Ladder::Lifecycle]);
        assert_eq!((left.lifecycle_source, left.oom_source), (Source::Walk, Some(Source::Kmsg)));
        assert_eq!(serving(&left), [Source::Walk, Source::Kmsg]);
        let left = facts.without(&[Ladder::Oom]);
        assert_eq!((left.lifecycle_source, left.oom_source), (Source::TpBtf, None));
        assert_eq!(serving(&left), [Source::TpBtf]);
    }
}
