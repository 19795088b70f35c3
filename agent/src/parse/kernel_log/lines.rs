//! The lines, one at a time.

use crate::model::{CgroupPath, Constraint, Limit, Victim};
use crate::parse::scan::{decimal, split_once};

/// `TASK_COMM_LEN` without the NUL.
const COMM_MAX_BYTES: usize = 15;

/// A line of the kernel about an OOM kill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OomLine<'a> {
    /// `X invoked oom-killer: ...`
    Invoked { comm: &'a [u8] },
    /// `CPU: 0 PID: 1 Comm: ...`: of the process that asked for memory.
    Cpu { pid: u32 },
    /// `oom-kill:...`, or the old `Task in ... killed as a result of limit of ...`
    Decision {
        constraint: Option<Constraint>,
        owner: Option<CgroupPath>,
        path: Option<CgroupPath>,
        pid: Option<u32>,
    },
    /// `[    100]     0   100     3036 ...`: of the table of processes that may be killed.
    Task { tgid: u32 },
    /// `memory: usage 1kB, limit 2kB, failcnt 3`
    Memory { usage_bytes: u64, limit: Limit },
    /// `swap: usage ...` (v2)
    Swap { usage_bytes: u64 },
    /// `memory+swap: usage ...` (v1)
    MemoryAndSwap { usage_bytes: u64 },
    /// `Tasks in X are going to be killed due to memory.oom.group set`
    Group { path: CgroupPath },
    /// `...: Killed process 1 (comm) total-vm:...`
    Kill { scope: Scope, victim: Victim },
}

/// What the words before `Killed process` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// A limit of a memory cgroup.
    Memcg,
    /// The machine, or a part of its memory nodes.
    Other,
}

impl Scope {
    pub(super) fn constraint(self) -> Option<Constraint> {
        (self == Self::Memcg).then_some(Constraint::Memcg)
    }
}

/// The line if it is one of these.
pub(super) fn read(text: &[u8]) -> Option<OomLine<'_>> {
    if let Some((comm, _)) = around(text, b" invoked oom-killer: gfp_mask=") {
        return Some(OomLine::Invoked { comm });
    }
    if let Some(rest) = text.strip_prefix(b"oom-kill:constraint=") {
        return decision(rest);
    }
    if let Some(rest) = text.strip_prefix(b"CPU: ") {
        let (_, rest) = around(rest, b"PID: ")?;
        return Some(OomLine::Cpu { pid: leading(rest)?.0.try_into().ok()? });
    }
    if let Some(rest) = text.strip_prefix(b"[") {
        return task(rest);
    }
    if let Some(rest) = text.strip_prefix(b"memory: usage ") {
        let (usage_bytes, limit) = usage(rest)?;
        return Some(OomLine::Memory { usage_bytes, limit });
    }
    if let Some(rest) = text.strip_prefix(b"swap: usage ") {
        return Some(OomLine::Swap { usage_bytes: usage(rest)?.0 });
    }
    if let Some(rest) = text.strip_prefix(b"memory+swap: usage ") {
        return Some(OomLine::MemoryAndSwap { usage_bytes: usage(rest)?.0 });
    }
    if let Some(rest) = text.strip_prefix(b"Tasks in ") {
        let path = rest.strip_suffix(b" are going to be killed due to memory.oom.group set")?;
        return Some(OomLine::Group { path: CgroupPath::from_bytes(path) });
    }
    if let Some(rest) = text.strip_prefix(b"Task in ") {
        let (path, owner) = around(rest, b" killed as a result of limit of ")?;
        return Some(OomLine::Decision {
            constraint: Some(Constraint::Memcg),
            owner: Some(CgroupPath::from_bytes(owner)),
            path: Some(CgroupPath::from_bytes(path)),
            pid: None,
        });
    }
    kill(text)
}

/// After the bracket: the thread, which has the process's memory, then user and process.
fn task(rest: &[u8]) -> Option<OomLine<'_>> {
    let (thread, rest) = split_once(rest, b']')?;
    decimal(thread.trim_ascii_start())?;
    let mut figures = rest.split(|&b| b == b' ').filter(|figure| !figure.is_empty());
    let tgid = figures.nth(1).and_then(decimal)?;
    Some(OomLine::Task { tgid: tgid.try_into().ok()? })
}

