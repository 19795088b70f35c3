//! What a rung does not know of a kill, the kernel log may: kills wait for it a moment, and never longer.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::model::{Decision, OomKill, Victim};
use crate::parse::LogKill;

/// The kernel writes its lines before and right after it marks the victim; in between is nothing but a slow console.
const PATIENCE: Duration = Duration::from_millis(20);
/// So long a line is kept: for a kill that is told later, and until the cross-check knows that nobody told it. So long,
/// too, a process id is not used again.
const KEPT: Duration = Duration::from_secs(10);
/// Lines that are kept. The kernel writes no more than 10 whole ones in 5 s.
const MAX_KEPT: usize = 256;

/// Kills that wait for their lines, and lines that wait for their kills.
#[derive(Debug, Default)]
pub(super) struct FillIn {
    waiting: VecDeque<(OomKill, Instant)>,
    lines: VecDeque<(LogKill, Instant)>,
    /// Processes whose kill was told, and how many lines the log had of each; their lines are no news.
    told: VecDeque<(u32, u64, Instant)>,
    /// Lines of a process beyond its first: the kernel has killed, and counted, one that it had killed already.
    repeats: u64,
}

impl FillIn {
    /// Whether no kill waits for its line.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the lines of all kills that were told have been read, as far as they are waited for.
    pub(super) fn has_all_lines(&self) -> bool {
        let now = Instant::now();
        self.told.iter().all(|(_, lines, until)| *lines > 0 || *until <= now)
    }

    /// Takes a kill; gives it back when it lacks nothing or its lines are here.
    pub(super) fn kill(&mut self, mut kill: OomKill) -> Option<OomKill> {
        if let Some(tgid) = kill.victim.tgid.filter(|_| !lacks(&kill)) {
            self.note_told(Some(tgid), 0);
            return Some(kill);
        }
        if let Some(at) = self.lines.iter().position(|(line, _)| is_same(&kill, line)) {
            if let Some((line, _)) = self.lines.remove(at) {
                fill(&mut kill, line);
            }
            self.note_told(kill.victim.tgid, 1);
            return Some(kill);
        }
        self.waiting.push_back((kill, Instant::now() + PATIENCE));
        None
    }

    /// Takes what the log told; gives the kill that waited for it.
    pub(super) fn line(&mut self, line: LogKill) -> Option<OomKill> {
        let now = Instant::now();
        self.lines.retain(|(_, until)| *until > now);
        if let Some(at) = self.waiting.iter().position(|(kill, _)| is_same(kill, &line)) {
            let (mut kill, _) = self.waiting.remove(at)?;
            fill(&mut kill, line);
            self.note_told(kill.victim.tgid, 1);
            return Some(kill);
        }
        self.told.retain(|(_, _, until)| *until > now);
        let told = self.told.iter_mut().find(|(tgid, _, _)| line.victim.tgid == Some(*tgid));
        if let Some((_, lines, _)) = told {
            *lines += 1;
            self.repeats += u64::from(*lines > 1);
            return None;
        }
        if self.lines.len() >= MAX_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back((line, now + KEPT));
        None
    }

    /// `lines` of the log were used for it; others of it may be here already.
    fn note_told(&mut self, tgid: Option<u32>, lines: u64) {
        let Some(tgid) = tgid else { return };
        let before = self.lines.len();
        self.lines.retain(|(line, _)| line.victim.tgid != Some(tgid));
        let lines = lines + (before - self.lines.len()) as u64;
        self.repeats += lines.saturating_sub(1);
        self.told.push_back((tgid, lines, Instant::now() + KEPT));
        while self.told.len() > MAX_KEPT {
            self.told.pop_front();
        }
    }

    /// How often the kernel has counted a process again since the last call, as it does with the first of a group.
    pub(super) fn take_repeats(&mut self) -> u64 {
        std::mem::take(&mut self.repeats)
    }

    /// Kills that the log told of and nobody else, at most so many: the last ones, as they have just been missed, in their
    /// order; and how many more lines there were of the same processes.
    pub(super) fn unclaimed(&mut self, at_most: u64) -> (Vec<LogKill>, u64) {
        let others = self.lines.len().saturating_sub(usize::try_from(at_most).unwrap_or(usize::MAX));
        let mut found: Vec<LogKill> = self.lines.drain(others..).map(|(line, _)| line).collect();
        let lines = found.len();
        // The kernel has counted a process once more that it had killed already.
        let mut seen = HashSet::new();
        found.retain(|line| line.victim.tgid.is_none_or(|tgid| seen.insert(tgid)));
        for line in &found {
            self.told.extend(line.victim.tgid.map(|tgid| (tgid, 1, Instant::now() + KEPT)));
        }
        let repeats = (lines - found.len()) as u64;
        (found, repeats)
    }

