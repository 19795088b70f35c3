//! A model of the kernel: it counts a kill, marks its process, writes a line, and each may be late.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::kills::{Process, ledger};
use crate::model::{CgroupKey, CgroupPath, Decision, HierarchyId, OomKill, Source, Victim};

pub(super) const MEMORY: HierarchyId = HierarchyId(4);

/// The source of kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rung {
    /// A ring that goes with its agent.
    Ring,
    /// A ring that the next agent adopts, with what was not read of it.
    PinnedRing,
    /// The cgroup's own count: a kill has no process.
    Counts,
    /// The kernel log.
    Log,
}

/// What a record of the ring, or a line of the log, has of a kill.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// The process and the path of its cgroup.
    Whole,
    /// A cgroup that is not known: `/proc` is looked at, and has it or not.
    Placeless { is_found: bool },
    /// A thread alone: `/proc` has its process.
    Thread,
}

/// A line of the kernel log, and when it was written.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) process: Process,
    pub(super) time: SystemTime,
    pub(super) has_path: bool,
}

/// The kernel. A kill is its process.
pub(super) struct Kernel {
    pub(super) rung: Rung,
    pub(super) count: u64,
    pub(super) repeats: u64,
    /// Marks of threads whose process was marked before.
    pub(super) more_marks: u64,
    /// The last kill, and whether its record names the process.
    pub(super) last: (Process, SystemTime, bool),
    pub(super) log: Vec<Line>,
    /// What it has still to do: lines, each perhaps after another count.
    to_do: VecDeque<(bool, Line)>,
    pub(super) ring: VecDeque<OomKill>,
}

impl Kernel {
    pub(super) fn new(rung: Rung) -> Self {
        let last = (Process(0), UNIX_EPOCH, false);
        let (log, to_do, ring) = (Vec::new(), VecDeque::new(), VecDeque::new());
        Self { rung, count: 0, repeats: 0, more_marks: 0, last, log, to_do, ring }
    }

    pub(super) fn kill(&mut self, again: bool, form: Form, time: SystemTime) {
        let process = Process(self.last.0.0 + 1);
        self.last = (process, time, !matches!(form, Form::Thread));
        self.count += 1;
        let line = Line { process, time, has_path: !matches!(form, Form::Placeless { .. }) };
        self.to_do.push_back((false, line));
        if again {
            self.to_do.push_back((true, line));
        }
        self.mark(process, form, time);
    }

    fn mark(&mut self, process: Process, form: Form, time: SystemTime) {
        let key = |id| Some(CgroupKey { hierarchy: MEMORY, id });
        let (cgroup, path, tgid) = match form {
            Form::Whole => (None, Some(CgroupPath::from("/pod")), Some(process.0)),
            Form::Placeless { is_found } => (key(u64::from(is_found)), None, Some(process.0)),
            Form::Thread => (key(1), None, None),
        };
        let victim = Victim { tgid, comm: tgid.and(victim(process).comm), ..victim(process) };
        let decision = Decision::default();
        if self.has_ring() {
            self.ring.push_back(OomKill { time, source: Source::TpBtf, cgroup, path, victim, decision });
        }
    }

    fn has_ring(&self) -> bool {
        matches!(self.rung, Rung::Ring | Rung::PinnedRing)
    }

    pub(super) fn mark_thread(&mut self, time: SystemTime) {
        let (process, killed, names_process) = self.last;
        if self.has_ring() && names_process && time.duration_since(killed).unwrap() < ledger::SAME_PROCESS {
            self.more_marks += 1;
            self.mark(process, Form::Whole, time);
        }
    }

    pub(super) fn line(&mut self) {
        let Some((counts, line)) = self.to_do.pop_front() else { return };
        self.count += u64::from(counts);
        self.repeats += u64::from(counts);
        self.log.push(line);
    }

    pub(super) fn write_all(&mut self) {
        while !self.to_do.is_empty() {
            self.line();
        }
    }
}

pub(super) fn victim(process: Process) -> Victim {
    Victim { pid: Some(process.0), tgid: Some(process.0), comm: Some(b"x".to_vec()), ..Victim::default() }
}
