//! A kill and its line in the kernel log are joined: each waits a moment for the other, and a kill never longer.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::ledger::{Ledger, LineIs, Process, SAME_PROCESS};
use crate::model::{CgroupPath, Decision, LoggedKill, OomKill, Victim};

/// How long a kill waits for its line. The kernel writes its lines before and right after it marks the victim; in between
/// is nothing but a slow console.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long a line waits for its kill. The comparison with the kernel's count reports it when no kill comes.
const LINE_KEPT: Duration = SAME_PROCESS;
/// Lines that wait, and repeats that are remembered, at most. The kernel writes no more than 10 whole ones in 5 s.
const MAX_LINES: usize = 256;

/// Kills that wait for their lines, and lines that wait for their kills. All of the kills are booked in the ledger.
#[derive(Clone, Debug, Default)]
pub(super) struct Join {
    kills: VecDeque<(OomKill, Instant)>,
    lines: VecDeque<(LoggedKill, Instant)>,
    /// Cgroups in which the kernel counted a process again. A source that knows only counts reports that as a kill, of which
    /// no process is known: it stays a kill, and stands for the repeat in the ledger.
    repeats: VecDeque<(CgroupPath, Instant)>,
}

impl Join {
    /// Whether no kill waits for its line.
    pub(super) fn is_idle(&self) -> bool {
        self.kills.is_empty()
    }

    /// Takes a kill that was booked; gives it back when it lacks nothing or its line is here.
    pub(super) fn kill(&mut self, kill: OomKill, ledger: &mut Ledger, now: Instant) -> Option<OomKill> {
        self.forget(now);
        if self.is_counted_again(&kill) {
            ledger.take_back();
            return Some(kill);
        }
        if lacks(&kill) {
            let Some(at) = self.lines.iter().position(|(line, _)| is_same(&kill, line)) else {
                self.kills.push_back((kill, now + PATIENCE));
                return None;
            };
            let (line, _) = self.lines.remove(at)?;
            return self.fill(kill, line, ledger, now);
        }
        if let Some(process) = kill.victim.tgid.map(Process) {
            self.claim_lines(process, ledger, now);
        }
        Some(kill)
    }

    /// Takes a line; gives the kill that waited for it.
    pub(super) fn line(&mut self, line: LoggedKill, ledger: &mut Ledger, now: Instant) -> Option<OomKill> {
        self.forget(now);
        let waiting = |join: &Self| join.kills.iter().position(|(kill, _)| is_same(kill, &line));
        let Some(process) = line.victim.tgid.map(Process) else {
            self.keep(line, now);
            return None;
        };
        match ledger.line(process, now) {
            LineIs::Repeat => self.counted_again(&line, ledger, now),
            LineIs::Known => {
                let (mut kill, _) = self.kills.remove(waiting(self)?)?;
                fill(&mut kill, line);
                Some(kill)
            }
            LineIs::News => {
                let Some(at) = waiting(self) else {
                    self.keep(line, now);
                    return None;
                };
                let (kill, _) = self.kills.remove(at)?;
                self.fill(kill, line, ledger, now)
            }
        }
    }

    /// A kill that was booked, perhaps without its process, gets its line, and that line's process.
    fn fill(
        &mut self,
        mut kill: OomKill,
        line: LoggedKill,
        ledger: &mut Ledger,
        now: Instant,
    ) -> Option<OomKill> {
        let found = line.victim.tgid.map(Process).filter(|_| kill.victim.tgid.is_none());
        let process = found.or(kill.victim.tgid.map(Process));
        if let Some(process) = found
            && !ledger.identify(process, kill.time, now)
        {
            return None;
        }
        if let Some(process) = process {
            ledger.line(process, now);
            self.claim_lines(process, ledger, now);
        }
        fill(&mut kill, line);
        Some(kill)
    }

