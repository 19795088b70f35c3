//! The event path: each fact that a source reports goes into the story, and the story's deeds are carried out in order.
//!
//! It runs on a thread of its own and opens no file. Sources that open files have threads of their own, walks and look-ups run
//! on threads that may block. No lock that is taken here is ever held across I/O.

use std::future::{Future, pending};
use std::io;
use std::time::{Duration, Instant, SystemTime};

use crate::kernel::{Batch, Guard, OomRing};
use crate::kills::Turn;
use crate::kills::totals::{KillTotals, Owner};
use crate::last_values::Finals;
use crate::model::{
    CLOSE_WITHIN, CgroupEvents, CountRequest, Deed, EventDraft, EventKind, Hook, Identity, Ladder, LogBatch,
    OomKill, Source,
};
use crate::names;
use crate::registry::FinishedWalk;
use crate::restart::saved::SavedCgroups;
use crate::restart::saver::Saver;
use crate::serve::{Latch, Shutdown};
use crate::snapshot::AgentView;
use crate::sources::cgroups::{CgroupBatch, CgroupSource, broken};
use crate::sources::counts::CountSource;
use crate::sources::kernel_log::LogSource;
use crate::sources::look_up::LookUps;
use crate::sources::until;
use crate::sources::walks::{Look, Walks};
use crate::story::{Fact, Story};

/// How long an event waits for a disk that does not answer.
const DISK_PATIENCE: Duration = Duration::from_millis(250);
/// How often drops are looked for, the state is saved, and tombstones expire.
const TICK: Duration = Duration::from_millis(500);

/// The story, its sources, and what carries its deeds out.
pub(super) struct EventPath {
    pub(super) agent: AgentView,
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
    /// OOM kills by their owners, for as long as the state directory lives.
    pub(super) totals: KillTotals,
    pub(super) saver: Saver,
    pub(super) tombstone: Duration,
    pub(super) walk_source_interval: Duration,
    /// Keeps the programs attached.
    pub(super) _guard: Guard,
}

