//! What happened on this node, told in order: facts come in, deeds go out.
//!
//! Pure: no I/O, no thread, no lock, and the time is an argument. The order of the facts is the caller's duty: each [`Fact`]
//! says what must come before it.

mod exits;
mod fact;
mod losses;

use std::sync::Arc;
use std::time::Instant;

pub(crate) use fact::Fact;

use crate::kills::{self, Kills, Turn};
use crate::model::{
    CgroupEvents, CgroupPath, CgroupRef, CgroupStats, Deed, EventDraft, EventKind, EventNames, ExitNumber,
    ExitSample, HierarchyId, Hook, LifecycleEvent, LifecycleKind, Source, StartReason,
};
use crate::registry::{Change, ChangeKind, FinishedWalk, KnownCgroup, Registry};
use exits::HeldExits;
use losses::Losses;

/// What the story begins with.
pub(crate) struct Start {
    pub(crate) kills: kills::Start,
    /// Why this agent begins, where that is known.
    pub(crate) reason: Option<StartReason>,
    /// Whether the registry has all that the previous agent knew, so that the first walk reports what has changed since.
    pub(crate) knows_all: bool,
    /// Cgroups that the previous agent knew in another boot.
    pub(crate) gone: Vec<KnownCgroup>,
    /// Drops that the previous agent has reported; its programs are still attached.
    pub(crate) reported_drops: [u64; Hook::ALL.len()],
    /// The rungs that serve the ring of cgroup events and the ring of kills.
    pub(crate) rungs: [Option<Source>; 2],
    /// Whether the cgroups' own counts are the source of kills.
    pub(crate) counts_are_source: bool,
}

/// See the module.
pub(crate) struct Story {
    kills: Kills,
    exits: HeldExits,
    losses: Losses,
    reason: Option<StartReason>,
    knows_all: bool,
    gone: Vec<KnownCgroup>,
    /// The hierarchy whose cgroups' own counts are the source of kills.
    counted: Option<HierarchyId>,
    log_is_source: bool,
}

impl Story {
    pub(crate) fn new(start: Start) -> Self {
        Self {
            counted: start.counts_are_source.then_some(start.kills.memory),
            log_is_source: start.kills.log_is_source,
            kills: Kills::new(start.kills),
            exits: HeldExits::default(),
            losses: Losses::new(start.rungs, start.reported_drops),
            reason: start.reason,
            knows_all: start.knows_all,
            gone: start.gone,
        }
    }

    /// Takes a fact; the turn has what is to be done, in this order.
    pub(crate) fn take(&mut self, fact: Fact, turn: &mut Turn<'_>) {
        match fact {
            Fact::FirstWalk(events, walk) => self.first_walk(&events, walk, turn),
            Fact::Walk(walk) => {
                let changes = turn.registry.apply_walk(walk.mark, &walk.walked);
                turn.deeds.push(Deed::NoteWalk(walk.duration));
                self.watch_all_counts(true, turn);
                self.tell(changes, turn);
            }
            Fact::Cgroups(events) => {
                let changes = self.apply(&events, turn);
                self.tell(changes, turn);
            }
            Fact::LastValues { path, exit, stats } => self.last_values(&path, exit, stats, turn),
            Fact::Dropped(dropped) => {
                for (records, source) in self.losses.fresh(&dropped) {
                    lost(records, source, turn);
                }
            }
            Fact::Lost { records, source } => lost(records, source, turn),
            Fact::Kills(kills) => kills.into_iter().for_each(|kill| self.kills.kill(kill, turn)),
            Fact::LookedUp(looked) => self.kills.looked_up(*looked, turn),
            Fact::Log(batch) => {
                if self.log_is_source {
                    lost(batch.overruns, Source::Kmsg, turn);
                }
                self.kills.log(batch, turn);
            }
            Fact::Time => {
                for (path, exit) in self.exits.due(turn.now) {
                    self.release(&path, exit, None, turn);
                }
                self.kills.due(turn);
            }
            Fact::End => {
                self.kills.release(turn);
                turn.deeds.extend(self.exits.release_all().into_iter().map(|change| told(change, None)));
            }
        }
    }

