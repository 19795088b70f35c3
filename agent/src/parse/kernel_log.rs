//! The kernel log: records of `/dev/kmsg`, and the lines that the kernel writes of an OOM kill.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/abi-testing.html> (`dev-kmsg`); `mm/oom_kill.c`,
//! `mem_cgroup_print_oom_context` in `mm/memcontrol.c`.
//!
//! ```text
//! 4,600,2915426,-;hog invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
//! 6,601,2915430,-;CPU: 0 UID: 0 PID: 100 Comm: hog Not tainted 6.12.95 #1
//! 6,640,2915450,-;memory: usage 10240kB, limit 10240kB, failcnt 20
//! 6,641,2915451,-;swap: usage 0kB, limit 9007199254740988kB, failcnt 0
//! 6,651,2915460,-;[    100]     0   100     3036     2841     2513        4       324    61440        0             0 hog
//! 6,660,2915470,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/pod,task_memcg=/pod/leaf,task=hog,pid=100,uid=0
//! 3,661,2915480,-;Memory cgroup out of memory: Killed process 100 (hog) total-vm:12144kB, anon-rss:10200kB, file-rss:4kB, shmem-rss:1284kB, UID:0 pgtables:60kB oom_score_adj:0
//! ```
//! Before 5.0 there is `Task in /pod/leaf killed as a result of limit of /pod` instead of the `oom-kill:` line. All but
//! the last line is rate limited (10 in 5 s), and of a whole cgroup that goes (`memory.oom.group`) only the first victim
//! has them. So a kill without lines of its own may be one more of a group, or of another cgroup: see [`UnfinishedDecision::has`]. A name in these lines is the process's own: it may hold anything, so it is cut out from both ends.

mod lines;

use std::borrow::Cow;

use super::ParseError;
use super::scan::{decimal, split_once, unescape};
use crate::model::{CgroupPath, Decision, LimitOwner, Trigger, Victim};
use lines::{OomLine, Scope};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord<'a> {
    /// Its number; a gap is a loss.
    pub sequence: u64,
    /// Since the machine started.
    pub time_usec: u64,
    /// Whether the kernel wrote it; programs may write records too.
    pub of_kernel: bool,
    /// Its first line, with the kernel's `\xNN` escapes undone.
    pub text: Cow<'a, [u8]>,
}

/// One record as a read of `/dev/kmsg` gives it.
pub fn log_record(input: &[u8]) -> Result<LogRecord<'_>, ParseError> {
    const WANTED: &str = "priority,sequence,time,flags;text";
    let refused = || ParseError::line(1, input, WANTED);
    let (head, text) = split_once(input, b';').ok_or_else(refused)?;
    let mut fields = head.split(|&b| b == b',');
    let mut number = || fields.next().and_then(decimal).ok_or_else(refused);
    let (priority, sequence, time_usec) = (number()?, number()?, number()?);
    let text = text.split(|&b| b == b'\n').next().unwrap_or_default();
    let text = if text.contains(&b'\\') { Cow::Owned(unescape(text, hex)) } else { Cow::Borrowed(text) };
    // The facility is above the level's three bits; the kernel's is 0.
    Ok(LogRecord { sequence, time_usec, of_kernel: priority < 8, text })
}

/// The kernel escapes bytes that are not printable ASCII, and the backslash itself (`append_char` in
/// `kernel/printk/printk.c`).
fn hex(rest: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, tail) = rest.strip_prefix(br"\x")?.split_first_chunk::<2>()?;
    Some((u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?, tail))
}

/// A kill, read from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKill {
    /// When it was written, since the machine started.
    pub time_usec: u64,
    pub victim: Victim,
    /// Its memory cgroup, where the log names it.
    pub path: Option<CgroupPath>,
    pub decision: Decision,
}

/// Lines of one decision come within moments; a kill that comes later has lost its own.
const ONE_DECISION_USEC: u64 = 1_000_000;
/// The kernel kills a group in one go, holding a lock that keeps other decisions away. Longer between two lines takes only
/// a slow console.
const ONE_GROUP_USEC: u64 = 20_000;
/// Rows of the table of processes that are kept.
const MAX_TASKS: usize = 1024;

/// Puts the lines of a kill together.
#[derive(Clone, Debug, Default)]
pub struct OomLines {
    decision: Option<UnfinishedDecision>,
}

/// A decision of the OOM killer, as far as its lines have come.
#[derive(Clone, Debug, Default)]
struct UnfinishedDecision {
    began_usec: u64,
    decision: Decision,
    path: Option<CgroupPath>,
    pid: Option<u32>,
    /// The processes that it could choose from, up to a bound.
    tasks: Vec<u32>,
    /// This whole cgroup goes: more kills follow.
    group: Option<CgroupPath>,
    killed: bool,
    /// Of its last line.
    last_usec: u64,
}