impl EventPath {
    /// Walks once, then follows the sources until shutdown. `began`: when the agent did.
    pub(super) async fn run(mut self, began: Instant, first_walk: Latch, mut shutdown: Shutdown) {
        tokio::select! {
            () = shutdown.wait() => return self.end(false).await,
            () = self.first_walk() => {}
        }
        let took = began.elapsed();
        // Only this thread sets it, once.
        let _ = self.agent.telemetry.ready_after.set(took);
        first_walk.open();
        tracing::info!(
            ready_after_msec = took.as_millis(),
            cgroups = self.agent.registry.lock().len(),
            "ready"
        );
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
                found = self.finals.next() => self.take(Fact::LastValues(found)),
                looked = self.look_ups.next() => self.take(Fact::LookedUp(Box::new(looked))),
                finished = self.walks.finished() => self.on_walk(finished).await,
                () = until(story_due) => {
                    // This thread may have been late, and not the values.
                    self.take_last_values();
                    self.take(Fact::Time);
                }
                () = until(walk_due) => {}
                _ = tick.tick() => self.on_tick().await,
            }
            self.walks.start_if_due(Some(Source::Walk), Look::default(), || {
                self.agent.registry.lock().begin_walk()
            });
        }
    }

    fn take(&mut self, fact: Fact) {
        let mut registry = self.agent.registry.lock();
        let (now, wall) = (Instant::now(), SystemTime::now());
        let mut turn = Turn { registry: &mut registry, now, wall, deeds: Vec::new() };
        self.story.take(fact, &mut turn);
        let deeds = turn.deeds;
        drop(registry);
        deeds.into_iter().for_each(|deed| self.carry_out(deed));
    }

    fn carry_out(&mut self, deed: Deed) {
        let telemetry = &self.agent.telemetry;
        match deed {
            Deed::Report(draft) => self.append(*draft),
            Deed::WalkSoon => self.walks.want(),
            Deed::LookUp(kill) => self.look_ups.start(*kill),
            Deed::WantNames(identity) => names::want(&self.agent.names, &identity),
            Deed::Last(request) => self.finals.ask(request),
            Deed::Count(request) => self.ask_counts(request),
            Deed::Checkpoint(checkpoint) => self.saver.checkpoint(checkpoint),
            Deed::GiveUp(kills) => {
                telemetry.oom_kills_unreported.inc_by(kills);
                tracing::warn!(kills, "the kernel counted OOM kills that no source reported");
            }
        }
    }

    /// Completes an event and appends it: with the names that are known by now, and the memory from before a kill.
    fn append(&mut self, mut draft: EventDraft) {
        let AgentView { names, telemetry, events, .. } = &self.agent;
        let identity: Option<&Identity> = draft.identity.as_deref();
        draft.names = identity.map(|identity| names.of_event(identity)).unwrap_or_default();
        match &mut draft.kind {
            EventKind::OomKill(report) => {
                let path = draft.cgroup.as_ref().map(|cgroup| &cgroup.path);
                let memory = self.agent.memory.lock().clone();
                report.last_sample = memory.and_then(|memory| memory.before(draft.time, path?));
                let owner = self.totals.count(Owner::of(identity, &draft.names, report));
                owner.show(1, telemetry);
                telemetry.oom_kills_reported.inc();
            }
            EventKind::KernelLost { records } => telemetry.lost_records.inc_by(records.unwrap_or_default()),
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

    fn note_walk(&self, walk: &FinishedWalk) {
        self.agent.telemetry.walks.inc();
        self.agent.telemetry.walk_duration_seconds.set(walk.duration.as_secs_f64());
    }

    /// Walks and reports nothing, for a look at the host.
    pub(super) async fn look_once(&mut self) {
        self.walks.start_if_due(None, Look::default(), || self.agent.registry.lock().begin_walk());
        if let Some(finished) = self.walks.finished().await {
            self.agent.registry.lock().apply_walk(finished.mark, &finished.walked);
            self.note_walk(&finished);
        }
    }

    /// The rings keep what happens meanwhile.
    async fn first_walk(&mut self) {
        let (knows_all, missing) = (self.story.knows_all(), self.story.missing_kills());
        if missing > 0 {
            tracing::info!(kills = missing, "the kernel killed processes for memory while no agent ran");
        }
        let source = knows_all.then_some(Source::Recovered);
        let finished = loop {
            let look = Look { populated: true, kills: !knows_all || missing > 0 };
            self.walks.start_if_due(source, look, || self.agent.registry.lock().begin_walk());
            if let Some(finished) = self.walks.finished().await {
                break finished;
            }
            until(self.walks.next_due()).await;
        };
        self.note_walk(&finished);
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
        self.note_walk(&finished);
        self.take_cgroups().await;
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
        self.ladder_ended(Ladder::Lifecycle);
    }

    /// A source ended: what it had not reported is lost, at least one record, and `/status` shows that it serves no more.
    fn ladder_ended(&mut self, ladder: Ladder) {
        let facts = &self.agent.facts;
        let source = match ladder {
            Ladder::Lifecycle => Some(facts.lifecycle_source),
            Ladder::Oom => facts.oom_source,
        };
        self.agent.telemetry.ended.lock().push(ladder);
        self.take(Fact::Lost { records: 1, source: source.unwrap_or(Source::Agent) });
    }

    async fn take_cgroups(&mut self) {
        for events in self.drain_cgroups().await {
            self.take(Fact::Cgroups(events));
        }
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
        self.note_losses(missing, broken, Some(self.agent.facts.lifecycle_source));
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

    /// The programs count what they dropped. A ring that is not read fills up, and its drops are no losses.
    fn check_drops(&mut self) {
        let is_read =
            |hook| if hook == Hook::MarkVictim { self.kills.is_some() } else { self.cgroups.is_some() };
        let dropped = |hook| Some(self.agent.counters_of(hook).filter(|_| is_read(hook))?.dropped);
        let dropped = Hook::ALL.map(dropped);
        self.take(Fact::Dropped(dropped));
    }

    async fn on_kills(&mut self, batch: io::Result<Batch<OomKill>>) {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, "the OOM ring cannot be read any more; OOM kills are not reported");
                self.kills = None;
                return self.ladder_ended(Ladder::Oom);
            }
        };
        // The victim's cgroup may have been made a moment ago: its record is in the other ring.
        self.take_cgroups().await;
        self.take_kills(batch);
    }

    fn take_kills(&mut self, batch: Batch<OomKill>) {
        self.note_losses(batch.missing, broken(&batch.broken), self.agent.facts.oom_source);
        self.take(Fact::Kills(batch.events));
    }

    /// The kills that the ring has had until now, and the cgroup events from before.
    async fn drain_kills(&mut self) {
        match self.kills.as_mut().map(OomRing::drain) {
            Some(batch) => self.on_kills(Ok(batch)).await,
            None => self.take_cgroups().await,
        }
    }

    fn on_counts(&mut self, kills: io::Result<Vec<OomKill>>) {
        match kills {
            Ok(kills) => self.take(Fact::Kills(kills)),
            Err(error) => {
                tracing::error!(%error, "the counts of OOM kills cannot be followed any more");
                self.counts = None;
                self.ladder_ended(Ladder::Oom);
            }
        }
    }

    async fn on_log(&mut self, batch: io::Result<LogBatch>) {
        let batch = batch.unwrap_or_else(|error| {
            tracing::error!(%error, "the kernel log and the kernel's count of OOM kills cannot be read any more");
            self.log = None;
            LogBatch { log_ended: true, ..LogBatch::default() }
        });
        if batch.caught_up.is_some() || batch.log_ended || !batch.kills.is_empty() {
            self.drain_kills().await;
        }
        let log_ended = batch.log_ended;
        self.take(Fact::Log(batch));
        if log_ended && self.agent.facts.oom_source == Some(Source::Kmsg) {
            self.ladder_ended(Ladder::Oom);
        }
    }

    fn take_last_values(&mut self) {
        while let Some(found) = self.finals.ready() {
            self.take(Fact::LastValues(found));
        }
    }

    async fn on_tick(&mut self) {
        self.check_drops();
        self.agent.events.serve_overdue(DISK_PATIENCE);
        let cgroups = self.saver.wants_cgroups().await.then(|| self.cgroups_to_save());
        self.saver.save(self.story.reported_drops(), cgroups);
        if let Some(until) = SystemTime::now().checked_sub(self.tombstone) {
            self.agent.registry.lock().expire(until);
        }
    }

    /// Reports what has happened, and saves what the next agent must know.
    async fn end(mut self, is_ready: bool) {
        // First: however long the rest takes, the next start is no start after a crash.
        self.saver.note_end().await;
        if is_ready {
            let kills = self.kills.as_mut().map(OomRing::drain);
            if let Some(cgroups) = &mut self.cgroups {
                let last = cgroups.finish().await;
                for events in self.drained(last) {
                    self.take(Fact::Cgroups(events));
                }
            }
            kills.into_iter().for_each(|kills| self.take_kills(kills));
            for looked in self.look_ups.finish().await {
                self.take(Fact::LookedUp(Box::new(looked)));
            }
            self.take_last_values();
            self.take(Fact::End);
        }
        // Before the first walk the registry does not have what exists.
        let cgroups = is_ready.then(|| self.cgroups_to_save());
        let events = self.agent.events.clone();
        let closed = tokio::task::spawn_blocking(move || events.close(CLOSE_WITHIN));
        if let Err(error) = closed.await {
            tracing::error!(%error, "the event log was not closed");
        }
        self.saver.finish(self.story.reported_drops(), cgroups).await;
    }

    fn cgroups_to_save(&self) -> SavedCgroups {
        let (seq, registry) = (self.agent.events.last_seq(), self.agent.registry.lock());
        SavedCgroups::new(seq, registry.known(), self.story.unreported_exits(), self.totals.clone())
    }
}

/// Waits for a source; for ever where there is none.
async fn or_never<T>(next: Option<impl Future<Output = T>>) -> T {
    match next {
        Some(next) => next.await,
        None => pending().await,
    }
}
