//! A kill and its line in the kernel log are joined: each waits a moment for the other, and a kill never longer.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::ledger::{Ledger, LineIs, Process, SAME_PROCESS};
use crate::model::{CgroupPath, Decision, OomKill, Victim};

/// How long a kill waits for its line. The kernel writes its lines before and right after it marks the victim; in between
/// is nothing but a slow console.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long a line waits for its kill. The comparison with the kernel's count reports it when no kill comes.
const LINE_KEPT: Duration = SAME_PROCESS;
/// How long a line waits of which only the kernel's count can say whether it is news: that is compared in the first quiet second.
pub(super) const LINE_HELD: Duration = Duration::from_secs(3600);
/// Lines that wait, and repeats that are remembered, at most. The kernel writes no more than 10 whole ones in 5 s.
const MAX_LINES: usize = 256;

/// Kills that wait for their lines, and lines that wait for their kills. All of the kills are booked in the ledger.
#[derive(Clone, Debug, Default)]
pub(super) struct Join {
    kills: VecDeque<(OomKill, Instant)>,
    lines: VecDeque<(OomKill, Instant)>,
    /// Cgroups in which the kernel counted a process again. A source that knows only counts reports that as a kill, of which
    /// no process is known: it stays a kill, and stands for the repeat in the ledger.
    repeats: Expected,
    /// Cgroups of kills that only a count reported, and that did not wait longer: the next line is of such a kill.
    unnamed: Expected,
}

/// Cgroups of which one more report is expected, for as long as a line is kept.
#[derive(Clone, Debug, Default)]
struct Expected(VecDeque<(CgroupPath, Instant)>);

impl Expected {
    fn expect(&mut self, path: CgroupPath, now: Instant) {
        self.0.push_back((path, now + LINE_KEPT));
        if self.0.len() > MAX_LINES {
            self.0.pop_front();
        }
    }

    /// Whether one was expected; it is not any more.
    fn take(&mut self, path: &CgroupPath) -> bool {
        let at = self.0.iter().position(|(expected, _)| expected == path);
        at.is_some_and(|at| self.0.remove(at).is_some())
    }

    fn forget(&mut self, now: Instant) {
        self.0.retain(|(_, until)| *until > now);
    }
}

impl Join {
    /// Whether no kill waits for its line.
    pub(super) fn is_idle(&self) -> bool {
        self.kills.is_empty()
    }

    /// Takes a kill that was booked. Returns the kills that are complete: those that lack nothing or have their lines.
    pub(super) fn kill(&mut self, kill: OomKill, ledger: &mut Ledger, now: Instant) -> Vec<OomKill> {
        self.forget(now);
        if is_by_count(&kill) && kill.path.as_ref().is_some_and(|path| self.repeats.take(path)) {
            ledger.take_back();
            return vec![kill];
        }
        let line = self.lines.iter().position(|(line, _)| is_same(&kill, line));
        let line = line.and_then(|at| self.lines.remove(at));
        let mut complete = Vec::new();
        if lacks(&kill) {
            self.kills.push_back((kill, now + PATIENCE));
        } else {
            complete.push(kill);
        }
        complete.extend(line.into_iter().flat_map(|(line, _)| self.line(line, ledger, now)));
        complete
    }

    /// Takes a line. Returns the kills that are complete with it.
    pub(super) fn line(&mut self, line: OomKill, ledger: &mut Ledger, now: Instant) -> Vec<OomKill> {
        self.forget(now);
        let Some(process) = line.victim.tgid.map(Process) else {
            self.keep(line, now + LINE_KEPT);
            return Vec::new();
        };
        let kill = match ledger.line(process, now) {
            LineIs::Repeat => return Vec::from_iter(self.counted_again(&line, ledger, now)),
            // A kill without its process is another one: this process has been reported.
            LineIs::Known => self.take_kill(|kill| kill.victim.tgid == Some(process.0)),
            LineIs::News => {
                let kill = self.take_kill(|kill| is_same(kill, &line));
                let is_reported = |path| self.unnamed.take(path);
                if kill.is_none() && !line.path.as_ref().is_some_and(is_reported) {
                    self.keep(line, now + LINE_KEPT);
                    return Vec::new();
                }
                let time = kill.as_ref().map_or(line.time, |kill| kill.time);
                if kill.as_ref().is_none_or(|kill| kill.victim.tgid.is_none())
                    && !ledger.identify(process, time, now)
                {
                    return Vec::new();
                }
                ledger.line(process, now);
                kill
            }
        };
        let mut complete = Vec::from_iter(kill.map(|kill| fill(kill, line)));
        complete.extend(self.claim_lines(process, ledger, now));
        complete
    }

    fn take_kill(&mut self, is_wanted: impl Fn(&OomKill) -> bool) -> Option<OomKill> {
        let at = self.kills.iter().position(|(kill, _)| is_wanted(kill))?;
        self.kills.remove(at).map(|(kill, _)| kill)
    }

    /// Takes the lines of a reported process that came before its kill.
    fn claim_lines(&mut self, process: Process, ledger: &mut Ledger, now: Instant) -> Vec<OomKill> {
        let (its, others): (VecDeque<_>, VecDeque<_>) =
            self.lines.drain(..).partition(|(line, _)| line.victim.tgid == Some(process.0));
        self.lines = others;
        its.into_iter().flat_map(|(line, _)| self.line(line, ledger, now)).collect()
    }

