//! Facts about the running kernel. Nothing is decided here.

use std::path::Path;

use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported};
use cgtap_abi::{StructLayout, TraceLayout};

use super::btf::Btf;
use super::error::bpf;
use super::format::Format;
use super::tracefs::Tracefs;
use super::{KernelError, offsets};
use crate::model::Hook;

/// Where the kernel shows its BTF.
pub(super) const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// What `do_exit` calls before a task gives up its memory, in every kernel that accounts tasks (`CONFIG_TASKSTATS`).
pub(super) const EXIT_ENTRY: &str = "taskstats_exit";

/// What this kernel offers.
pub struct Facts {
    /// The structs' layout and the tracepoints that BTF knows, or why there is no BTF.
    pub(crate) btf: Result<BtfFacts, String>,
    /// Whether programs may read memory by helper, or why not.
    pub(crate) may_probe: Result<(), String>,
    /// The classic tracepoints' layout.
    pub(crate) trace: TraceLayout,
    /// Each hook's number in tracefs, or why it cannot be used as a classic tracepoint.
    pub(crate) tracepoints: Vec<(Hook, Result<u64, String>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct BtfFacts {
    pub(crate) layout: StructLayout,
    /// Tracepoints and functions that BTF knows.
    pub(crate) hooks: Vec<Hook>,
    /// Whether `sched_process_exit` fires after the task has given up its memory, and [`EXIT_ENTRY`] can be had instead.
    pub(crate) exit_is_late: bool,
}

/// Looks at BTF and tracefs. `host_root` is where the host's `/sys` is found.
pub fn probe(host_root: &Path) -> Facts {
    allow_locked_memory();
    let mut trace = TraceLayout::UNKNOWN;
    let may_probe = may_read_memory().map_err(|error| error.to_string());
    let tracefs =
        may_probe.clone().and_then(|()| Tracefs::open(host_root).map_err(|error| error.to_string()));
    let tracepoints = Hook::ALL.into_iter().filter(|hook| hook.is_tracepoint()).map(|hook| {
        if hook == Hook::SchedProcessExit {
            return (hook, Err("its record does not have the cgroup".to_owned()));
        }
        let found = tracefs.as_ref().map_err(Clone::clone);
        let found = found
            .and_then(|tracefs| tracepoint(tracefs, hook, &mut trace).map_err(|error| error.to_string()));
        (hook, found)
    });
    let tracepoints = tracepoints.collect();
    Facts { btf: btf_facts(Path::new(VMLINUX)), may_probe, trace, tracepoints }
}

/// Kernels before 5.11 count BPF memory against this limit; later ones do not look at it.
fn allow_locked_memory() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let unlimited = Rlimit { current: None, maximum: None };
    if let Err(error) = setrlimit(Resource::Memlock, unlimited) {
        tracing::debug!(%error, "RLIMIT_MEMLOCK stays as it is");
    }
}

/// Whether the classic programs may read what they need; without that there is no use for tracefs.
///
/// And it must then be left alone: under `lockdown=confidentiality`, where this helper is refused, tracefs is not set up,
/// and on 6.12 and 7.2 to mount it and let it go again is an oops in `tracefs_destroy_inode`.
fn may_read_memory() -> Result<(), KernelError> {
    match is_helper_supported(ProgramType::TracePoint, BpfHelper::BPF_FUNC_probe_read_kernel) {
        Ok(true) => Ok(()),
        Ok(false) => Err(KernelError("bpf_probe_read_kernel is refused (lockdown, or an old kernel)".into())),
        Err(error) => Err(bpf(error)),
    }
}

/// The facts of the BTF at `path`, or one line with the reason why it is of no use.
pub(super) fn btf_facts(path: &Path) -> Result<BtfFacts, String> {
    let data = std::fs::read(path).map_err(|source| KernelError::io(path.display(), source));
    data.and_then(read_btf).map_err(|error| error.to_string())
}

/// Everything that is ever asked of a BTF blob.
pub(crate) fn read_btf(data: Vec<u8>) -> Result<BtfFacts, KernelError> {
    let btf = Btf::parse(data)?;
    let mut hooks = Vec::new();
    for hook in Hook::ALL {
        let known = if hook.is_tracepoint() {
            btf.tracepoint_arguments(hook.as_str())?.is_some()
        } else {
            btf.has_function(hook.as_str())?
        };
        if known {
            hooks.push(hook);
        }
    }
    // The tracepoint was given its second argument when it was moved up.
    let exit = btf.tracepoint_arguments(Hook::SchedProcessExit.as_str())?;
    let exit_is_late = exit.is_some_and(|arguments| arguments.len() == 1) && btf.has_function(EXIT_ENTRY)?;
    Ok(BtfFacts { layout: offsets::structs(&btf)?, hooks, exit_is_late })
}

fn tracepoint(tracefs: &Tracefs, hook: Hook, layout: &mut TraceLayout) -> Result<u64, KernelError> {
    let format = Format::parse(hook.as_str(), &tracefs.format(hook.group(), hook.as_str())?)?;
    match hook {
        Hook::MarkVictim => offsets::add_victim_format(layout, &format)?,
        Hook::CgroupNotifyPopulated => offsets::add_populated_format(layout, &format)?,
        _ => offsets::add_cgroup_format(layout, &format)?,
    }
    tracefs.id(hook.group(), hook.as_str())
}

#[cfg(test)]
mod tests;