    /// Lines of a reported kill that came before it.
    fn claim_lines(&mut self, process: Process, ledger: &mut Ledger, now: Instant) {
        let is_its = |line: &LoggedKill| line.victim.tgid == Some(process.0);
        while let Some(at) = self.lines.iter().position(|(line, _)| is_its(line)) {
            let Some((line, _)) = self.lines.remove(at) else { return };
            if ledger.line(process, now) == LineIs::Repeat {
                let again = self.counted_again(&line, ledger, now);
                self.kills.extend(again.map(|kill| (kill, now)));
            }
        }
    }

    /// The kernel has counted a process again. A kill that is known by a count alone is the one, come or to come.
    fn counted_again(&mut self, line: &LoggedKill, ledger: &mut Ledger, now: Instant) -> Option<OomKill> {
        let path = line.path.as_ref()?;
        let by_count = |kill: &OomKill| is_by_count(kill) && kill.path.as_ref() == Some(path);
        if let Some(at) = self.kills.iter().position(|(kill, _)| by_count(kill)) {
            ledger.take_back();
            return self.kills.remove(at).map(|(kill, _)| kill);
        }
        self.repeats.push_back((path.clone(), now + LINE_KEPT));
        if self.repeats.len() > MAX_LINES {
            self.repeats.pop_front();
        }
        None
    }

    fn is_counted_again(&mut self, kill: &OomKill) -> bool {
        let known = |(path, _): &(CgroupPath, Instant)| kill.path.as_ref() == Some(path);
        let at = self.repeats.iter().position(known).filter(|_| is_by_count(kill));
        at.is_some_and(|at| self.repeats.remove(at).is_some())
    }

    fn keep(&mut self, line: LoggedKill, now: Instant) {
        if self.lines.len() >= MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back((line, now + LINE_KEPT));
    }

    fn forget(&mut self, now: Instant) {
        self.lines.retain(|(_, until)| *until > now);
        self.repeats.retain(|(_, until)| *until > now);
    }

    /// Lines of kills that no source reported, at most so many: the newest, as they have just been missed, in their order;
    /// and how many more lines there were of the same processes.
    pub(super) fn unclaimed(&mut self, at_most: u64) -> (Vec<LoggedKill>, u64) {
        let others = self.lines.len().saturating_sub(usize::try_from(at_most).unwrap_or(usize::MAX));
        let mut found: Vec<LoggedKill> = self.lines.drain(others..).map(|(line, _)| line).collect();
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
        for _ in due.iter().filter(|kill| kill.victim.tgid.is_none() && kill.victim.pid.is_some()) {
            self.claim_only_line(now);
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
fn is_same(kill: &OomKill, line: &LoggedKill) -> bool {
    let Victim { pid, tgid, .. } = kill.victim;
    match tgid.or(pid) {
        Some(id) => line.victim.tgid == Some(id),
        None => kill.path.is_some() && kill.path == line.path,
    }
}

/// Adds what is absent; what the source reported stands.
fn fill(kill: &mut OomKill, line: LoggedKill) {
    let LoggedKill { victim: logged, path, decision, .. } = line;
    let victim = &mut kill.victim;
    *victim = Victim {
        pid: victim.pid.or(logged.pid),
        tgid: victim.tgid.or(logged.tgid),
        comm: victim.comm.take().or(logged.comm),
        uid: victim.uid.or(logged.uid),
        oom_score_adj: victim.oom_score_adj.or(logged.oom_score_adj),
        total_vm_bytes: victim.total_vm_bytes.or(logged.total_vm_bytes),
        anon_rss_bytes: victim.anon_rss_bytes.or(logged.anon_rss_bytes),
        file_rss_bytes: victim.file_rss_bytes.or(logged.file_rss_bytes),
        shmem_rss_bytes: victim.shmem_rss_bytes.or(logged.shmem_rss_bytes),
        swap_bytes: victim.swap_bytes.or(logged.swap_bytes),
        pgtables_bytes: victim.pgtables_bytes.or(logged.pgtables_bytes),
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
mod tests;