    /// The kernel has counted a process again. A kill that is known by a count alone is the one, come or to come.
    fn counted_again(&mut self, line: &OomKill, ledger: &mut Ledger, now: Instant) -> Option<OomKill> {
        let path = line.path.as_ref()?;
        let kill = self.take_kill(|kill| is_by_count(kill) && kill.path.as_ref() == Some(path));
        if kill.is_some() || self.unnamed.take(path) {
            ledger.take_back();
        } else {
            self.repeats.expect(path.clone(), now);
        }
        kill
    }

    /// So many accounted repeats are not in the kernel's count: the kill that a count reported for each came before its line.
    pub(super) fn forget_repeats(&mut self, count: u64) {
        let count = self.repeats.0.len().min(usize::try_from(count).unwrap_or(usize::MAX));
        self.repeats.0.drain(..count);
    }

    /// Keeps a line for a kill that may come, or that the kernel's count may miss.
    pub(super) fn keep(&mut self, line: OomKill, until: Instant) {
        if self.lines.len() >= MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back((line, until));
    }

    fn forget(&mut self, now: Instant) {
        self.lines.retain(|(_, until)| *until > now);
        self.repeats.forget(now);
        self.unnamed.forget(now);
    }

    /// Lines of kills that no source reported, at most so many: the newest, as they have just been missed, in their order;
    /// and how many more lines there were of the same processes.
    pub(super) fn unclaimed(&mut self, at_most: u64, now: Instant) -> (Vec<OomKill>, u64) {
        self.forget(now);
        let others = self.lines.len().saturating_sub(usize::try_from(at_most).unwrap_or(usize::MAX));
        let mut found: Vec<OomKill> = self.lines.drain(others..).map(|(line, _)| line).collect();
        let lines = found.len();
        let mut seen = HashSet::new();
        found.retain(|line| line.victim.tgid.is_none_or(|tgid| seen.insert(tgid)));
        let repeats = (lines - found.len()) as u64;
        (found, repeats)
    }

    /// When the first of the kills has waited long enough.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.kills.front().map(|(_, until)| *until)
    }

    /// The kills that have waited long enough.
    pub(super) fn due(&mut self, now: Instant) -> Vec<OomKill> {
        let due = self.kills.iter().take_while(|(_, until)| *until <= now).count();
        let due: Vec<OomKill> = self.kills.drain(..due).map(|(kill, _)| kill).collect();
        for kill in due.iter().filter(|kill| kill.victim.tgid.is_none()) {
            match &kill.path {
                Some(path) if is_by_count(kill) => self.unnamed.expect(path.clone(), now),
                _ => self.claim_only_line(now),
            }
        }
        due
    }

    /// All kills that wait.
    pub(super) fn release(&mut self, now: Instant) -> Vec<OomKill> {
        self.due(now + PATIENCE)
    }

    /// Of a kill only a thread is known, and the line names the process. When a single line came while it waited, that is
    /// its line: it adds nothing to the kill, as that is not sure, but it is no news either.
    fn claim_only_line(&mut self, now: Instant) {
        let came = |until: &Instant| now.saturating_duration_since(*until - LINE_KEPT) < 2 * PATIENCE;
        let mut places =
            self.lines.iter().enumerate().filter(|(_, (_, until))| came(until)).map(|(at, _)| at);
        if let (Some(at), None) = (places.next(), places.next()) {
            self.lines.remove(at);
        }
    }
}

/// Whether the source knows nothing of the process.
fn is_by_count(kill: &OomKill) -> bool {
    kill.victim.tgid.is_none() && kill.victim.pid.is_none()
}

/// Whether the log could add something that matters.
fn lacks(kill: &OomKill) -> bool {
    let nowhere = kill.cgroup.is_none() && kill.path.is_none();
    kill.decision.constraint.is_none() || kill.victim.tgid.is_none() || kill.victim.comm.is_none() || nowhere
}

/// By the process; a source that knows none knows the cgroup.
fn is_same(kill: &OomKill, line: &OomKill) -> bool {
    let Victim { pid, tgid, .. } = kill.victim;
    match tgid.or(pid) {
        Some(id) => line.victim.tgid == Some(id),
        None => kill.path.is_some() && kill.path == line.path,
    }
}

/// A struct of options: each field as it is known, or else as the log has it.
macro_rules! filled {
    ($type:ident, $known:expr, $logged:expr, [$($field:ident)+]) => {
        $type { $($field: $known.$field.or($logged.$field)),+ }
    };
}

/// Adds what is absent; what the source reported stands.
fn fill(kill: OomKill, line: OomKill) -> OomKill {
    let victim = filled!(
        Victim, kill.victim, line.victim,
        [pid tgid comm uid oom_score_adj total_vm_bytes anon_rss_bytes file_rss_bytes shmem_rss_bytes swap_bytes pgtables_bytes]
    );
    let decision =
        filled!(Decision, kill.decision, line.decision, [incident constraint owner trigger group_kill]);
    let path = kill.path.or(line.path.filter(|_| kill.cgroup.is_none()));
    OomKill { path, victim, decision, ..kill }
}

#[cfg(test)]
mod tests;
