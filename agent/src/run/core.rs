//! The core task: kernel records in, registry and event log out.
//!
//! It opens no file (but see [`super::lifecycle`]). Walks and look-ups run on threads that may block, and come back as
//! messages.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::fill_in::FillIn;
use super::state::State;
use crate::events::EventDraft;
use crate::files::HostRoot;
use crate::kernel::{Guard, OomRing};
use crate::kills::recovery::Recovery;
use crate::last_values::{Final, Finals};
use crate::model::{CLOSE_WITHIN, CgroupPath, CgroupStats, EventKind, EventNames, ExitSample, Hook, Source};
use crate::names;
use crate::registry::{Change, ChangeKind, KnownCgroup};
use crate::restart::saved::SavedCgroups;
use crate::restart::saver::Saver;
use crate::serve::{Latch, Shutdown};
use crate::snapshot::Snapshots;
use crate::sources::counts::CountedKills;
use crate::sources::kernel_log::LogFeed;
use crate::sources::look_up::Kills;
use crate::sources::ring::{Heard, LifecycleFeed};
use crate::sources::until;
use crate::sources::walks::{Finished, Look, Walks};

mod losses;
mod oom;
mod recover;

/// How long an event waits for a disk that does not answer.
const DISK_PATIENCE: Duration = Duration::from_millis(250);

/// How often counters are looked at and tombstones expire.
const TICK: Duration = Duration::from_millis(500);

/// Everything that the core task owns.
pub(super) struct Core {
    pub(super) state: Arc<State>,
    pub(super) lifecycle: Option<LifecycleFeed>,
    pub(super) oom: Option<OomRing>,
    /// OOM kills by the cgroups' own counts, where no BPF serves.
    pub(super) counted: Option<CountedKills>,
    /// The kernel log: a source of its own, or what others do not know.
    pub(super) log: Option<LogFeed>,
    pub(super) fill_in: FillIn,
    /// Exits that wait for their last values.
    pub(super) finals: Finals,
    pub(super) host: HostRoot,
    pub(super) walks: Walks,
    pub(super) kills: Kills,
    pub(super) tombstone: Duration,
    pub(super) walk_source_interval: Duration,
    pub(super) saver: Saver,
    /// Kills of the time when no agent ran, until the log has told of them.
    pub(super) recovery: Recovery,
    /// The kernel's counts of OOM kills at the first walk, where they were wanted.
    pub(super) kill_counts: HashMap<CgroupPath, u64>,
    /// The node as it was read last.
    pub(super) snapshots: Snapshots,
    /// Whether there was an agent before this one, whose knowledge the first walk meets.
    pub(super) has_history: bool,
    /// Cgroups that it knew, where the machine has started anew since.
    pub(super) gone: Vec<KnownCgroup>,
    /// Drops that were already told, per hook.
    pub(super) told_drops: [u64; Hook::ALL.len()],
    /// Keeps the programs attached.
    pub(super) _guard: Guard,
}

