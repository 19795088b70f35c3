//! The event path: each fact that a source reports goes into the story, and the story's deeds are carried out in order.
//!
//! It runs on a thread of its own and opens no file. Sources that open files have threads of their own, walks and look-ups run
//! on threads that may block. No lock that is taken here is ever held across I/O.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::state::State;
use crate::kernel::{Batch, Guard, OomRing};
use crate::kills::Turn;
use crate::kills::totals::Owner;
use crate::last_values::{Final, Finals, Request};
use crate::model::{
    CLOSE_WITHIN, CgroupEvents, CgroupPath, Deed, EventDraft, EventKind, ExitNumber, Hook, Identity,
    LogBatch, OomKill, Source,
};
use crate::names;
use crate::registry::{FinishedWalk, KnownCgroup};
use crate::restart::saved::SavedCgroups;
use crate::restart::saver::Saver;
use crate::serve::{Latch, Shutdown};
use crate::snapshot::Snapshots;
use crate::sources::cgroups::{CgroupBatch, CgroupSource, broken};
use crate::sources::counts::{CountRequest, CountSource};
use crate::sources::kernel_log::LogSource;
use crate::sources::look_up::{LookUps, memory_hierarchy};
use crate::sources::until;
use crate::sources::walks::{Look, Walks};
use crate::story::{Fact, Story};

/// How long an event waits for a disk that does not answer.
const DISK_PATIENCE: Duration = Duration::from_millis(250);
/// How often drops are looked for, the state is saved, and tombstones expire.
const TICK: Duration = Duration::from_millis(500);

/// The story, its sources, and what carries its deeds out.
pub(super) struct Follow {
    pub(super) state: Arc<State>,
    pub(super) story: Story,
    pub(super) cgroups: Option<CgroupSource>,
    pub(super) kills: Option<OomRing>,
    /// The cgroups' own counts of kills, where no BPF serves.
    pub(super) counts: Option<CountSource>,
    /// The kernel log and the kernel's count.
    pub(super) log: Option<LogSource>,
    pub(super) finals: Finals,
    pub(super) walks: Walks,
    pub(super) look_ups: LookUps,
    pub(super) tombstone: Duration,
    pub(super) walk_source_interval: Duration,
    pub(super) saver: Saver,
    /// The node as it was read last.
    pub(super) snapshots: Snapshots,
    /// Keeps the programs attached.
    pub(super) _guard: Guard,
}

