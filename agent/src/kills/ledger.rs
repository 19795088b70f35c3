//! The one record of which kills were reported, and of how many the kernel has counted.
//!
//! For each process that it kills for memory the kernel raises `oom_kill` of `/proc/vmstat`, marks the process, and writes
//! a line to its log. Each of the three may reach the agent first, twice, or never. So the ledger answers two questions:
//! was this kill reported already, and is one missing that the kernel has counted?
//!
//! With `memory.oom.group` the kernel kills the chosen process twice, and counts it twice: that is a repeat, not a kill.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use crate::model::OomKill;

/// A process id is not used again within this time. The kernel may mark several threads of one process, and counts the
/// first process of a group twice: within this time both are the same kill.
pub(super) const SAME_PROCESS: Duration = Duration::from_secs(10);
/// Kills that are remembered, the newest.
const MAX_REPORTED: usize = 1024;
/// A line that the kernel had still to write at a start is read within this time.
const LATE_LINE: Duration = Duration::from_secs(1);
/// How long the kernel's count must stay different: records may be on their way.
const STABLE: Duration = Duration::from_secs(1);

/// What the ledger knows a killed process by: the id of its thread group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Process(pub(crate) u32);

/// A kill that was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reported {
    by: Reporter,
    /// When the kernel marked the process.
    time: SystemTime,
    /// Lines of the kernel log about it that were read. Each but the first is a repeat.
    lines: u64,
}

impl Reported {
    fn line(&mut self) -> LineIs {
        self.lines += 1;
        if self.lines == 1 { LineIs::Known } else { LineIs::Repeat }
    }
}

/// Which agent reported it. The count with which the ledger begins is that of the last checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reporter {
    /// One before this, before that count. Its lines were read by then.
    Earlier,
    /// One before this, after that count.
    Previous,
    /// This one.
    This {
        /// Its line is expected until then.
        lines_until: Instant,
    },
}

/// What a line of the kernel log means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineIs {
    /// No kill of this process was reported.
    News,
    /// The first line of a reported kill.
    Known,
    /// The kernel has counted a reported kill once more.
    Repeat,
}

/// By how much the kernel's count and ours differ for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Kills that the kernel has counted and no source reported.
    pub(super) missing: u64,
    /// Kills and repeats that were accounted for and that the kernel has not counted. They are not accounted for any more.
    pub(super) excess: u64,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    reported: HashMap<Process, Reported>,
    /// This agent's, the oldest first.
    order: VecDeque<Process>,
    /// Until when lines about the previous agent's kills are expected; for as long as the old part of the log is read without end.
    previous_until: Option<Instant>,
    /// Whether a kill was reported without its process, whose line may still come.
    has_unnamed: bool,
    /// Kernel kills accounted for so far: the count at the start, plus every kill that was reported, repeated or given up.
    accounted: u64,
    /// The kernel's count and ours where they differ, and since when they are these.
    difference: Option<((u64, u64), Instant)>,
}

impl Ledger {
    /// With the kernel's count for which everything before is accounted.
    pub(crate) fn new(kernel_kills: u64) -> Self {
        Self { accounted: kernel_kills, ..Self::default() }
    }

    /// The previous agent has reported a kill after that count.
    pub(crate) fn resume(&mut self, process: Option<Process>, time: SystemTime) {
        self.accounted += 1;
        self.has_unnamed |= process.is_none();
        self.restore(process, Reporter::Previous, time);
    }

    /// An earlier agent has reported a kill, and the count has it: another thread of the process may still be marked.
    pub(crate) fn remember(&mut self, process: Option<Process>, time: SystemTime) {
        self.restore(process, Reporter::Earlier, time);
    }

    fn restore(&mut self, process: Option<Process>, by: Reporter, time: SystemTime) {
        self.reported.extend(process.map(|process| (process, Reported { by, time, lines: 0 })));
    }

    /// Kernel kills accounted for so far.
    pub(crate) fn accounted(&self) -> u64 {
        self.accounted
    }

    /// Books a kill. False when it was reported already. Without a process id nothing is a repeat.
    pub(super) fn report(&mut self, kill: &OomKill, now: Instant) -> bool {
        if self.previous_until.is_some_and(|until| until <= now) {
            self.reported.retain(|_, reported| matches!(reported.by, Reporter::This { .. }));
        }
        let is_news = kill.victim.tgid.is_none_or(|tgid| self.enter(Process(tgid), kill.time, now));
        self.has_unnamed |= kill.victim.tgid.is_none();
        if is_news {
            self.accounted += 1;
        }
        is_news
    }

    /// As `report`, of a kill that a line of the log reports, which is its first.
    pub(super) fn report_logged(&mut self, kill: &OomKill, now: Instant) -> bool {
        let is_news = self.report(kill, now);
        if let Some(tgid) = kill.victim.tgid.filter(|_| is_news) {
            self.line(Process(tgid), now);
        }
        is_news
    }

