//! OOM kills of the time when no agent ran: the kernel's count says how many, its log which.
//!
//! The count is read after the programs are attached, so a kill of that moment is in the ring as well; the lines of
//! the log are in the order of the kills, so the oldest are the missing ones.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use crate::model::OomKill;
use crate::parse::LogKill;

/// Lines that are kept until all that is left of the log has been read.
const MAX_LINES: usize = 16_384;

/// Kills of which nothing is known are told one by one up to here; more are counted alone.
const MAX_NAMELESS: u64 = 1000;

/// What is missing, and what the log tells.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    /// Kills that the kernel has counted and no agent has told of.
    missing: u64,
    /// Processes of which an agent has told, and how many lines each has.
    told: HashMap<u32, u64>,
    lines: Vec<LogKill>,
    /// When the kernel's count was read.
    counted_at: Option<SystemTime>,
    /// Processes of this agent's own kills until then, as far as they are known.
    own: Vec<Option<u32>>,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// Kills that nobody has told of, in their order.
    pub(crate) kills: Vec<LogKill>,
    /// How often the kernel has counted a process again that it had counted already.
    pub(crate) repeats: u64,
    /// Kills of which nothing but the number is known.
    pub(crate) nameless: u64,
    /// Lines of kills that are not missing: an agent that runs sees those.
    pub(crate) rest: Vec<LogKill>,
}

impl Recovery {
    pub(crate) fn new(missing: u64, counted_at: SystemTime, told: impl IntoIterator<Item = u32>) -> Self {
        let told = told.into_iter().map(|tgid| (tgid, 0)).collect();
        Self { missing, told, lines: Vec::new(), counted_at: Some(counted_at), own: Vec::new() }
    }

    /// Whether anything is missing.
    pub(crate) fn is_wanted(&self) -> bool {
        self.missing > 0
    }

    /// Takes note of a kill that a rung has told this agent of.
    pub(crate) fn note_own(&mut self, kill: &OomKill) {
        if self.counted_at.is_some_and(|counted_at| kill.time <= counted_at) {
            self.own.push(kill.victim.tgid);
        }
    }

    /// Takes a line that was there before the agent.
    pub(crate) fn line(&mut self, line: LogKill) {
        match line.victim.tgid.and_then(|tgid| self.told.get_mut(&tgid)) {
            Some(lines) => *lines += 1,
            None if self.lines.len() < MAX_LINES => self.lines.push(line),
            None => {}
        }
    }

    /// All that was there has been read; `is_whole` says that nothing of it was overwritten before.
    pub(crate) fn finish(&mut self, is_whole: bool) -> Recovered {
        let Self { missing, told, lines, own, .. } = std::mem::take(self);
        let mut seen = HashSet::new();
        let before = lines.len();
        let mut lines = lines;
        lines.retain(|line| line.victim.tgid.is_none_or(|tgid| seen.insert(tgid)));
        let again: u64 = told.values().map(|lines| lines.saturating_sub(1)).sum();
        let repeats = (again + (before - lines.len()) as u64).min(missing);
        let wanted = usize::try_from(missing - repeats).unwrap_or(usize::MAX);
        let rest = lines.split_off(wanted.min(lines.len()));
        // Kills of this agent's own whose line was read are among the lines already.
        let own_unread = own.iter().filter(|tgid| tgid.is_none_or(|tgid| !seen.contains(&tgid))).count();
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

    fn line(tgid: u32) -> LogKill {
        let victim = Victim { tgid: Some(tgid), ..Victim::default() };
        LogKill {
            time_usec: u64::from(tgid),
            is_old: true,
            victim,
            path: None,
            decision: Decision::default(),
        }
    }

    fn recover(missing: u64, told: &[u32], lines: &[u32], is_whole: bool) -> (Vec<u32>, u64, u64, Vec<u32>) {
        let mut recovery = Recovery::new(missing, SystemTime::UNIX_EPOCH, told.iter().copied());
        lines.iter().for_each(|tgid| recovery.line(line(*tgid)));
        let found = recovery.finish(is_whole);
        let ids = |lines: &[LogKill]| lines.iter().filter_map(|line| line.victim.tgid).collect();
        (ids(&found.kills), found.repeats, found.nameless, ids(&found.rest))
    }

    #[test]
    fn the_oldest_lines_that_nobody_told_of_are_the_missing_kills() {
        for (missing, told, lines, is_whole, wanted) in [
            (0, &[][..], &[][..], true, (vec![], 0, 0, vec![])),
            (2, &[7], &[7, 8, 9, 10], true, (vec![8, 9], 0, 0, vec![10])),
            // A group of which the first was counted twice.
            (3, &[], &[8, 8, 9, 10], true, (vec![8, 9], 1, 0, vec![10])),
            (1, &[7], &[7, 7, 8], true, (vec![], 1, 0, vec![8])),
            // What the log has lost.
            (3, &[], &[9], false, (vec![9], 0, 2, vec![])),
            (3, &[], &[9], true, (vec![9], 0, 0, vec![])),
            (1 << 20, &[], &[9], false, (vec![9], 0, MAX_NAMELESS, vec![])),
            // Nothing is missing: the ring has it.
            (0, &[], &[9], true, (vec![], 0, 0, vec![9])),
        ] {
            assert_eq!(recover(missing, told, lines, is_whole), wanted, "{missing} {told:?} {lines:?}");
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
            let mut recovery = Recovery::new(3, counted_at, []);
            kills.iter().for_each(|kill| recovery.note_own(kill));
            lines.iter().for_each(|tgid| recovery.line(line(*tgid)));
            assert_eq!(recovery.finish(false).nameless, wanted, "{kills:?} {lines:?}");
        }
    }
}