impl Follow {
    /// Walks once, then follows the sources until shutdown.
    pub(super) async fn run(mut self, first_walk: Latch, mut shutdown: Shutdown) {
        tokio::select! {
            () = shutdown.wait() => return self.end(false).await,
            () = self.first_walk() => {}
        }
        let took = self.state.began.elapsed();
        // Only this thread sets it, once.
        let _ = self.state.telemetry.ready_after.set(took);
        first_walk.open();
        tracing::info!(ready_after_msec = took.as_millis(), cgroups = self.state.registry().len(), "ready");
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let (walk_due, story_due) = (self.walks.next_due(), self.story.next_due());
            tokio::select! {
                () = shutdown.wait() => return self.end(true).await,
                batch = or_never(self.kills.as_mut().map(OomRing::next)) => self.on_kills(batch).await,
                batch = or_never(self.cgroups.as_mut().map(CgroupSource::next)) => self.on_cgroups(batch),
                kills = or_never(self.counts.as_mut().map(CountSource::next)) => self.on_counts(kills),
                batch = or_never(self.log.as_mut().map(LogSource::next)) => self.on_log(batch).await,
                found = self.finals.next() => self.on_last_values(found),
                looked = self.look_ups.next() => self.take(Fact::LookedUp(Box::new(looked))),
                finished = self.walks.finished() => self.on_walk(finished).await,
                () = until(story_due) => self.on_time(),
                () = until(walk_due) => {}
                _ = tick.tick() => self.on_tick().await,
            }
            self.walks
                .start_if_due(Some(Source::Walk), Look::default(), || self.state.registry().begin_walk());
        }
    }

    fn take(&mut self, fact: Fact) {
        let mut registry = self.state.registry();
        let (now, wall) = (Instant::now(), SystemTime::now());
        let mut turn = Turn { registry: &mut registry, now, wall, deeds: Vec::new() };
        self.story.take(fact, &mut turn);
        let deeds = turn.deeds;
        drop(registry);
        deeds.into_iter().for_each(|deed| self.carry_out(deed));
    }

    fn carry_out(&mut self, deed: Deed) {
        let telemetry = &self.state.telemetry;
        match deed {
            Deed::Tell(draft) => self.tell(*draft),
            Deed::WalkSoon => self.walks.want(),
            Deed::LookUp(kill) => self.look_ups.start(*kill),
            Deed::WantNames(identity) => names::want(&self.state.names, &identity),
            Deed::OpenLast(path, members) => self.finals.ask(Request::Opens(path, members)),
            Deed::ReadLast(path, members, exit) => self.finals.ask(Request::Exited(path, members, exit.0)),
            Deed::ForgetLast(path) => self.finals.ask(Request::Gone(path)),
            Deed::WatchCount(path, key) => self.ask_counts(CountRequest::Watch(path, key)),
            Deed::ForgetCount(path) => self.ask_counts(CountRequest::Forget(path)),
            Deed::WatchAllCounts { is_new } => self.watch_all_counts(is_new),
            Deed::CountSoon => self.ask_counts(CountRequest::LookSoon),
            Deed::Checkpoint(checkpoint) => self.saver.checkpoint(checkpoint),
            Deed::GiveUp(kills) => {
                telemetry.oom_kills_unreported.inc_by(kills);
                tracing::warn!(kills, "the kernel counted OOM kills that no source reported");
            }
            Deed::NoteWalk(duration) => {
                telemetry.walks.inc();
                telemetry.walk_duration_seconds.set(duration.as_secs_f64());
            }
        }
    }

    /// Completes an event and appends it: with the names that are known by now, and the memory from before a kill.
    fn tell(&self, mut draft: EventDraft) {
        let State { names, telemetry, events, .. } = &*self.state;
        let identity: Option<&Identity> = draft.identity.as_deref();
        draft.names = identity.map(|identity| names.of_event(identity)).unwrap_or_default();
        match &mut draft.kind {
            EventKind::OomKill(report) => {
                let path = draft.cgroup.as_ref().map(|cgroup| &cgroup.path);
                let memory = self.snapshots.last_memory();
                report.last_sample = memory.and_then(|memory| memory.before(draft.time, path?));
                let owner = self.state.totals().count(Owner::of(identity, &draft.names, report));
                owner.show(1, telemetry);
                telemetry.oom_kills_reported.inc();
            }
            EventKind::KernelLost { records } => telemetry.lost_records.inc_by(*records),
            _ => {}
        }
        events.append(draft);
    }

    fn ask_counts(&mut self, request: CountRequest) {
        if self.counts.as_ref().is_some_and(|counts| !counts.ask(request)) {
            // It has more to do than it can: a walk compares all.
            self.walks.want();
        }
    }

    fn watch_all_counts(&mut self, is_new: bool) {
        let memory = memory_hierarchy(&self.state.facts.hierarchies);
        let registry = self.state.registry();
        let of_memory = registry.cgroups().filter_map(|(path, cgroup)| {
            let key = cgroup.members.iter().find(|key| key.hierarchy == memory)?;
            Some((path.clone(), *key))
        });
        let cgroups = of_memory.collect();
        drop(registry);
        self.ask_counts(CountRequest::WatchAll { cgroups, is_new });
    }

    /// The rings keep what happens meanwhile.
    async fn first_walk(&mut self) {
        let knows_all = self.story.knows_all();
        let tell = knows_all.then_some(Source::Recovered);
        let finished = loop {
            let look = Look { populated: true, kills: !knows_all || self.story.missing_kills() > 0 };
            self.walks.start_if_due(tell, look, || self.state.registry().begin_walk());
            if let Some(finished) = self.walks.finished().await {
                break finished;
            }
            until(self.walks.next_due()).await;
        };
        let events = self.drain_cgroups().await;
        self.take(Fact::FirstWalk(events, finished));
        if let Some(counts) = &mut self.counts {
            // From here on each kill counts, so the counts from before must have been read.
            let kills = counts.drain().await;
            self.on_counts(kills.map(|kills| kills.concat()));
        }
    }

    async fn on_walk(&mut self, finished: Option<FinishedWalk>) {
        let Some(finished) = finished else { return };
        for events in self.drain_cgroups().await {
            self.take(Fact::Cgroups(events));
        }
        self.take(Fact::Walk(finished));
        self.cgroups.as_ref().map(CgroupSource::watch_missing);
    }

    fn on_cgroups(&mut self, batch: io::Result<CgroupBatch>) {
        match batch {
            Ok(batch) => {
                let events = self.note(batch);
                self.take(Fact::Cgroups(events));
            }
            Err(error) => self.cgroups_ended(&error),
        }
    }

    fn cgroups_ended(&mut self, error: &io::Error) {
        tracing::error!(%error, "cgroup events cannot be read any more; walking instead");
        self.cgroups = None;
        self.walks.set_interval(self.walk_source_interval);
        self.walks.want();
    }

    /// The cgroup events of before this call.
    async fn drain_cgroups(&mut self) -> Vec<CgroupEvents> {
        let Some(cgroups) = &mut self.cgroups else { return Vec::new() };
        let drained = cgroups.drain().await;
        self.drained(drained)
    }

    fn drained(&mut self, drained: io::Result<Vec<CgroupBatch>>) -> Vec<CgroupEvents> {
        match drained {
            Ok(batches) => batches.into_iter().map(|batch| self.note(batch)).collect(),
            Err(error) => {
                self.cgroups_ended(&error);
                Vec::new()
            }
        }
    }

    /// What went wrong on the way is a fact of its own.
    fn note(&mut self, batch: CgroupBatch) -> CgroupEvents {
        let CgroupBatch { events, missing, broken, is_partial } = batch;
        self.note_losses(missing, broken, Some(self.state.facts.lifecycle_source));
        if is_partial {
            self.walks.set_interval(self.walk_source_interval);
        }
        events
    }

    fn note_losses(&mut self, missing: u64, broken: u64, source: Option<Source>) {
        if missing > 0 {
            self.check_drops();
        }
        if broken > 0 {
            self.take(Fact::Lost { records: broken, source: source.unwrap_or(Source::Agent) });
        }
    }

    /// The programs count what they dropped. A ring that is not read fills up, and its drops say nothing.
    fn check_drops(&mut self) {
        let is_read =
            |hook| if hook == Hook::MarkVictim { self.kills.is_some() } else { self.cgroups.is_some() };
        let dropped = Hook::ALL.map(|hook| self.state.dropped_of(hook).filter(|_| is_read(hook)));
        self.take(Fact::Dropped(dropped));
    }

    async fn on_kills(&mut self, batch: io::Result<Batch<OomKill>>) {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, "the OOM ring cannot be read any more; OOM kills are not reported");
                self.kills = None;
                return;
            }
        };
        self.note_losses(batch.missing, broken(&batch.broken), self.state.facts.oom_source);
        // The victim's cgroup may have been made a moment ago: its record is in the other ring.
        for events in self.drain_cgroups().await {
            self.take(Fact::Cgroups(events));
        }
        self.take(Fact::Kills(batch.events));
    }

    /// The kills that the ring has had until now.
    async fn drain_kills(&mut self) {
        if let Some(batch) = self.kills.as_mut().map(OomRing::drain) {
            self.on_kills(Ok(batch)).await;
        }
    }

    fn on_counts(&mut self, kills: io::Result<Vec<OomKill>>) {
        match kills {
            Ok(kills) => self.take(Fact::Kills(kills)),
            Err(error) => {
                tracing::error!(%error, "the counts of OOM kills cannot be followed any more");
                self.counts = None;
            }
        }
    }

    async fn on_log(&mut self, batch: io::Result<LogBatch>) {
        let batch = batch.unwrap_or_else(|error| {
            tracing::error!(%error, "the kernel log and the kernel's count of OOM kills cannot be read any more");
            self.log = None;
            LogBatch { log_ended: true, ..LogBatch::default() }
        });
        if batch.caught_up.is_some() || batch.log_ended {
            self.drain_kills().await;
        }
        self.take(Fact::Log(batch));
    }

    fn on_last_values(&mut self, found: Final) {
        let outcome = if found.stats.is_some() { "read" } else { "missed" };
        self.state.telemetry.final_samples.with_label_values(&[outcome]).inc();
        let Final { path, exit, stats } = found;
        self.take(Fact::LastValues { path, exit: ExitNumber(exit), stats });
    }

    fn on_time(&mut self) {
        // This thread may have been late, and not the values.
        while let Some(found) = self.finals.ready() {
            self.on_last_values(found);
        }
        self.take(Fact::Time);
    }

    async fn on_tick(&mut self) {
        self.check_drops();
        self.state.events.serve_overdue(DISK_PATIENCE);
        self.saver.told_drops(self.story.reported_drops());
        self.saver.check().await;
        let cgroups = self.saver.wants_cgroups().then(|| self.cgroups_to_save());
        self.saver.save(cgroups);
        if let Some(until) = SystemTime::now().checked_sub(self.tombstone) {
            self.state.registry().expire(until);
        }
    }

    /// What has happened is reported, and what the next agent must know is saved.
    async fn end(mut self, is_ready: bool) {
        // First: whatever takes long after this, the next start is no start after a crash.
        self.saver.note_end().await;
        if is_ready {
            self.drain_kills().await;
            if let Some(cgroups) = &mut self.cgroups {
                let last = cgroups.finish().await;
                for events in self.drained(last) {
                    self.take(Fact::Cgroups(events));
                }
            }
            self.take(Fact::End);
        }
        self.saver.told_drops(self.story.reported_drops());
        // Before the first walk the registry does not have what exists.
        let cgroups = is_ready.then(|| self.cgroups_to_save());
        let events = self.state.events.clone();
        let closed = tokio::task::spawn_blocking(move || events.close(CLOSE_WITHIN));
        if let Err(error) = closed.await {
            tracing::error!(%error, "the event log was not closed");
        }
        self.saver.finish(cgroups).await;
    }

    /// As the log of events has it: for its readers, an exit that is held back has not happened.
    fn cgroups_to_save(&self) -> SavedCgroups {
        let mut known: BTreeMap<CgroupPath, KnownCgroup> =
            self.state.registry().known().map(|known| (known.path.clone(), known)).collect();
        for cgroup in self.story.unreported_exits() {
            let gone = || KnownCgroup {
                path: cgroup.path.clone(),
                path_cut: false,
                members: cgroup.key.into_iter().collect(),
                running: None,
                oom_kills: 0,
                kills_before: 0,
            };
            known.entry(cgroup.path.clone()).or_insert_with(gone).running = Some(true);
        }
        SavedCgroups {
            seq: self.state.events.last_seq(),
            cgroups: known.into_values().map(Into::into).collect(),
            kills: self.state.totals().clone(),
        }
    }
}

/// Waits for a source; for ever where there is none.
async fn or_never<T>(next: Option<impl Future<Output = T>>) -> T {
    match next {
        Some(next) => next.await,
        None => pending().await,
    }
}
