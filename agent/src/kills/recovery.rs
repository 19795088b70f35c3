//! Kills of the time when no agent ran: how many is the kernel's count, which ones is in its log.
//!
//! The count is read after the programs are attached, so a kill of that moment is in the ring as well. The lines of the log
//! are in the order of the kills, so the oldest are the missing ones.

use std::collections::HashSet;
use std::time::SystemTime;

use super::ledger::{Ledger, LineIs, Process};
use crate::model::OomKill;

/// Lines that are kept until all that was in the log has been read.
const MAX_LINES: usize = 16_384;

/// Kills without a process are reported one by one up to here; more are counted alone.
const MAX_NAMELESS: u64 = 1000;

/// What is missing, and the lines of the log that may be about it.
#[derive(Clone, Debug, Default)]
pub(super) struct Recovery {
    /// Kills that the kernel has counted and no agent has reported.
    missing: u64,
    /// When the kernel's count was read.
    counted_at: Option<SystemTime>,
    /// The first line of each process whose kill no agent has reported.
    lines: Vec<OomKill>,
    seen: HashSet<Process>,
    /// Further lines of a process: the kernel has counted it again.
    repeats: u64,
    /// Processes of this agent's own kills until the count was read, as far as they are known.
    own: Vec<Option<Process>>,
}

/// What is known in the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recovered {
    /// Kills that no agent has reported, in their order.
    pub(super) kills: Vec<OomKill>,
    /// How often the kernel has counted a process again.
    pub(super) repeats: u64,
    /// Kills of which only the number is known.
    pub(super) nameless: u64,
    /// Lines of kills that are not missing: this agent's sources report those.
    pub(super) rest: Vec<OomKill>,
}

impl Recovery {
    pub(super) fn new(missing: u64, counted_at: SystemTime) -> Self {
        Self { missing, counted_at: Some(counted_at), ..Self::default() }
    }

    pub(super) fn missing(&self) -> u64 {
        self.missing
    }

    /// Takes note of a kill that one of this agent's sources reported.
    pub(super) fn note_own(&mut self, kill: &OomKill) {
        if self.counted_at.is_some_and(|counted_at| kill.time <= counted_at) {
            self.own.push(kill.victim.tgid.map(Process));
        }
    }

    /// Takes a line that was in the log before this agent began.
    pub(super) fn line(&mut self, line: OomKill, ledger: &mut Ledger) {
        let is = match line.victim.tgid.map(Process) {
            None => LineIs::News,
            Some(process) => match ledger.old_line(process) {
                LineIs::News if self.seen.contains(&process) => LineIs::Repeat,
                is => is,
            },
        };
        match is {
            LineIs::News if self.lines.len() < MAX_LINES => {
                self.seen.extend(line.victim.tgid.map(Process));
                self.lines.push(line);
            }
            LineIs::Repeat => self.repeats += 1,
            LineIs::News | LineIs::Known => {}
        }
    }

    /// All that was in the log has been read. `is_whole`: nothing of interest was overwritten before.
    pub(super) fn finish(self, is_whole: bool) -> Recovered {
        let Self { missing, mut lines, seen, repeats, own, .. } = self;
        let wanted = usize::try_from(missing.saturating_sub(repeats)).unwrap_or(usize::MAX);
        let rest = lines.split_off(wanted.min(lines.len()));
        // Kills of this agent's own whose line was read are among the lines already.
        let own_unread =
            own.iter().filter(|process| process.is_none_or(|process| !seen.contains(&process))).count();
        let nameless = (wanted - lines.len()).saturating_sub(own_unread) as u64;
        // A log that is whole has a line for each kill.
        let nameless = if is_whole { 0 } else { nameless.min(MAX_NAMELESS) };
        Recovered { kills: lines, repeats, nameless, rest }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Decision, Source, Victim};

    fn line(tgid: u32) -> OomKill {
        let victim = Victim { tgid: Some(tgid), ..Victim::default() };
        OomKill {
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(tgid)),
            source: Source::Recovered,
            cgroup: None,
            victim,
            path: None,
            decision: Decision::default(),
        }
    }

    fn recover(
        missing: u64,
        reported: &[u32],
        lines: &[u32],
        is_whole: bool,
    ) -> (Vec<u32>, u64, u64, Vec<u32>) {
        let mut recovery = Recovery::new(missing, SystemTime::UNIX_EPOCH);
        let mut ledger = Ledger::new(0);
        reported.iter().for_each(|tgid| ledger.resume(Some(Process(*tgid)), SystemTime::UNIX_EPOCH));
        lines.iter().for_each(|tgid| recovery.line(line(*tgid), &mut ledger));
        let found = recovery.finish(is_whole);
        let ids = |lines: &[OomKill]| lines.iter().filter_map(|line| line.victim.tgid).collect();
        (ids(&found.kills), found.repeats, found.nameless, ids(&found.rest))
    }

    #[test]
    fn the_oldest_lines_that_no_agent_reported_are_the_missing_kills() {
        for (missing, reported, lines, is_whole, wanted) in [
            (0, &[][..], &[][..], true, (vec![], 0, 0, vec![])),
            (2, &[7], &[7, 8, 9, 10], true, (vec![8, 9], 0, 0, vec![10])),
            // A group of which the first was counted twice.
            (3, &[], &[8, 8, 9, 10], true, (vec![8, 9], 1, 0, vec![10])),
            (1, &[7], &[7, 7, 8], true, (vec![], 1, 0, vec![8])),
            // What the log has lost.
            (3, &[], &[9], false, (vec![9], 0, 2, vec![])),
            (3, &[], &[9], true, (vec![9], 0, 0, vec![])),
            (1 << 20, &[], &[9], false, (vec![9], 0, MAX_NAMELESS, vec![])),
            // Nothing is missing: the ring has it. The repeat is in no ring.
            (0, &[], &[9, 9], true, (vec![], 1, 0, vec![9])),
        ] {
            assert_eq!(
                recover(missing, reported, lines, is_whole),
                wanted,
                "{missing} {reported:?} {lines:?}"
            );
        }
    }

    fn own(tgid: Option<u32>, second: u64) -> OomKill {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let victim = Victim { tgid, ..Victim::default() };
        let decision = Decision::default();
        OomKill { time, source: Source::TpBtf, cgroup: None, path: None, victim, decision }
    }

    #[test]
    fn a_kill_that_the_ring_has_is_not_missing() {
        for (kills, lines, wanted) in [
            (&[own(Some(7), 100)][..], &[][..], 2),
            (&[own(None, 99), own(Some(8), 98)], &[], 1),
            // It was not counted yet.
            (&[own(Some(7), 101)], &[], 3),
            // Its line stands for it.
            (&[own(Some(7), 100)], &[7], 2),
            (&[own(Some(7), 100), own(Some(8), 100)], &[7], 1),
        ] {
            let counted_at = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
            let mut recovery = Recovery::new(3, counted_at);
            kills.iter().for_each(|kill| recovery.note_own(kill));
            lines.iter().for_each(|tgid| recovery.line(line(*tgid), &mut Ledger::new(0)));
            assert_eq!(recovery.finish(false).nameless, wanted, "{kills:?} {lines:?}");
        }
    }
}
