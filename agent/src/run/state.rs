//! What the core task and the endpoints share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::events::EventLog;
use crate::identity::Names;
use crate::kernel::CounterReader;
use crate::kills::cross_check::CrossCheck;
use crate::kills::totals::KillTotals;
use crate::model::{
    CgroupMode, Hierarchy, Hook, HookCounters, HookStatus, OomKillCounts, Source, StartReason, Status,
};
use crate::registry::Registry;
use crate::sinks::Sinks;
use crate::sources::offers;

/// Last values of containers that were read, and that came too late.
#[derive(Debug, Default)]
pub(super) struct FinalCounts {
    pub(super) read: AtomicU64,
    pub(super) missed: AtomicU64,
}

impl FinalCounts {
    pub(super) fn count(&self, was_read: bool) {
        let counter = if was_read { &self.read } else { &self.missed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Facts of this run and what changes during it.
pub(super) struct State {
    pub(super) registry: Arc<Mutex<Registry>>,
    pub(super) events: EventLog,
    /// What containers are called.
    pub(super) names: Arc<Names>,
    /// Other ways of events out of the node.
    pub(super) sinks: OnceLock<Sinks>,
    /// Why this agent began, where that is known.
    pub(super) reason: Option<StartReason>,
    /// OOM kills by whose they were, for as long as the state directory lives.
    pub(super) totals: Mutex<KillTotals>,
    pub(super) boot_id: Arc<str>,
    pub(super) kernel_release: String,
    pub(super) mode: CgroupMode,
    pub(super) hierarchies: Arc<[Hierarchy]>,
    pub(super) btf: bool,
    /// Whether BPF programs can read the paths of cgroups.
    pub(super) programs_read_paths: bool,
    pub(super) hooks: Vec<HookStatus>,
    pub(super) counters: Option<CounterReader>,
    pub(super) started: SystemTime,
    pub(super) began: Instant,
    pub(super) ready_after: OnceLock<Duration>,
    pub(super) walks: AtomicU64,
    pub(super) walk_usec: AtomicU64,
    pub(super) lost_records: AtomicU64,
    /// What tells of OOM kills where BPF does not.
    pub(super) oom_fallback: Option<Source>,
    /// The rungs of OOM kills that need no BPF, and why one cannot be had.
    pub(super) oom_without_bpf: Vec<(Source, Result<(), String>)>,
    /// Why each of them that was tried does not serve.
    pub(super) oom_refused: Vec<String>,
    /// Whether the directories are watched, where BPF does not serve.
    pub(super) watches_tree: bool,
    /// Why they are not.
    pub(super) tree_refused: Option<String>,
    /// Last values of containers.
    pub(super) finals: FinalCounts,
    /// Kills that the kernel counted against those reported; `None` where it does not count them.
    pub(super) cross: Option<Mutex<CrossCheck>>,
    pub(super) alive: AtomicBool,
}

impl State {
    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One hook's counters now; zeros when nothing counts.
    pub(super) fn counters_of(&self, hook: Hook) -> HookCounters {
        let read = self.counters.as_ref().map(|counters| counters.read(hook));
        read.and_then(Result::ok).unwrap_or_default()
    }

    /// Asks or tells the cross-check of OOM kills, where there is one.
    pub(super) fn cross_check(&self, with: impl FnOnce(&mut CrossCheck)) {
        if let Some(cross) = &self.cross {
            with(&mut cross.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    pub(super) fn totals(&self) -> MutexGuard<'_, KillTotals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills reported and not reported.
    pub(super) fn oom_kills(&self) -> Option<OomKillCounts> {
        let check = self.cross.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(OomKillCounts { reported: check.reported(), unreported: check.unreported() })
    }

    /// Wall time of the last walk.
    pub(super) fn last_walk(&self) -> Duration {
        Duration::from_micros(self.walk_usec.load(Ordering::Relaxed))
    }

    /// The form that serves a hook.
    pub(super) fn rung(&self, hook: Hook) -> Option<Source> {
        self.hooks.iter().find(|status| status.hook == hook).and_then(|status| status.rung)
    }

    /// The rung that serves cgroups made and removed; the weaker form when the two differ.
    pub(super) fn lifecycle_source(&self) -> Source {
        match (self.rung(Hook::CgroupMkdir), self.rung(Hook::CgroupRmdir)) {
            (Some(Source::TpBtf), Some(Source::TpBtf)) => Source::TpBtf,
            (Some(_), Some(_)) => Source::Tracepoint,
            _ if self.watches_tree => Source::Inotify,
            _ => Source::Walk,
        }
    }

    /// The rung that serves OOM kills.
    pub(super) fn oom_source(&self) -> Option<Source> {
        match self.rung(Hook::MarkVictim) {
            Some(marks) => Some(self.rung(Hook::OomKillProcess).unwrap_or(marks)),
            None => self.oom_fallback,
        }
    }

    /// Everything that `/status` shows.
    pub(super) fn status(&self) -> Status {
        let (cgroups, containers, tombstones) = {
            let registry = self.registry();
            (registry.len(), registry.containers(), registry.tombstones().count() as u64)
        };
        let hooks = self
            .hooks
            .iter()
            .map(|status| HookStatus { counters: self.counters_of(status.hook), ..status.clone() });
        Status {
            version: env!("CARGO_PKG_VERSION"),
            started: self.started,
            ready_after: self.ready_after.get().copied(),
            kernel_release: self.kernel_release.clone(),
            boot_id: self.boot_id.to_string(),
            cgroup_mode: self.mode,
            hierarchies: self.hierarchies.iter().map(|one| (one.id.0, one.controllers.clone())).collect(),
            hooks: hooks.collect(),
            btf: self.btf,
            lifecycle_source: self.lifecycle_source(),
            oom_source: self.oom_source(),
            cgroups,
            containers,
            tombstones,
            walks: self.walks.load(Ordering::Relaxed),
            lost_records: self.lost_records.load(Ordering::Relaxed),
            oom_kills: self.oom_kills(),
            offers: offers::offers(
                &self.hooks,
                (self.lifecycle_source(), self.tree_refused.as_deref()),
                self.oom_source(),
                &self.oom_without_bpf,
            ),
            last_seq: self.events.last_seq(),
            first_seq: self.events.first_seq(),
            event_disk: self.events.disk(),
            sinks: self.sinks.get().map(Sinks::status).unwrap_or_default(),
            followers: self.events.followers(),
            names: self.names.status(),
        }
    }
}
