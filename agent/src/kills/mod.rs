//! One OOM kill, from the first report to the event. Pure: facts come in with the time, deeds go out.
//!
//! | module | question |
//! |---|---|
//! | [`ledger`] | was this kill reported already, and is one missing that the kernel has counted? |
//! | [`join`] | what does the kernel log add to it? |
//! | [`recovery`] | which kills happened while no agent ran? |
//! | [`report`] | whose cgroup was it, and whose limit? |
//! | [`totals`] | how many kills has each owner had, for as long as the state directory lives? |

mod join;
mod ledger;
mod recovery;
mod report;
pub(crate) mod totals;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use crate::model::{
    CgroupPath, Checkpoint, CountRequest, Decision, Deed, HierarchyId, LogBatch, LookedUp, OomKill, Source,
    Victim,
};
use crate::registry::Registry;
use join::Join;
use ledger::Difference;
pub(crate) use ledger::{Ledger, Process};
use recovery::{Recovered, Recovery};

/// The kernel counts a process of a group again within this time.
const QUIET: Duration = Duration::from_millis(100);
/// Where kills never pause, a checkpoint is made this long after the last: the next agent reads the log from there.
const CHECKPOINT_WITHIN: Duration = Duration::from_secs(2);
/// Looks into `/proc` at once; a kill beyond that is reported without them.
const MAX_LOOK_UPS: u64 = 64;

/// What the agent knows about kills when it begins.
#[derive(Clone, Debug)]
pub(crate) struct KillsAtStart {
    /// What the previous agent has reported.
    pub(crate) ledger: Ledger,
    /// The kernel's count after the sources were opened, and when it was read; `None` where the kernel does not count.
    pub(crate) counted: Option<(u64, SystemTime)>,
    /// The rings are the previous agent's and have what is missing.
    pub(crate) is_adopted: bool,
    /// Whether the kernel log is read.
    pub(crate) reads_log: bool,
    /// Whether the kernel log is the source of kills.
    pub(crate) log_is_source: bool,
    /// The hierarchy that accounts memory.
    pub(crate) memory: HierarchyId,
}

/// One step: a fact is taken at this time, with the cgroups that exist, and leads to deeds.
pub(crate) struct Turn<'a> {
    pub(crate) registry: &'a mut Registry,
    /// For what waits.
    pub(crate) now: Instant,
    /// For what events show.
    pub(crate) wall: SystemTime,
    pub(crate) deeds: Vec<Deed>,
}

/// All kills of this agent.
#[derive(Clone, Debug)]
pub(crate) struct Kills {
    ledger: Ledger,
    join: Join,
    /// Until the log has been read to where this agent began.
    recovery: Option<Recovery>,
    /// Whether the kernel counts kills at all.
    is_counted: bool,
    reads_log: bool,
    log_is_source: bool,
    /// The last record of the log that was read, once everything from before this agent has been.
    log_sequence: Option<u64>,
    memory: HierarchyId,
    look_ups: u64,
    /// When the last kill was reported.
    reported: Option<Instant>,
    /// When the last checkpoint was made, or the first could have been.
    checkpointed: Option<Instant>,
    /// The cgroups' own counts at the first walk.
    counts_at_start: HashMap<CgroupPath, u64>,
}

impl Kills {
    pub(crate) fn new(start: KillsAtStart) -> Self {
        let KillsAtStart { ledger, counted, is_adopted, reads_log, log_is_source, memory } = start;
        let (count, counted_at) = counted.unwrap_or((0, SystemTime::UNIX_EPOCH));
        let missing = if is_adopted { 0 } else { count.saturating_sub(ledger.accounted()) };
        Self {
            ledger,
            join: Join::default(),
            recovery: Some(Recovery::new(missing, counted_at)),
            is_counted: counted.is_some(),
            reads_log,
            log_is_source,
            log_sequence: None,
            memory,
            look_ups: 0,
            reported: None,
            checkpointed: None,
            counts_at_start: HashMap::new(),
        }
    }

    /// Kills that happened while no agent ran, as far as they are not reported yet.
    pub(crate) fn missing(&self) -> u64 {
        self.recovery.as_ref().map_or(0, Recovery::missing)
    }