    /// When [`Fact::Time`] is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.exits.next_due().into_iter().chain(self.kills.next_due()).min()
    }

    /// Containers whose exit is not reported yet, though the registry knows of it.
    pub(crate) fn unreported_exits(&self) -> impl Iterator<Item = &CgroupRef> {
        self.exits.unreported()
    }

    pub(crate) fn reported_drops(&self) -> &[u64; Hook::ALL.len()] {
        self.losses.reported()
    }

    /// Kills that happened while no agent ran and are not reported yet.
    pub(crate) fn missing_kills(&self) -> u64 {
        self.kills.missing()
    }

    /// Whether the previous agent knew all cgroups.
    pub(crate) fn knows_all(&self) -> bool {
        self.knows_all
    }

    /// The first walk is silent, as what it finds was there before. After an agent that knew what was there, it reports what
    /// has changed since.
    fn first_walk(&mut self, events: &[CgroupEvents], walk: FinishedWalk, turn: &mut Turn<'_>) {
        let FinishedWalk { mark, walked, duration, kills } = walk;
        turn.deeds.push(Deed::NoteWalk(duration));
        let mut changes: Vec<Change> = events.iter().flat_map(|events| self.apply(events, turn)).collect();
        changes.extend(turn.registry.apply_walk(mark, &walked));
        if !self.knows_all {
            turn.registry.kills_before(&kills);
        }
        let (reason, cgroups) = (self.reason, turn.registry.len());
        let kind = EventKind::AgentStarted { version: env!("CARGO_PKG_VERSION"), reason, cgroups };
        own_event(kind, Source::Agent, turn);
        self.watch_all_counts(false, turn);
        let mut all = KnownCgroup::all_gone(std::mem::take(&mut self.gone), walked.time);
        all.extend(changes);
        self.tell(all, turn);
        self.kills.first_walk(kills);
    }

    fn apply(&self, events: &CgroupEvents, turn: &mut Turn<'_>) -> Vec<Change> {
        // An overflow does not say how many events it dropped: at least one.
        lost(events.overflows + events.unseen, Source::Inotify, turn);
        let mut changes = Vec::new();
        for event in &events.events {
            changes.extend(turn.registry.apply(event));
            if self.counted == Some(event.key.hierarchy) {
                turn.deeds.extend(count(event, turn.registry));
            }
        }
        if turn.registry.take_needs_walk() {
            turn.deeds.push(Deed::WalkSoon);
        }
        changes
    }

    fn watch_all_counts(&self, is_new: bool, turn: &mut Turn<'_>) {
        if self.counted.is_some() {
            turn.deeds.push(Deed::WatchAllCounts { is_new });
        }
    }

    fn tell(&mut self, changes: Vec<Change>, turn: &mut Turn<'_>) {
        for change in changes {
            let is_news =
                matches!(change.kind, ChangeKind::ContainerStarted | ChangeKind::CgroupCreated { .. });
            if is_news && change.identity.is_container() {
                turn.deeds.push(Deed::WantNames(change.identity.clone()));
            }
            let members = turn.registry.members(&change.cgroup.path);
            if let Some(change) = self.exits.route(change, members, turn.now, &mut turn.deeds) {
                turn.deeds.push(told(change, None));
            }
        }
    }

    /// A container's last values are here, or will not be.
    fn last_values(
        &mut self,
        path: &CgroupPath,
        exit: ExitNumber,
        stats: Option<Box<CgroupStats>>,
        turn: &mut Turn<'_>,
    ) {
        let sample = stats.map(|stats| {
            let stats: Arc<CgroupStats> = stats.into();
            let oom_kills = turn.registry.keep_last(path, stats.clone());
            Box::new(ExitSample::of(&stats, oom_kills))
        });
        self.release(path, exit, sample, turn);
    }

    /// The first of what was held is the exit.
    fn release(
        &mut self,
        path: &CgroupPath,
        exit: ExitNumber,
        mut sample: Option<Box<ExitSample>>,
        turn: &mut Turn<'_>,
    ) {
        let released = self.exits.release(path, exit).into_iter();
        turn.deeds.extend(released.map(|change| told(change, sample.take())));
    }
}

/// The counts follow the directories of the memory hierarchy.
fn count(event: &LifecycleEvent, registry: &Registry) -> Option<Deed> {
    let path = registry.path_of_key(event.key)?;
    match event.kind {
        LifecycleKind::Created => Some(Deed::WatchCount(path, event.key)),
        LifecycleKind::Removed => Some(Deed::ForgetCount(path)),
        // A renamed one is counted under its old name until a walk; its kills are its key's.
        LifecycleKind::Renamed | LifecycleKind::Populated(_) => None,
    }
}

/// Records were lost between the kernel and the agent, if any: that is an event, and a walk finds what they were about.
fn lost(records: u64, source: Source, turn: &mut Turn<'_>) {
    if records > 0 {
        own_event(EventKind::KernelLost { records }, source, turn);
        turn.deeds.push(Deed::WalkSoon);
    }
}

fn own_event(kind: EventKind, source: Source, turn: &mut Turn<'_>) {
    let names = EventNames::default();
    let draft = EventDraft { time: turn.wall, source, cgroup: None, identity: None, names, kind };
    turn.deeds.push(Deed::Tell(Box::new(draft)));
}

fn told(change: Change, sample: Option<Box<ExitSample>>) -> Deed {
    let kind = match change.kind {
        ChangeKind::ContainerExited => EventKind::ContainerExited { last_sample: sample },
        kind => kind.into(),
    };
    Deed::Tell(Box::new(EventDraft {
        time: change.time,
        source: change.source,
        cgroup: Some(change.cgroup),
        identity: Some(change.identity),
        names: EventNames::default(),
        kind,
    }))
}

#[cfg(test)]
mod tests;