impl OomLines {
    /// Takes the next record; a kill when this completes one.
    pub fn push(&mut self, record: &LogRecord<'_>) -> Option<LogKill> {
        if !record.of_kernel {
            return None;
        }
        let line = lines::read(&record.text)?;
        match line {
            OomLine::Invoked { comm } => {
                let mut open = UnfinishedDecision::at(record.time_usec);
                open.trigger().comm = Some(comm.to_vec());
                self.decision = Some(open);
            }
            OomLine::Cpu { pid } => {
                if let Some(open) = self.decision.as_mut().filter(|open| !open.killed) {
                    open.trigger().pid.get_or_insert(pid);
                }
            }
            OomLine::Kill { scope, victim } => return Some(self.kill(record.time_usec, scope, victim)),
            line => {
                let open = self.open(record.time_usec);
                open.last_usec = record.time_usec;
                open.take(line);
            }
        }
        None
    }

    fn open(&mut self, now_usec: u64) -> &mut UnfinishedDecision {
        let fresh = |open: &UnfinishedDecision| now_usec.saturating_sub(open.began_usec) < ONE_DECISION_USEC;
        if !self.decision.as_ref().is_some_and(fresh) {
            self.decision = None;
        }
        self.decision.get_or_insert_with(|| UnfinishedDecision::at(now_usec))
    }

    fn kill(&mut self, now_usec: u64, scope: Scope, victim: Victim) -> LogKill {
        let open = self.open(now_usec);
        if !open.has(&victim, now_usec) {
            // A kill whose own lines were held back.
            *open = UnfinishedDecision::at(now_usec);
        }
        let path = open.path_of_next();
        (open.killed, open.pid, open.last_usec) = (true, None, now_usec);
        let mut decision = open.decision.clone();
        decision.incident = Some(open.began_usec);
        decision.constraint = decision.constraint.or(scope.constraint());
        LogKill { time_usec: now_usec, victim, path, decision }
    }
}

impl UnfinishedDecision {
    fn at(began_usec: u64) -> Self {
        Self { began_usec, last_usec: began_usec, ..Self::default() }
    }

    /// Whether a kill is of this decision: of the process that was chosen, or one more of a group. The latter must have been
    /// in the table, where there is one, else come right after the last.
    fn has(&self, victim: &Victim, now_usec: u64) -> bool {
        if self.group.is_none() {
            return !self.killed && (self.pid.is_none() || self.pid == victim.tgid);
        }
        match victim.tgid {
            Some(tgid) if (1..MAX_TASKS).contains(&self.tasks.len()) => self.tasks.contains(&tgid),
            _ => now_usec.saturating_sub(self.last_usec) < ONE_GROUP_USEC,
        }
    }

    /// Where the next that is killed was. Of a group that may be anywhere below it, unless the chosen process was in the very
    /// cgroup: one with processes has no other with memory of its own below it.
    fn path_of_next(&self) -> Option<CgroupPath> {
        let is_sure = !self.killed || (self.group.is_some() && self.group == self.path);
        self.path.clone().filter(|_| is_sure)
    }

    fn trigger(&mut self) -> &mut Trigger {
        self.decision.trigger.get_or_insert_default()
    }

    fn owner(&mut self) -> &mut LimitOwner {
        self.decision.owner.get_or_insert_default()
    }

    fn take(&mut self, line: OomLine<'_>) {
        match line {
            OomLine::Decision { constraint, owner, path, pid } => {
                self.decision.constraint = constraint;
                if let Some(owner) = owner {
                    self.owner().path = Some(owner);
                }
                self.path = path.or(self.path.take());
                self.pid = pid;
            }
            OomLine::Memory { usage_bytes, limit } => {
                let owner = self.owner();
                (owner.usage_bytes, owner.limit) = (Some(usage_bytes), Some(limit));
            }
            OomLine::Swap { usage_bytes } => self.owner().swap_usage_bytes = Some(usage_bytes),
            OomLine::MemoryAndSwap { usage_bytes } => {
                let owner = self.owner();
                let memory_bytes = owner.usage_bytes.unwrap_or(usage_bytes);
                owner.swap_usage_bytes = usage_bytes.checked_sub(memory_bytes);
            }
            OomLine::Group { path } => {
                self.group = Some(path);
                self.decision.group_kill = Some(true);
            }
            OomLine::Task { tgid } if self.tasks.len() < MAX_TASKS => self.tasks.push(tgid),
            OomLine::Task { .. } | OomLine::Invoked { .. } | OomLine::Cpu { .. } | OomLine::Kill { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