impl Core {
    /// Walks once, then follows the kernel until shutdown.
    pub(super) async fn run(mut self, first_walk: Latch, mut shutdown: Shutdown) {
        tokio::select! {
            () = shutdown.wait() => return self.end(false).await,
            () = self.first_walk() => {}
        }
        let took = self.state.began.elapsed();
        // Only this task sets it, once.
        let _ = self.state.telemetry.ready_after.set(took);
        first_walk.open();
        tracing::info!(ready_after_msec = took.as_millis(), cgroups = self.state.registry().len(), "ready");
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let (walk_due, patience_end) = (self.walks.next_due(), self.fill_in.next_due());
            let finals_due = self.finals.next_due();
            tokio::select! {
                () = shutdown.wait() => return self.end(true).await,
                batch = oom::next_kills(&mut self.oom) => self.on_kills(batch),
                batch = next_lifecycle(&mut self.lifecycle) => self.on_lifecycle(batch),
                kills = oom::next_counted(&mut self.counted) => self.on_counted(kills),
                batch = oom::next_log(&mut self.log) => self.on_log(batch),
                found = self.finals.next() => self.on_final(found),
                () = until(finals_due) => self.on_finals_due(),
                () = until(patience_end) => self.on_patience_end(),
                looked = self.kills.looked_up() => self.on_looked_up(looked),
                finished = self.walks.finished() => self.on_walk(finished),
                () = until(walk_due) => {}
                _ = tick.tick() => self.on_tick().await,
            }
            self.start_walk();
        }
    }

    /// The first walk is silent, as what it finds was there before; after an agent that knew what was there, it tells what
    /// has changed since. The rings keep what happens meanwhile.
    async fn first_walk(&mut self) {
        let tell = self.has_history.then_some(Source::Recovered);
        let finished = loop {
            let look = Look { populated: true, kills: !self.has_history || self.recovery.is_wanted() };
            self.walks.start_if_due(tell, look, || self.state.registry().begin_walk());
            if let Some(finished) = self.walks.finished().await {
                break finished;
            }
            until(self.walks.next_due()).await;
        };
        self.note_walk(finished.duration);
        let mut changes = self.drain_lifecycle();
        changes.extend(self.state.registry().apply_walk(finished.mark, &finished.walked));
        self.kill_counts = finished.kills;
        if !self.has_history {
            self.state.registry().kills_before(&self.kill_counts);
        }
        let cgroups = self.state.registry().len();
        let reason = self.state.facts.reason;
        let kind = EventKind::AgentStarted { version: env!("CARGO_PKG_VERSION"), reason, cgroups };
        self.append_own(SystemTime::now(), kind);
        self.count_known(false);
        let mut all = KnownCgroup::all_gone(std::mem::take(&mut self.gone), finished.walked.time);
        all.extend(changes);
        self.tell(all);
        if self.log.is_none() {
            self.recover(false);
        }
    }

    fn start_walk(&mut self) {
        self.walks.start_if_due(Some(Source::Walk), Look::default(), || self.state.registry().begin_walk());
    }

    /// Told to end: what has happened is told, and what the next agent must know is saved.
    async fn end(mut self, is_ready: bool) {
        if is_ready {
            self.drain_kills();
            let changes = self.drain_lifecycle();
            self.tell(changes);
            for kill in self.fill_in.release_all() {
                self.settle(kill);
            }
            for change in self.finals.release_all() {
                self.append_change(change, None);
            }
        }
        self.saver.told_drops(&self.told_drops);
        // Before the first walk the registry does not have what is there.
        let cgroups = is_ready.then(|| self.cgroups_to_save());
        self.saver.note_end().await;
        let events = self.state.events.clone();
        let closed = tokio::task::spawn_blocking(move || events.close(CLOSE_WITHIN));
        if let Err(error) = closed.await {
            tracing::error!(%error, "the event log was not closed");
        }
        self.saver.finish(cgroups).await;
    }

    /// As the log tells it: an exit that is held back has not happened for its readers.
    fn cgroups_to_save(&self) -> SavedCgroups {
        let mut known: BTreeMap<CgroupPath, KnownCgroup> =
            self.state.registry().known().map(|known| (known.path.clone(), known)).collect();
        for cgroup in self.finals.untold() {
            let members = cgroup.key.into_iter().collect();
            let gone = || KnownCgroup {
                path: cgroup.path.clone(),
                path_cut: false,
                members,
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

    fn on_walk(&mut self, finished: Option<Finished>) {
        let Some(finished) = finished else { return };
        self.note_walk(finished.duration);
        // The registry's rule: what the ring holds first, then the walk.
        let mut changes = self.drain_lifecycle();
        changes.extend(self.state.registry().apply_walk(finished.mark, &finished.walked));
        self.count_known(true);
        changes.extend(self.watch_missing());
        self.tell(changes);
    }

    /// What a walk found and is not watched, and what was made since.
    fn watch_missing(&mut self) -> Vec<Change> {
        let Some(LifecycleFeed::Tree(tree)) = &mut self.lifecycle else { return Vec::new() };
        let heard = tree.watch_missing();
        if tree.is_partial() {
            self.walks.set_interval(self.walk_source_interval);
        }
        self.apply(&heard)
    }

    fn note_walk(&self, duration: Duration) {
        self.state.telemetry.walks.inc();
        self.state.telemetry.walk_duration_seconds.set(duration.as_secs_f64());
    }

    fn on_lifecycle(&mut self, heard: std::io::Result<Heard>) {
        match heard {
            Ok(heard) => {
                let changes = self.apply(&heard);
                self.tell(changes);
            }
            Err(error) => {
                tracing::error!(%error, "cgroup events cannot be read any more; walking instead");
                self.lifecycle = None;
                self.walks.set_interval(self.walk_source_interval);
            }
        }
    }

    /// Applies all that was told before this call. What is told meanwhile is left for the next: a flood would keep this task
    /// here for as long as it lasts, with nothing of it told.
    fn drain_lifecycle(&mut self) -> Vec<Change> {
        let heard = self.lifecycle.as_mut().map(LifecycleFeed::drain);
        heard.map_or_else(Vec::new, |heard| self.apply(&heard))
    }

    fn apply(&mut self, heard: &Heard) -> Vec<Change> {
        let Heard { batch, overflows, unseen } = heard;
        self.check_batch(batch.missing, &batch.broken);
        if overflows + unseen > 0 {
            // How many an overflow has dropped is not told: at least one.
            self.lost(overflows + unseen, Source::Inotify);
        }
        let mut registry = self.state.registry();
        let changes = batch.events.iter().flat_map(|event| registry.apply(event)).collect();
        if registry.take_needs_walk() {
            self.walks.want();
        }
        drop(registry);
        if self.counted.is_some() {
            batch.events.iter().for_each(|event| self.count_changed(event));
        }
        changes
    }

    async fn on_tick(&mut self) {
        self.check_drops();
        self.cross_check();
        self.state.events.serve_overdue(DISK_PATIENCE);
        self.saver.told_drops(&self.told_drops);
        self.saver.check().await;
        let cgroups = self.saver.wants_cgroups().then(|| self.cgroups_to_save());
        self.saver.save(cgroups);
        if let Some(until) = SystemTime::now().checked_sub(self.tombstone) {
            self.state.registry().expire(until);
        }
    }

    fn append_own(&self, time: SystemTime, kind: EventKind) {
        let draft = EventDraft {
            time,
            source: Source::Agent,
            cgroup: None,
            identity: None,
            names: EventNames::default(),
            kind,
        };
        self.state.events.append(draft);
    }

    fn tell(&mut self, changes: Vec<Change>) {
        for change in changes {
            names::want_changed(&self.state.names, &change);
            let members = |path: &CgroupPath| self.state.registry().members(path);
            if let Some(change) = self.finals.route(change, members) {
                self.append_change(change, None);
            }
        }
    }

    /// A container's last values are here, or will not be.
    fn on_final(&mut self, found: Final) {
        let sample = found.stats.map(|stats| {
            let stats: Arc<CgroupStats> = stats.into();
            let oom_kills = self.state.registry().keep_last(&found.path, stats.clone());
            Box::new(ExitSample::of(&stats, oom_kills))
        });
        let outcome = if sample.is_some() { "read" } else { "missed" };
        self.state.telemetry.final_samples.with_label_values(&[outcome]).inc();
        self.release(&found.path, found.number, sample);
    }

    fn on_finals_due(&mut self) {
        // This task may have been late, and not the values.
        while let Some(found) = self.finals.ready() {
            self.on_final(found);
        }
        for (path, number) in self.finals.due() {
            self.release(&path, number, None);
        }
    }

    /// The first of what was held is the exit.
    fn release(&mut self, path: &CgroupPath, number: u64, mut sample: Option<Box<ExitSample>>) {
        for change in self.finals.release(path, number) {
            self.append_change(change, sample.take());
        }
    }

    fn append_change(&self, change: Change, sample: Option<Box<ExitSample>>) {
        let kind = match change.kind {
            ChangeKind::ContainerExited => EventKind::ContainerExited { last_sample: sample },
            kind => kind.into(),
        };
        self.state.events.append(EventDraft {
            time: change.time,
            source: change.source,
            cgroup: Some(change.cgroup),
            names: self.state.names.of_event(&change.identity),
            identity: Some(change.identity),
            kind,
        });
    }
}

async fn next_lifecycle(feed: &mut Option<LifecycleFeed>) -> std::io::Result<Heard> {
    match feed {
        Some(feed) => feed.next().await,
        None => std::future::pending().await,
    }
}