    /// When the first of those that wait has waited enough.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.front().map(|(_, until)| *until)
    }

    /// Those that have waited enough.
    pub(super) fn due(&mut self) -> Vec<OomKill> {
        self.due_at(Instant::now())
    }

    /// All that wait, at the end.
    pub(super) fn release_all(&mut self) -> Vec<OomKill> {
        self.due_at(Instant::now() + PATIENCE)
    }

    fn due_at(&mut self, now: Instant) -> Vec<OomKill> {
        let due = self.waiting.iter().take_while(|(_, until)| *until <= now).count();
        let due: Vec<OomKill> = self.waiting.drain(..due).map(|(kill, _)| kill).collect();
        for kill in &due {
            self.note_told(kill.victim.tgid, 0);
            if kill.victim.tgid.is_none() && kill.victim.pid.is_some() {
                self.claim_only_line(now);
            }
        }
        due
    }

    /// A kill is told of which only a thread is known, and the line has the process: when a single line came while it waited,
    /// that is its line. It fills in nothing, as that is not sure, but it is no news either.
    fn claim_only_line(&mut self, now: Instant) {
        let came = |until: &Instant| now.saturating_duration_since(*until - KEPT) < 2 * PATIENCE;
        let mut places =
            self.lines.iter().enumerate().filter(|(_, (_, until))| came(until)).map(|(at, _)| at);
        if let (Some(at), None) = (places.next(), places.next()) {
            self.lines.remove(at);
        }
    }
}

/// Whether the log could add something that matters.
fn lacks(kill: &OomKill) -> bool {
    let nowhere = kill.cgroup.is_none() && kill.path.is_none();
    kill.decision.constraint.is_none() || kill.victim.tgid.is_none() || kill.victim.comm.is_none() || nowhere
}

/// By the process; a rung that knows none knows the cgroup.
fn is_same(kill: &OomKill, line: &LogKill) -> bool {
    let Victim { pid, tgid, .. } = kill.victim;
    match tgid.or(pid) {
        Some(id) => line.victim.tgid == Some(id),
        None => kill.path.is_some() && kill.path == line.path,
    }
}

