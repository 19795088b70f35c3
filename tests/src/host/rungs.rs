//! Which rungs of both ladders this host must offer. The kernel is asked, not the agent, so that an agent that fails to attach
//! fails the test instead of skipping it.

use std::path::Path;
use std::sync::LazyLock;

use super::{Check, bpf_probe_read, memory_cgroups, root};
use crate::hierarchies::Hierarchies;

/// Where events come from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// BPF at the entry of `oom_kill_process`, by fentry.
    Fentry,
    /// The same by a kprobe.
    Kprobe,
    /// BPF on a typed tracepoint.
    TpBtf,
    /// BPF on a classic tracepoint.
    Tracepoint,
    /// `memory.events` of v2.
    MemoryEvents,
    /// `memory.oom_control` of v1.
    OomControl,
    /// The kernel log.
    Kmsg,
    /// Watched directories.
    Inotify,
    /// Walks of the tree on an interval.
    Walk,
}

impl Rung {
    /// The value for `--lifecycle-source` and `--oom-source`.
    #[must_use]
    pub fn flag(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::TpBtf => "tp_btf",
            Self::Tracepoint => "tracepoint",
            Self::MemoryEvents => "memory_events",
            Self::OomControl => "oom_control",
            Self::Kmsg => "kmsg",
            Self::Inotify => "inotify",
            Self::Walk => "walk",
        }
    }

    /// Whether it sees the kernel's decision, and not only the killed process.
    #[must_use]
    pub fn sees_decisions(self) -> bool {
        matches!(self, Self::Fentry | Self::Kprobe)
    }

    /// Whether BPF programs report each change in order. The other rungs read the state.
    #[must_use]
    pub fn reports_each(self) -> bool {
        matches!(self, Self::TpBtf | Self::Tracepoint)
    }

    /// Whether this host must be able to serve it.
    ///
    /// # Errors
    /// The reason why not.
    pub fn must_serve(self) -> Check {
        match self {
            Self::Fentry | Self::Kprobe | Self::TpBtf | Self::Tracepoint => bpf(self),
            Self::MemoryEvents => memory_cgroups().and_then(|()| memory_is(true)),
            Self::OomControl => memory_cgroups().and_then(|()| memory_is(false)),
            Self::Kmsg => {
                std::fs::File::open("/dev/kmsg").map(drop).map_err(|e| format!("needs /dev/kmsg: {e}"))
            }
            Self::Inotify | Self::Walk => Ok(()),
        }
    }
}

fn memory_is(v2: bool) -> Check {
    let found = Hierarchies::of_this_host().map_err(|e| e.to_string())?;
    if found.memory_is_v2() == v2 {
        return Ok(());
    }
    Err(format!("needs the memory controller on cgroup {}", if v2 { "v2" } else { "v1" }))
}

const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Whether this host must be able to serve this rung of BPF.
///
/// # Errors
/// The reason why not.
pub fn bpf(rung: Rung) -> Check {
    root()?;
    let bits = effective_capabilities()?;
    let has = |capability: u32| bits >> capability & 1 == 1;
    if !(has(CAP_SYS_ADMIN) || has(CAP_BPF) && has(CAP_PERFMON)) {
        return Err("needs CAP_BPF and CAP_PERFMON".to_owned());
    }
    match rung {
        Rung::Fentry => btf().and_then(|()| oom_function()).and_then(|()| functions_may_be_traced()),
        Rung::Kprobe => btf().and_then(|()| oom_function()).and_then(|()| kprobes()),
        // Typed loads are allowed under lockdown.
        Rung::TpBtf => btf(),
        Rung::Tracepoint => bpf_probe_read(),
        other => Err(format!("{} is not BPF", other.flag())),
    }
}

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

fn btf() -> Check {
    if Path::new(VMLINUX).exists() {
        return Ok(());
    }
    Err(format!("needs the kernel's BTF, and there is no {VMLINUX}"))
}

/// Whether BTF has this name, of any kind. Its strings stand between NULs.
fn btf_has(name: &str) -> bool {
    static BTF: LazyLock<Vec<u8>> = LazyLock::new(|| std::fs::read(VMLINUX).unwrap_or_default());
    let wanted = format!("\0{name}\0");
    BTF.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}

fn oom_function() -> Check {
    if btf_has("oom_kill_process") {
        return Ok(());
    }
    Err("needs the function oom_kill_process, and BTF does not have it".to_owned())
}

/// No file says whether the entry of a function may be changed. The kernel that refused it was locked down and built without
/// kprobes.
fn functions_may_be_traced() -> Check {
    if lockdown().is_none_or(|mode| mode != "none") && !Path::new(KPROBES).exists() {
        return Err(
            "needs to trace functions: the kernel has no kprobes and is or may be locked down".to_owned()
        );
    }
    Ok(())
}

const KPROBES: &str = "/sys/bus/event_source/devices/kprobe";

fn kprobes() -> Check {
    if !Path::new(KPROBES).exists() {
        return Err(format!("needs kprobes, and there is no {KPROBES}"));
    }
    if lockdown().is_some_and(|mode| mode != "none") {
        return Err("needs kprobes, which lockdown refuses".to_owned());
    }
    Ok(())
}

/// `none`, `integrity` or `confidentiality`; `None` where securityfs is not mounted.
fn lockdown() -> Option<String> {
    let text = std::fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

/// Whether `mark_victim` has more than a thread id: then BTF has its record with the victim's memory.
#[must_use]
pub fn victims_are_reported() -> bool {
    btf_has("shmem_rss")
}

pub(super) fn effective_capabilities() -> Result<u64, String> {
    let status =
        std::fs::read_to_string("/proc/self/status").map_err(|e| format!("/proc/self/status: {e}"))?;
    let line =
        status.lines().find_map(|l| l.strip_prefix("CapEff:")).ok_or("/proc/self/status has no CapEff")?;
    u64::from_str_radix(line.trim(), 16).map_err(|e| format!("CapEff {line}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rung_that_is_no_bpf_is_not_asked_of_bpf() {
        assert!(bpf(Rung::Walk).is_err());
        assert_eq!(Rung::Walk.must_serve(), Ok(()));
    }

    #[test]
    fn names_in_btf_are_whole() {
        assert!(!btf_has("oom_kill_proces"), "a part of a name is no name");
    }
}