/// After `oom-kill:constraint=`. Paths and the name may hold commas, so the fixed words are looked for: from the left up
/// to the paths, from the right down to the name.
fn decision(rest: &[u8]) -> Option<OomLine<'_>> {
    let (constraint, rest) = split_once(rest, b',')?;
    let (rest, _uid) = around_last(rest, b",uid=")?;
    let (rest, pid) = around_last(rest, b",pid=")?;
    // A name has at most 15 bytes, and may hold the word itself.
    let named = rest.len().saturating_sub(b",task=".len() + COMM_MAX_BYTES);
    let (rest, _comm) = around_from(rest, named, b",task=")?;
    let (rest, task_path) = around_last(rest, b",task_memcg=")?;
    let owner = around(rest, b",oom_memcg=").map(|(_, owner)| CgroupPath::from_bytes(owner));
    let constraint = constraint.strip_prefix(b"CONSTRAINT_").map(<[u8]>::to_ascii_lowercase);
    let constraint = constraint.and_then(|name| Constraint::from_name(str::from_utf8(&name).ok()?));
    let pid = decimal(pid).and_then(|pid| u32::try_from(pid).ok());
    Some(OomLine::Decision { constraint, owner, path: Some(CgroupPath::from_bytes(task_path)), pid })
}

/// `10240kB, limit 10240kB, failcnt 20`; no limit is the most that the kernel's counter holds.
fn usage(rest: &[u8]) -> Option<(u64, Limit)> {
    const MAX_KIB: u64 = (i64::MAX as u64) >> 12 << 2;
    let (usage, rest) = leading(rest)?;
    let (limit, _) = leading(rest.strip_prefix(b"kB, limit ")?)?;
    let limit = if limit >= MAX_KIB { Limit::Max } else { Limit::Value(limit.checked_mul(1024)?) };
    Some((usage.checked_mul(1024)?, limit))
}

/// `Memory cgroup out of memory: Killed process 1 (comm) total-vm:1kB, ...`. The name ends where the last
/// `) total-vm:` begins.
fn kill(text: &[u8]) -> Option<OomLine<'_>> {
    let (before, rest) = around(text, b"Killed process ")?;
    let scope = if before.starts_with(b"Memory cgroup out of memory") {
        Scope::Memcg
    } else if before.is_empty() || before.starts_with(b"Out of memory") {
        Scope::Other
    } else {
        return None;
    };
    let (pid, rest) = leading(rest)?;
    let rest = rest.strip_prefix(b" (").or_else(|| around(rest, b" (").map(|(_, rest)| rest))?;
    let (comm, figures) = around_last(rest, b") total-vm:")?;
    let kib = |name: &[u8]| -> Option<u64> {
        leading(around(figures, name)?.1).and_then(|(value, _)| value.checked_mul(1024))
    };
    let pid = u32::try_from(pid).ok()?;
    let adjustment = around(figures, b" oom_score_adj:").and_then(|(_, value)| signed(value));
    let victim = Victim {
        pid: Some(pid),
        tgid: Some(pid),
        comm: Some(comm.to_vec()),
        uid: around(figures, b" UID:").and_then(|(_, rest)| leading(rest)?.0.try_into().ok()),
        oom_score_adj: adjustment,
        total_vm_bytes: leading(figures).and_then(|(value, _)| value.checked_mul(1024)),
        anon_rss_bytes: kib(b"anon-rss:"),
        file_rss_bytes: kib(b"file-rss:"),
        shmem_rss_bytes: kib(b"shmem-rss:"),
        swap_bytes: None,
        pgtables_bytes: kib(b" pgtables:"),
    };
    Some(OomLine::Kill { scope, victim })
}

/// The number at the start, and what follows it.
fn leading(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(digits)?;
    Some((decimal(number)?, rest))
}

fn signed(text: &[u8]) -> Option<i16> {
    let digits = text.strip_prefix(b"-");
    let value = i16::try_from(leading(digits.unwrap_or(text))?.0).ok()?;
    Some(if digits.is_some() { -value } else { value })
}

/// `text` before and after the first `word` that begins at `from` or later.
fn around_from<'a>(text: &'a [u8], from: usize, word: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = from + text.get(from..)?.windows(word.len()).position(|window| window == word)?;
    let (before, rest) = text.split_at_checked(at)?;
    Some((before, rest.get(word.len()..)?))
}

/// `text` before and after the first `word`.
fn around<'a>(text: &'a [u8], word: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    around_from(text, 0, word)
}

/// `text` before and after the last `word`.
fn around_last<'a>(text: &'a [u8], word: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(word.len()).rposition(|window| window == word)?;
    let (before, rest) = text.split_at_checked(at)?;
    Some((before, rest.get(word.len()..)?))
}
