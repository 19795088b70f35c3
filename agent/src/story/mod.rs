//! What happened on this node, in order: facts come in, deeds go out.
//!
//! Pure: no I/O, no thread, no lock, and the time is an argument. The caller keeps the order of the facts: each [`Fact`] has
//! what must come before it.

mod exits;
mod fact;
mod losses;
mod past;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

pub(crate) use fact::Fact;
pub(crate) use past::Past;

use crate::kills::{Kills, KillsAtStart, Turn};
use crate::model::{
    CgroupEvents, CgroupPath, CgroupRef, CgroupStats, CountRequest, Deed, EventDraft, EventKind, EventNames,
    ExitNumber, ExitSample, HierarchyId, Hook, HookStatus, HostFacts, LastValues, LifecycleEvent,
    LifecycleKind, Source, StartReason, memory_hierarchy,
};
use crate::registry::{Change, ChangeKind, FinishedWalk, KnownCgroup, Registry};
use exits::HeldExits;
use losses::Losses;

/// See the module.
pub(crate) struct Story {
    kills: Kills,
    exits: HeldExits,
    losses: Losses,
    reason: Option<StartReason>,
    knows_all: bool,
    is_incomplete: bool,
    gone: Vec<KnownCgroup>,
    /// The hierarchy whose cgroups' own counts are the source of kills.
    counted: Option<HierarchyId>,
    log_is_source: bool,
}

impl Story {
    /// `counted` is the kernel's count after the sources were opened, and when it was read; `is_adopted`: the programs are those of
    /// the previous agent.
    pub(crate) fn new(
        past: Past,
        facts: &HostFacts,
        counted: Option<(u64, SystemTime)>,
        is_adopted: bool,
        reads_log: bool,
    ) -> Self {
        let memory = memory_hierarchy(&facts.hierarchies);
        let log_is_source = facts.oom_source == Some(Source::Kmsg);
        let ledger = past.ledger.unwrap_or_default();
        let kills =
            Kills::new(KillsAtStart { ledger, counted, is_adopted, reads_log, log_is_source, memory });
        let rungs = [Hook::CgroupMkdir, Hook::MarkVictim].map(|hook| HookStatus::rung(&facts.hooks, hook));
        let reported_drops = if is_adopted { past.reported_drops } else { Default::default() };
        let has_counts = matches!(facts.oom_source, Some(Source::MemoryEvents | Source::OomControl));
        Self {
            counted: has_counts.then_some(memory),
            log_is_source,
            kills,
            exits: HeldExits::default(),
            losses: Losses::new(rungs, reported_drops),
            reason: past.reason,
            knows_all: past.knows_all,
            is_incomplete: past.is_incomplete,
            gone: past.gone,
        }
    }

    /// Takes a fact; the turn has what is to be done, in this order.
    pub(crate) fn take(&mut self, fact: Fact, turn: &mut Turn<'_>) {
        match fact {
            Fact::FirstWalk(events, walk) => self.first_walk(&events, walk, turn),
            Fact::Walk(walk) => {
                let changes = turn.registry.apply_walk(walk.mark, &walk.walked);
                self.watch_all_counts(true, turn);
                self.report(changes, turn);
            }
            Fact::Cgroups(events) => {
                let changes = self.apply(&events, turn);
                self.report(changes, turn);
            }
            Fact::LastValues(values) => self.last_values(values, turn),
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
                turn.deeds.extend(self.exits.release_all().into_iter().map(|change| event(change, None)));
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
        let FinishedWalk { mark, walked, kills, .. } = walk;
        let mut changes: Vec<Change> = events.iter().flat_map(|events| self.apply(events, turn)).collect();
        changes.extend(turn.registry.apply_walk(mark, &walked));
        if !self.knows_all {
            turn.registry.kills_before(&kills);
        }
        let (reason, cgroups) = (self.reason, turn.registry.len());
        let kind = EventKind::AgentStarted { version: env!("CARGO_PKG_VERSION"), reason, cgroups };
        own_event(kind, Source::Agent, turn);
        if self.is_incomplete {
            own_event(EventKind::KernelLost { records: None }, Source::Recovered, turn);
        }
        self.watch_all_counts(false, turn);
        let mut all = KnownCgroup::all_gone(std::mem::take(&mut self.gone), walked.time);
        all.extend(changes);
        self.report(all, turn);
        self.kills.first_walk(kills);
    }

    fn apply(&self, events: &CgroupEvents, turn: &mut Turn<'_>) -> Vec<Change> {
        // How many events an overflow dropped is not known: at least one.
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
        let Some(memory) = self.counted else { return };
        let of_memory = turn.registry.cgroups().filter_map(|(path, cgroup)| {
            let key = cgroup.members.iter().find(|key| key.hierarchy == memory)?;
            Some((path.clone(), *key))
        });
        let cgroups = of_memory.collect();
        turn.deeds.push(Deed::Count(CountRequest::WatchAll { cgroups, is_new }));
    }

    fn report(&mut self, changes: Vec<Change>, turn: &mut Turn<'_>) {
        for change in changes {
            let is_news =
                matches!(change.kind, ChangeKind::ContainerStarted | ChangeKind::CgroupCreated { .. });
            if is_news && change.identity.is_container() {
                turn.deeds.push(Deed::WantNames(change.identity.clone()));
            }
            let members = turn.registry.members(&change.cgroup.path);
            if let Some(change) = self.exits.route(change, members, turn.now, &mut turn.deeds) {
                turn.deeds.push(event(change, None));
            }
        }
    }

    /// A container's last values are here, or will not be.
    fn last_values(&mut self, values: LastValues, turn: &mut Turn<'_>) {
        let LastValues { path, exit, stats } = values;
        let sample = stats.map(|stats| {
            let stats: Arc<CgroupStats> = stats.into();
            let oom_kills = turn.registry.keep_last(&path, stats.clone());
            Box::new(ExitSample::of(&stats, oom_kills))
        });
        self.release(&path, exit, sample, turn);
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
        turn.deeds.extend(released.map(|change| event(change, sample.take())));
    }
}

/// The counts follow the directories of the memory hierarchy.
fn count(event: &LifecycleEvent, registry: &Registry) -> Option<Deed> {
    let path = registry.path_of_key(event.key)?;
    match event.kind {
        LifecycleKind::Created => Some(Deed::Count(CountRequest::Watch(path, event.key))),
        LifecycleKind::Removed => Some(Deed::Count(CountRequest::Forget(path))),
        // A renamed one is counted under its old name until a walk; its kills are its key's.
        LifecycleKind::Renamed | LifecycleKind::Populated(_) => None,
    }
}

/// Records were lost between the kernel and the agent, if any: that is an event, and a walk finds what they were about.
fn lost(records: u64, source: Source, turn: &mut Turn<'_>) {
    if records > 0 {
        own_event(EventKind::KernelLost { records: Some(records) }, source, turn);
        turn.deeds.push(Deed::WalkSoon);
    }
}

fn own_event(kind: EventKind, source: Source, turn: &mut Turn<'_>) {
    let names = EventNames::default();
    let draft = EventDraft { time: turn.wall, source, cgroup: None, identity: None, names, kind };
    turn.deeds.push(Deed::Report(Box::new(draft)));
}

fn event(change: Change, sample: Option<Box<ExitSample>>) -> Deed {
    let kind = match change.kind {
        ChangeKind::ContainerExited => EventKind::ContainerExited { last_sample: sample },
        kind => kind.into(),
    };
    Deed::Report(Box::new(EventDraft {
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