    /// A source reports a kill.
    pub(crate) fn kill(&mut self, kill: OomKill, turn: &mut Turn<'_>) {
        if !self.ledger.report(&kill, turn.now) {
            return;
        }
        self.reported = Some(turn.now);
        if let Some(recovery) = &mut self.recovery {
            recovery.note_own(&kill);
        }
        let is_placed =
            kill.path.is_some() || kill.cgroup.is_some_and(|key| turn.registry.path_of_key(key).is_some());
        if is_placed || kill.victim.pid.is_none() || self.look_ups >= MAX_LOOK_UPS {
            self.join(kill, turn);
        } else {
            self.look_ups += 1;
            turn.deeds.push(Deed::LookUp(Box::new(kill)));
        }
    }

    /// `/proc` was looked at for a kill.
    pub(crate) fn looked_up(&mut self, looked: LookedUp, turn: &mut Turn<'_>) {
        self.look_ups = self.look_ups.saturating_sub(1);
        let LookedUp { mut kill, path, found_tgid } = looked;
        let found = kill.victim.tgid.filter(|_| found_tgid);
        if found.is_some_and(|tgid| !self.ledger.identify(Process(tgid), kill.time, turn.now)) {
            return;
        }
        kill.path = kill.path.or(path);
        self.join(kill, turn);
    }

    fn join(&mut self, kill: OomKill, turn: &mut Turn<'_>) {
        let waits = self.reads_log && !self.log_is_source;
        let kills = if waits { self.join.kill(kill, &mut self.ledger, turn.now) } else { vec![kill] };
        self.publish(kills, turn);
    }

    fn publish(&self, kills: impl IntoIterator<Item = OomKill>, turn: &mut Turn<'_>) {
        for kill in kills {
            turn.deeds.push(Deed::Report(Box::new(report::draft(kill, turn.registry, self.memory))));
        }
    }

    /// The kernel log was read, and after it perhaps the kernel's count.
    pub(crate) fn log(&mut self, batch: LogBatch, turn: &mut Turn<'_>) {
        let (old, new): (Vec<_>, Vec<_>) =
            batch.kills.into_iter().partition(|line| line.source == Source::Recovered);
        if let Some(recovery) = &mut self.recovery {
            old.into_iter().for_each(|line| recovery.line(line, &mut self.ledger));
        }
        if let Some(is_whole) = batch.caught_up {
            self.recover(is_whole, turn);
        }
        new.into_iter().for_each(|line| self.line(line, turn));
        if batch.log_ended {
            self.reads_log = false;
            self.recover(false, turn);
        }
        self.log_sequence = batch.last_sequence;
        if let Some(kernel) = batch.kernel_kills {
            self.compare(kernel, turn);
        }
    }

    fn line(&mut self, line: OomKill, turn: &mut Turn<'_>) {
        if !self.log_is_source {
            let kills = self.join.line(line, &mut self.ledger, turn.now);
            return self.publish(kills, turn);
        }
        let process = line.victim.tgid.map(Process);
        if process.is_some_and(|process| self.ledger.line(process, turn.now) != ledger::LineIs::News) {
            return;
        }
        if process.is_some() && self.ledger.has_unnamed(turn.now) {
            // The kernel's count decides: a kill that it misses is reported then.
            return self.join.keep(line, turn.now + join::LINE_HELD);
        }
        self.kill(line, turn);
        // This line is its first.
        process.map(|process| self.ledger.line(process, turn.now));
    }

    /// Some kills may have waited long enough.
    pub(crate) fn due(&mut self, turn: &mut Turn<'_>) {
        let due = self.join.due(turn.now);
        self.publish(due, turn);
    }

