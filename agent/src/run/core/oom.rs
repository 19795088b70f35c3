//! OOM kills: from a rung's record to the event, with whose cgroup it was, and whose limit.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::Core;
use crate::events::EventDraft;
use crate::files;
use crate::identity::identify;
use crate::kernel::{Batch, OomRing};
use crate::kills::cross_check::CrossCheck;
use crate::kills::totals::Owner;
use crate::model::{
    CgroupPath, CgroupRef, Constraint, Decision, EventKind, LifecycleEvent, LifecycleKind, LimitOwner,
    OomKill, OomReport, OwnerKind, Role, Source,
};
use crate::parse::LogKill;
use crate::registry::Registry;
use crate::restart::saved::Settled;
use crate::sources::counts::CountedKills;
use crate::sources::kernel_log::{LogBatch, LogFeed, kill_of};
use crate::sources::look_up::Looked;

impl Core {
    pub(super) fn on_kills(&mut self, batch: io::Result<Batch<OomKill>>) {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, "the OOM ring cannot be read any more; OOM kills are not reported");
                self.oom = None;
                return;
            }
        };
        self.check_batch(batch.missing, &batch.broken);
        // The victim's cgroup may have been made a moment ago: its record is in the other ring.
        let changes = self.drain_lifecycle();
        self.tell(changes);
        for kill in batch.events {
            self.on_kill(kill);
        }
    }

    /// Applies all kills that the ring has had until now.
    pub(super) fn drain_kills(&mut self) {
        if let Some(batch) = self.oom.as_mut().map(OomRing::drain) {
            self.on_kills(Ok(batch));
        }
    }

    pub(super) fn on_counted(&mut self, kills: io::Result<Vec<OomKill>>) {
        match kills {
            Ok(kills) => kills.into_iter().for_each(|kill| self.on_kill(kill)),
            Err(error) => {
                tracing::error!(%error, "the counts of OOM kills cannot be followed any more");
                self.counted = None;
            }
        }
    }

    pub(super) fn on_log(&mut self, batch: io::Result<LogBatch>) {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, "the kernel log cannot be read any more");
                self.log = None;
                // What it had not told yet, it does not.
                return self.recover(false);
            }
        };
        let is_source = self.state.facts.oom_source == Some(Source::Kmsg);
        if is_source && batch.overruns > 0 {
            self.lost(batch.overruns, Source::Kmsg);
        }
        for line in batch.kills {
            if line.is_old {
                self.recovery.line(line);
            } else {
                self.on_line(line, is_source);
            }
        }
        if batch.caught_up {
            let is_whole = self.log.as_ref().is_some_and(LogFeed::is_whole);
            self.recover(is_whole);
        }
    }

    pub(super) fn on_line(&mut self, line: LogKill, is_source: bool) {
        if is_source {
            self.on_kill(kill_of(line));
        } else if let Some(kill) = self.fill_in.line(line) {
            self.settle(kill);
        }
    }

    /// The kernel log had nothing to say of these.
    pub(super) fn on_patience_end(&mut self) {
        for kill in self.fill_in.due() {
            self.settle(kill);
        }
    }

    fn on_kill(&mut self, kill: OomKill) {
        if self.kills.is_repeat(&kill) {
            return;
        }
        self.recovery.note_own(&kill);
        // From here on it is not missing, however long it waits for what else there is to know.
        self.state.cross_check(CrossCheck::report);
        let known = kill.path.is_some()
            || kill.cgroup.is_some_and(|key| self.state.registry().path_of_key(key).is_some());
        if known || kill.victim.pid.is_none() || !self.kills.may_look_up() {
            self.fill_in(kill);
        } else {
            // At once: the process dies meanwhile.
            self.kills.look_up(kill);
        }
    }

    pub(super) fn on_looked_up(&mut self, looked: Looked) {
        // Whoever had its process id from the kernel was looked at before.
        if looked.found_tgid && self.kills.is_repeat(&looked.kill) {
            self.state.cross_check(CrossCheck::take_back);
            return;
        }
        let Looked { mut kill, path, .. } = looked;
        kill.path = kill.path.or(path);
        self.fill_in(kill);
    }

    fn fill_in(&mut self, kill: OomKill) {
        let waits = self.log.is_some() && kill.source != Source::Kmsg;
        if let Some(kill) = if waits { self.fill_in.kill(kill) } else { Some(kill) } {
            self.settle(kill);
        }
    }

    /// Everything is known of it that the kernel tells; now whose cgroup it was.
    pub(super) fn settle(&self, mut kill: OomKill) {
        let mut registry = self.state.registry();
        let by_key = kill.cgroup.and_then(|key| registry.oom_kill(key));
        let (path, identity) = match by_key {
            Some((path, identity)) => (Some(path), Some(identity)),
            None => {
                let path = kill.path.take();
                let identity = path.as_ref().and_then(|path| registry.oom_kill_at(path));
                let memory = self.kills.memory_hierarchy();
                kill.cgroup = kill.cgroup.or_else(|| registry.key_of(path.as_ref()?, memory));
                // A cgroup that no walk has found yet is still whose its path says.
                let identity = identity.or_else(|| Some(Arc::new(identify(path.as_ref()?))));
                (path, identity)
            }
        };
        let decision = named(kill.decision, &registry);
        drop(registry);
        let key = kill.cgroup;
        let memory = self.snapshots.last_memory();
        let last_sample = memory.and_then(|memory| memory.before(kill.time, path.as_ref()?));
        let report = OomReport { victim: kill.victim, decision, last_sample };
        let names = identity.as_deref().map(|identity| self.state.names.of_event(identity));
        let names = names.unwrap_or_default();
        let owner = Owner::of(identity.as_deref(), &names, &report);
        let owner = self.state.totals().count(owner);
        owner.show(1, &self.state.telemetry);
        self.state.telemetry.oom_kills_reported.inc();
        self.state.events.append(EventDraft {
            time: kill.time,
            source: kill.source,
            cgroup: path.map(|path| CgroupRef { path, key, path_cut: false }),
            identity,
            names,
            kind: EventKind::OomKill(Box::new(report)),
        });
    }

    /// The counts of all cgroups that a walk found. `is_new`: what is not counted yet was made after the agent began.
    pub(super) fn count_known(&mut self, is_new: bool) {
        let Some(counted) = &mut self.counted else { return };
        let memory = self.kills.memory_hierarchy();
        let registry = self.state.registry();
        counted.retain(|path, key| registry.key_of(path, memory) == Some(key));
        for (path, cgroup) in registry.cgroups() {
            if let Some(key) = cgroup.members.iter().find(|key| key.hierarchy == memory) {
                counted.add(path, *key, is_new);
            }
        }
    }

    /// The counts follow the directories of the memory hierarchy.
    pub(super) fn count_changed(&mut self, event: &LifecycleEvent) {
        let Some(counted) = &mut self.counted else { return };
        if event.key.hierarchy != self.kills.memory_hierarchy() {
            return;
        }
        let Some(path) = self.state.registry().path_of_key(event.key) else { return };
        match event.kind {
            LifecycleKind::Created => counted.add(&path, event.key, true),
            LifecycleKind::Removed => counted.remove(&path),
            // A renamed one is counted under its old name until a walk; its kills are its key's.
            LifecycleKind::Renamed | LifecycleKind::Populated(_) => {}
        }
    }

    /// The kernel's own count against what was reported.
    pub(super) fn cross_check(&mut self) {
        let Ok(Some(kernel)) = files::oom_kills(&self.host) else { return };
        let repeats = self.fill_in.take_repeats();
        let (mut missing, mut differs) = (0, false);
        self.state.cross_check(|check| {
            check.repeat(repeats);
            missing = check.compare(kernel, Instant::now());
            differs = check.differs();
        });
        if missing > 0 {
            self.settle_missing(missing);
        } else if !differs && self.accounts_for_all() {
            self.note_settled(kernel);
        }
        if let Some(counted) = self.counted.as_mut().filter(|_| differs) {
            counted.look_soon();
        }
    }

    /// Whether nothing is on its way to the log, and nothing of it on its way from the kernel log.
    fn accounts_for_all(&self) -> bool {
        let has_read = |log: &LogFeed| log.last_sequence().is_some() && self.fill_in.has_all_lines();
        self.log.as_ref().is_none_or(has_read) && self.fill_in.is_idle() && self.kills.is_idle()
    }

    /// The log accounts for all that the kernel has counted.
    fn note_settled(&mut self, kernel_kills: u64) {
        let log_sequence = self.log.as_ref().and_then(LogFeed::last_sequence);
        let seq = self.state.events.last_seq();
        self.saver.settle(Settled { kernel_kills, seq, log_sequence });
    }

    /// The kernel counted kills that the rung did not tell of; the log may have.
    fn settle_missing(&mut self, missing: u64) {
        let (found, repeats) = self.fill_in.unclaimed(missing);
        let lost = missing.saturating_sub(found.len() as u64 + repeats);
        self.state.cross_check(|check| check.settle(found.len() as u64, lost));
        for line in found {
            self.settle(kill_of(line));
        }
        self.state.telemetry.oom_kills_unreported.inc_by(lost);
        if lost > 0 {
            tracing::warn!(kills = lost, "the kernel counted OOM kills that no rung told of");
        }
    }
}