    /// A kill that was booked without its process has one now. False, and not booked any more, when that was reported.
    pub(super) fn identify(&mut self, process: Process, time: SystemTime, now: Instant) -> bool {
        let is_news = self.enter(process, time, now);
        if !is_news {
            self.take_back();
        }
        is_news
    }

    /// Undoes one booking: the kill was reported before.
    pub(super) fn take_back(&mut self) {
        self.accounted = self.accounted.saturating_sub(1);
    }

    fn enter(&mut self, process: Process, time: SystemTime, now: Instant) -> bool {
        let before = self.reported.get(&process);
        let is_same = |before: &Reported| time.duration_since(before.time).unwrap_or_default() < SAME_PROCESS;
        if before.is_some_and(is_same) {
            return false;
        }
        if before.is_some_and(|before| matches!(before.by, Reporter::This { .. })) {
            // The id was used again: its new kill is the newest.
            self.order.retain(|other| *other != process);
        }
        let by = Reporter::This { lines_until: now + SAME_PROCESS };
        self.reported.insert(process, Reported { by, time, lines: 0 });
        self.order.push_back(process);
        if self.order.len() > MAX_REPORTED
            && let Some(oldest) = self.order.pop_front()
        {
            self.reported.remove(&oldest);
        }
        true
    }

    /// A line about this process was read, written while this agent runs.
    pub(super) fn line(&mut self, process: Process, now: Instant) -> LineIs {
        let previous_until = self.previous_until;
        let Some(reported) = self.reported.get_mut(&process) else { return LineIs::News };
        let is_expected = match reported.by {
            Reporter::This { lines_until } => lines_until > now,
            Reporter::Previous => previous_until.is_none_or(|until| until > now),
            Reporter::Earlier => false,
        };
        if !is_expected {
            return LineIs::News;
        }
        let is = reported.line();
        self.accounted += u64::from(is == LineIs::Repeat);
        is
    }

    /// A line about this process was read, written before this agent began. Repeats are not accounted for yet.
    pub(super) fn old_line(&mut self, process: Process) -> LineIs {
        match self.reported.get_mut(&process) {
            Some(reported) if reported.by == Reporter::Previous => reported.line(),
            _ => LineIs::News,
        }
    }

    /// The log has nothing more from before this agent. What was on its way then comes within moments.
    pub(super) fn end_previous(&mut self, now: Instant) {
        self.previous_until = Some(now + SAME_PROCESS);
    }

    /// The kernel has counted this many processes again, or no source reports this many kills, nor will.
    pub(super) fn account(&mut self, counted: u64) {
        self.accounted += counted;
    }

    /// Whether a line that is news may be of a kill from before this agent that was reported without its process.
    pub(super) fn has_unnamed(&self, now: Instant) -> bool {
        self.has_unnamed && self.previous_until.is_none_or(|until| until - SAME_PROCESS + LATE_LINE > now)
    }

    /// Whether a line was read of each kill that this agent reported, as far as one is expected.
    pub(super) fn has_all_lines(&self, now: Instant) -> bool {
        self.reported.values().all(|reported| match reported.by {
            Reporter::This { lines_until } => reported.lines > 0 || lines_until <= now,
            Reporter::Previous | Reporter::Earlier => true,
        })
    }

    /// Whether the two counts differed at the last comparison, for whatever time.
    pub(super) fn differs(&self) -> bool {
        self.difference.is_some()
    }