    /// When that is.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.join.next_due()
    }

    /// The agent ends: no kill waits any more.
    pub(crate) fn release(&mut self, turn: &mut Turn<'_>) {
        let kills = self.join.release(turn.now);
        self.publish(kills, turn);
    }

    /// The first walk is done; `counts` are the cgroups' own counts of kills, where they were read.
    pub(crate) fn first_walk(&mut self, counts: HashMap<CgroupPath, u64>) {
        self.counts_at_start = counts;
    }

    /// Reports what happened while no agent ran, now that all is known that can be.
    fn recover(&mut self, is_whole: bool, turn: &mut Turn<'_>) {
        let Some(recovery) = self.recovery.take() else { return };
        let Recovered { kills, repeats, nameless, rest } = recovery.finish(is_whole);
        self.reported = Some(turn.now);
        self.ledger.end_previous(turn.now);
        self.ledger.account(repeats);
        let mut unplaced = Vec::new();
        for kill in kills {
            if !self.ledger.report_logged(&kill, turn.now) {
                // It happened while the sources were opened: one of them has reported it.
                self.line(kill, turn);
            } else if kill.path.is_none() {
                unplaced.push(kill);
            } else {
                self.publish([kill], turn);
            }
        }
        let named = unplaced.len();
        for _ in 0..nameless {
            // Only the kernel's count has it.
            let (victim, decision) = (Victim::default(), Decision::default());
            let (time, source) = (turn.wall, Source::Recovered);
            let kill = OomKill { time, source, cgroup: None, path: None, victim, decision };
            self.ledger.report(&kill, turn.now);
            unplaced.push(kill);
        }
        let mut places = self.places(named, unplaced.len(), turn);
        for mut kill in unplaced {
            kill.path = places.pop();
            self.publish([kill], turn);
        }
        for line in rest {
            self.line(line, turn);
        }
    }

    /// The cgroups of kills for which the log has none, by the cgroups' own counts; none where that leaves a doubt.
    fn places(&mut self, named: usize, all: usize, turn: &mut Turn<'_>) -> Vec<CgroupPath> {
        if all == 0 {
            return Vec::new();
        }
        // The cgroups' counts have the kills that wait for their lines too.
        self.release(turn);
        let unreported = turn.registry.kills_unreported(&std::mem::take(&mut self.counts_at_start));
        let most = |missing: u64| usize::try_from(missing).unwrap_or(usize::MAX).min(all);
        match unreported.as_slice() {
            // All are of the one cgroup that misses some.
            [(path, missing)] if named == 0 || most(*missing) == all => vec![path.clone(); most(*missing)],
            // A process whose cgroup is not known could be of any.
            _ if named > 0 => Vec::new(),
            many => {
                let times =
                    |(path, missing): &(CgroupPath, u64)| std::iter::repeat_n(path.clone(), most(*missing));
                many.iter().flat_map(times).take(all).collect()
            }
        }
    }

    /// The kernel's own count against what was reported. While kills are being recovered they are still missing.
    fn compare(&mut self, kernel: u64, turn: &mut Turn<'_>) {
        if !self.is_counted || self.recovery.is_some() {
            return;
        }
        let Difference { missing, excess } = self.ledger.compare(kernel, turn.now);
        self.join.forget_repeats(excess);
        if missing > 0 {
            self.settle_missing(missing, turn);
        } else if self.ledger.differs() {
            turn.deeds.push(Deed::Count(CountRequest::LookSoon));
        } else if self.ledger.accounted() == kernel && self.accounts_for_all(turn.now) {
            self.checkpointed = Some(turn.now);
            let log_sequence = self.log_sequence;
            turn.deeds.push(Deed::Checkpoint(Checkpoint { kernel_kills: kernel, log_sequence }));
        }
    }

    /// Whether nothing is on its way to the log of events, and nothing of it on its way from the kernel log.
    fn accounts_for_all(&mut self, now: Instant) -> bool {
        // The kernel may be about to count the last kill again. Where kills never pause, one is taken to be whole.
        let is_quiet = self.reported.is_none_or(|at| now.duration_since(at) >= QUIET);
        let checkpointed = *self.checkpointed.get_or_insert(now);
        let is_overdue = now.duration_since(checkpointed) >= CHECKPOINT_WITHIN;
        if !is_quiet && !is_overdue {
            return false;
        }
        let has_read = !self.reads_log || (self.log_sequence.is_some() && self.ledger.has_all_lines(now));
        has_read && self.join.is_idle() && self.look_ups == 0
    }

    /// The kernel counted kills that no source reported; the log may have them.
    fn settle_missing(&mut self, missing: u64, turn: &mut Turn<'_>) {
        self.reported = Some(turn.now);
        let (lines, repeats) = self.join.unclaimed(missing, turn.now);
        let lost = missing.saturating_sub(lines.len() as u64 + repeats);
        self.ledger.account(repeats + lost);
        for kill in lines {
            if self.ledger.report_logged(&kill, turn.now) {
                self.publish([kill], turn);
            } else {
                // It was reported after its line was read: the kernel has counted it again.
                self.ledger.account(1);
            }
        }
        if lost > 0 {
            turn.deeds.push(Deed::GiveUp(lost));
        }
    }
}