/// With the paths of the cgroups that a rung knows by their ids, and what the owner of the limit is.
fn named(mut decision: Decision, registry: &Registry) -> Decision {
    if let Some(trigger) = &mut decision.trigger {
        trigger.path = trigger.path.take().or_else(|| registry.path_of_key(trigger.cgroup?));
    }
    if decision.constraint == Some(Constraint::None) {
        decision
            .owner
            .get_or_insert_with(|| LimitOwner { kind: Some(OwnerKind::Node), ..LimitOwner::default() });
    }
    if let Some(owner) = &mut decision.owner {
        owner.path = owner.path.take().or_else(|| registry.path_of_key(owner.key?));
        owner.kind = owner.kind.or_else(|| owner.path.as_ref().map(kind_of));
    }
    decision
}

fn kind_of(path: &CgroupPath) -> OwnerKind {
    match identify(path).role {
        Role::Root => OwnerKind::Node,
        Role::Container | Role::InsideContainer => OwnerKind::Container,
        Role::Pod => OwnerKind::Pod,
        Role::Qos => OwnerKind::Qos,
        _ => OwnerKind::Slice,
    }
}

pub(super) async fn next_kills(ring: &mut Option<OomRing>) -> io::Result<Batch<OomKill>> {
    match ring {
        Some(ring) => ring.next().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn next_counted(counted: &mut Option<CountedKills>) -> io::Result<Vec<OomKill>> {
    match counted {
        Some(counted) => counted.next().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn next_log(log: &mut Option<LogFeed>) -> io::Result<LogBatch> {
    match log {
        Some(log) => log.next().await,
        None => std::future::pending().await,
    }
}