    /// Compares with the kernel's count. The caller books or gives up each kill that is missing for good.
    pub(super) fn compare(&mut self, kernel: u64, now: Instant) -> Difference {
        let counts = (kernel, self.accounted);
        let same = self.difference.filter(|(before, _)| *before == counts);
        let (_, since) = same.unwrap_or((counts, now));
        self.difference = Some((counts, since)).filter(|_| kernel != self.accounted);
        if now.duration_since(since) < STABLE {
            return Difference::default();
        }
        self.difference = None;
        // Where processes were marked that were dying already, that must not hide a later loss.
        let excess = self.accounted.saturating_sub(kernel);
        self.accounted -= excess;
        Difference { missing: kernel - self.accounted, excess }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::model::{Decision, Source, Victim};

    const MOMENT: Duration = Duration::from_millis(600);

    fn kill(tgid: Option<u32>, second: u64) -> OomKill {
        OomKill {
            time: UNIX_EPOCH + Duration::from_secs(second),
            source: Source::TpBtf,
            cgroup: None,
            path: None,
            victim: Victim { pid: Some(7), tgid, ..Victim::default() },
            decision: Decision::default(),
        }
    }

    fn missing(ledger: &mut Ledger, kernel: u64, now: Instant) -> u64 {
        ledger.compare(kernel, now).missing
    }

    #[test]
    fn threads_of_one_process_are_one_kill() {
        let (mut ledger, now) = (Ledger::new(0), Instant::now());
        for (tgid, second, is_news) in [
            (Some(7), 100, true),
            (Some(7), 103, false),
            (Some(8), 103, true),
            // The id is another process by now.
            (Some(7), 111, true),
            (Some(7), 112, false),
            (None, 111, true),
            (None, 111, true),
        ] {
            assert_eq!(ledger.report(&kill(tgid, second), now), is_news, "{tgid:?} {second}");
        }
        assert_eq!(ledger.accounted(), 5);
    }

    #[test]
    fn a_process_that_is_found_later_may_have_been_reported() {
        let (mut ledger, now) = (Ledger::new(9), Instant::now());
        assert!(ledger.report(&kill(None, 100), now));
        assert!(ledger.identify(Process(7), UNIX_EPOCH, now));
        assert!(ledger.report(&kill(None, 100), now));
        assert!(!ledger.identify(Process(7), UNIX_EPOCH, now));
        assert_eq!(ledger.accounted(), 10);
    }

    #[test]
    fn a_second_line_is_a_repeat() {
        let (mut ledger, now) = (Ledger::new(0), Instant::now());
        assert_eq!(ledger.line(Process(7), now), LineIs::News);
        ledger.report(&kill(Some(7), 100), now);
        assert!(!ledger.has_all_lines(now));
        let wanted = [LineIs::Known, LineIs::Repeat, LineIs::Repeat];
        assert_eq!([(); 3].map(|()| ledger.line(Process(7), now)), wanted);
        assert!(ledger.has_all_lines(now));
        assert_eq!(ledger.accounted(), 3);
        assert_eq!(
            ledger.line(Process(7), now + SAME_PROCESS),
            LineIs::News,
            "the id may be another process"
        );
    }

    #[test]
    fn lines_of_the_previous_agents_kills_are_no_news() {
        let mut ledger = Ledger::new(4);
        ledger.resume(Some(Process(7)), UNIX_EPOCH);
        ledger.resume(None, UNIX_EPOCH);
        assert_eq!(ledger.accounted(), 6);
        let wanted = [LineIs::Known, LineIs::Repeat];
        assert_eq!([(); 2].map(|()| ledger.old_line(Process(7))), wanted);
        assert_eq!(ledger.accounted(), 6, "the caller accounts for them");
        let now = Instant::now();
        ledger.end_previous(now);
        assert_eq!(ledger.line(Process(7), now), LineIs::Repeat);
        assert_eq!(ledger.line(Process(7), now + SAME_PROCESS), LineIs::News);
    }

    #[test]
    fn a_thread_of_a_process_that_the_previous_agent_reported_is_no_kill() {
        let (mut ledger, now) = (Ledger::new(0), Instant::now());
        ledger.resume(Some(Process(7)), UNIX_EPOCH + Duration::from_secs(100));
        ledger.remember(Some(Process(8)), UNIX_EPOCH + Duration::from_secs(100));
        for tgid in [7, 8] {
            assert!(!ledger.report(&kill(Some(tgid), 109), now));
            assert!(ledger.report(&kill(Some(tgid), 110), now), "the id may be another process");
        }
    }

    #[test]
    fn kills_that_are_remembered_are_bounded() {
        let (mut ledger, now) = (Ledger::new(0), Instant::now());
        for tgid in 0..2000 {
            ledger.report(&kill(Some(tgid), 100), now);
        }
        assert_eq!((ledger.reported.len(), ledger.order.len()), (MAX_REPORTED, MAX_REPORTED));
        assert!(ledger.report(&kill(Some(0), 100), now), "forgotten");
        assert!(!ledger.report(&kill(Some(1999), 100), now));
    }

    #[test]
    fn what_stays_missing_is_given_up_once() {
        let (mut ledger, began) = (Ledger::new(100), Instant::now());
        assert_eq!(missing(&mut ledger, 103, began), 0);
        ledger.report(&kill(None, 1), began);
        assert_eq!(missing(&mut ledger, 103, began + MOMENT), 0, "one more came: it moves still");
        assert_eq!(missing(&mut ledger, 103, began + 2 * MOMENT), 0);
        assert_eq!(missing(&mut ledger, 103, began + 3 * MOMENT), 2);
        ledger.report(&kill(None, 1), began);
        ledger.account(1);
        assert_eq!(missing(&mut ledger, 103, began + 9 * MOMENT), 0);
    }

    #[test]
    fn a_report_before_the_count_is_no_difference() {
        let (mut ledger, began) = (Ledger::new(5), Instant::now());
        ledger.report(&kill(None, 1), began);
        for looks in 0..5 {
            assert_eq!(missing(&mut ledger, 6, began + looks * MOMENT), 0);
        }
    }

    #[test]
    fn a_mark_too_many_hides_no_later_loss() {
        let (mut ledger, began) = (Ledger::new(5), Instant::now());
        ledger.report(&kill(None, 1), began);
        for looks in 0..4 {
            assert_eq!(missing(&mut ledger, 5, began + looks * MOMENT), 0);
        }
        for looks in 10..12 {
            assert_eq!(missing(&mut ledger, 6, began + looks * MOMENT), 0);
        }
        assert_eq!(missing(&mut ledger, 6, began + 12 * MOMENT), 1);
    }
}