/// Adds what is absent; what the rung told stands.
fn fill(kill: &mut OomKill, line: LogKill) {
    let LogKill { victim: told, path, decision, .. } = line;
    let victim = &mut kill.victim;
    *victim = Victim {
        pid: victim.pid.or(told.pid),
        tgid: victim.tgid.or(told.tgid),
        comm: victim.comm.take().or(told.comm),
        uid: victim.uid.or(told.uid),
        oom_score_adj: victim.oom_score_adj.or(told.oom_score_adj),
        total_vm_bytes: victim.total_vm_bytes.or(told.total_vm_bytes),
        anon_rss_bytes: victim.anon_rss_bytes.or(told.anon_rss_bytes),
        file_rss_bytes: victim.file_rss_bytes.or(told.file_rss_bytes),
        shmem_rss_bytes: victim.shmem_rss_bytes.or(told.shmem_rss_bytes),
        swap_bytes: victim.swap_bytes.or(told.swap_bytes),
        pgtables_bytes: victim.pgtables_bytes.or(told.pgtables_bytes),
    };
    if kill.cgroup.is_none() && kill.path.is_none() {
        kill.path = path;
    }
    let known = &mut kill.decision;
    *known = Decision {
        incident: known.incident.or(decision.incident),
        constraint: known.constraint.or(decision.constraint),
        owner: known.owner.take().or(decision.owner),
        trigger: known.trigger.take().or(decision.trigger),
        group_kill: known.group_kill.or(decision.group_kill),
    };
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::model::{CgroupKey, CgroupPath, Constraint, HierarchyId, Source};

    fn kill(tgid: Option<u32>) -> OomKill {
        OomKill {
            time: SystemTime::UNIX_EPOCH,
            source: Source::TpBtf,
            cgroup: Some(CgroupKey { hierarchy: HierarchyId(4), id: 9 }),
            path: Some(CgroupPath::from("/pod/leaf")),
            victim: Victim { pid: tgid, tgid, comm: tgid.map(|_| b"own".to_vec()), ..Victim::default() },
            decision: Decision::default(),
        }
    }

    fn line(tgid: u32) -> LogKill {
        let victim = Victim {
            pid: Some(tgid),
            tgid: Some(tgid),
            comm: Some(b"log".to_vec()),
            uid: Some(5),
            ..Victim::default()
        };
        let decision =
            Decision { incident: Some(3), constraint: Some(Constraint::Memcg), ..Decision::default() };
        LogKill { time_usec: 1, is_old: false, victim, path: Some(CgroupPath::from("/pod/leaf")), decision }
    }

    #[test]
    fn a_line_fills_what_is_absent_whichever_comes_first() {
        for line_first in [true, false] {
            let mut fill_in = FillIn::default();
            let filled = if line_first {
                assert_eq!(fill_in.line(line(7)), None);
                fill_in.kill(kill(Some(7)))
            } else {
                assert_eq!(fill_in.kill(kill(Some(7))), None);
                fill_in.line(line(7))
            };
            let filled = filled.unwrap();
            assert_eq!((filled.victim.uid, filled.victim.comm), (Some(5), Some(b"own".to_vec())));
            assert_eq!(filled.decision, line(7).decision);
            assert_eq!(fill_in.next_due(), None);
        }
    }

    #[test]
    fn another_process_waits_on() {
        let mut fill_in = FillIn::default();
        assert_eq!((fill_in.kill(kill(Some(7))), fill_in.line(line(8))), (None, None));
        assert!(fill_in.next_due().is_some());
        assert_eq!(fill_in.due(), [], "not yet");
    }

    #[test]
    fn without_a_process_the_cgroup_tells() {
        let mut fill_in = FillIn::default();
        fill_in.line(LogKill { path: Some(CgroupPath::from("/other")), ..line(1) });
        fill_in.line(LogKill { path: None, ..line(2) });
        fill_in.line(line(3));
        let filled = fill_in.kill(kill(None)).unwrap();
        assert_eq!((filled.victim.tgid, filled.victim.comm), (Some(3), Some(b"log".to_vec())));
    }

    #[test]
    fn a_kill_that_lacks_nothing_does_not_wait() {
        let mut whole = kill(Some(7));
        whole.decision.constraint = Some(Constraint::Memcg);
        assert_eq!(FillIn::default().kill(whole.clone()), Some(whole));
    }

    #[test]
    fn what_nobody_told_is_still_there_and_what_was_told_is_not() {
        let mut fill_in = FillIn::default();
        let mut whole = kill(Some(7));
        whole.decision.constraint = Some(Constraint::Memcg);
        fill_in.line(line(7));
        fill_in.kill(whole);
        fill_in.line(line(7));
        fill_in.line(line(8));
        fill_in.line(line(9));
        assert_eq!(fill_in.unclaimed(1).0, [line(9)], "the last is the one that was missed a moment ago");
        assert_eq!(fill_in.unclaimed(5), (vec![line(8)], 0));
    }

    /// Where the hook knows a thread alone and its process was gone before `/proc` could tell.
    #[test]
    fn the_line_of_a_kill_that_is_known_by_a_thread_is_no_news() {
        let by_thread = || {
            let mut kill = kill(None);
            kill.victim.pid = Some(70);
            kill
        };
        for (lines, left) in [(vec![7], 0), (vec![7, 8], 2)] {
            let mut fill_in = FillIn::default();
            assert_eq!(fill_in.kill(by_thread()), None);
            lines.into_iter().for_each(|tgid| assert_eq!(fill_in.line(line(tgid)), None));
            std::thread::sleep(PATIENCE);
            assert_eq!(fill_in.due(), [by_thread()]);
            assert_eq!(fill_in.unclaimed(9).0.len(), left);
        }
    }

    /// With `memory.oom.group` the kernel kills the chosen process, and then once more with the others.
    #[test]
    fn a_process_that_is_counted_twice_is_told_once() {
        for lines_first in [true, false] {
            let mut fill_in = FillIn::default();
            if lines_first {
                fill_in.line(line(7));
                fill_in.line(line(7));
                assert!(fill_in.kill(kill(Some(7))).is_some());
            } else {
                fill_in.kill(kill(Some(7)));
                assert!(fill_in.line(line(7)).is_some());
                assert_eq!(fill_in.line(line(7)), None);
            }
            assert_eq!((fill_in.take_repeats(), fill_in.take_repeats()), (1, 0), "{lines_first}");
            assert_eq!(fill_in.unclaimed(9), (vec![], 0));
        }
    }

    #[test]
    fn a_process_that_the_log_tells_of_twice_is_told_once_where_nobody_else_tells_of_it() {
        let mut fill_in = FillIn::default();
        for tgid in [7, 8, 7] {
            fill_in.line(line(tgid));
        }
        assert_eq!(fill_in.unclaimed(3), (vec![line(7), line(8)], 1));
        fill_in.line(line(7));
        assert_eq!(fill_in.unclaimed(3), (vec![], 0), "it was told");
    }

    #[test]
    fn lines_that_nobody_wants_are_bounded() {
        let mut fill_in = FillIn::default();
        for tgid in 0..1000 {
            fill_in.line(line(tgid));
        }
        assert_eq!(fill_in.lines.len(), MAX_KEPT);
    }
}
