//! `oom_kill_process`: the kernel has chosen a process to kill, and its arguments have the reason.
//!
//! `static void oom_kill_process(struct oom_control *oc, const char *message)` (`mm/oom_kill.c`). It runs under `oom_lock`,
//! so there is one decision at a time on a machine: the entry stores it, each `mark_victim` until the return copies it.

use aya_ebpf::{
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid},
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use cgtap_abi::{ABSENT, OomDecision, OpenDecision, Program, TaskFacts, decided, present};

use crate::{
    maps::{DECISION, Run},
    read::{Probed, Read, Typed, layout},
    task::{self, cgroup_key, load_field, memory_css, pages},
};

/// `SIGNAL_GROUP_EXIT` (`include/linux/sched/signal.h`) and `PF_EXITING` (`include/linux/sched.h`): both bit 2.
const DYING_SHIFT: u32 = 2;

/// `memory.oom.group` is read in at most this many cgroups above the victim; beyond that it is not known.
const GROUP_LEVELS: u32 = 16;

fn open() -> Option<*mut OpenDecision> {
    DECISION.get_ptr_mut(0)
}

/// The decision that the running task carries out, if any. A mark without one is of a process that is dying already.
#[inline(always)]
pub fn of_current() -> Option<&'static OpenDecision> {
    let open = open()?;
    // SAFETY: the map's memory; only a task that holds `oom_lock` comes here or changes it.
    let open = unsafe { &*open };
    let mine = open.decision.trigger_pid == bpf_get_current_pid_tgid() as u32;
    (open.decision.present & decided::MADE != 0 && mine).then_some(open)
}

#[inline(always)]
fn note<R: Read>(oc: usize) {
    let Some(run) = Run::begin(Program::OomKillProcess) else { return };
    let Some(open) = open() else { return };
    // SAFETY: as in `of_current`.
    let open = unsafe { &mut *open };
    open.decision = OomDecision::NONE;
    open.chosen = TaskFacts::UNKNOWN;
    let decision = &mut open.decision;
    decision.ktime_nsec = run.header.ktime_nsec;
    decision.present = decided::MADE;
    note_trigger(decision);
    note_owner::<R>(decision, oc);
    let chosen: usize = R::read(oc, layout!(structs.oom_chosen));
    decision.chosen_dying = dying::<R>(chosen);
    if layout!(structs.may_probe) != 0 {
        note_group(decision, memory_css::<R>(chosen), R::read(oc, layout!(structs.oom_memcg)));
    }
    // Only kernels whose mark has no more than a pid need it.
    if layout!(structs.victim_is_task) == 0 {
        task::load::<R>(&mut open.chosen, chosen);
    }
}

#[inline(always)]
fn note_trigger(decision: &mut OomDecision) {
    let current = bpf_get_current_pid_tgid();
    (decision.trigger_pid, decision.trigger_tgid) = (current as u32, (current >> 32) as u32);
    decision.trigger_comm = bpf_get_current_comm().unwrap_or_default();
    let mut facts = TaskFacts::UNKNOWN;
    task::load_current_cgroup(&mut facts);
    (decision.trigger_cgroup_id, decision.trigger_hierarchy) = (facts.cgroup_id, facts.hierarchy);
    if facts.present & present::CGROUP != 0 {
        decision.present |= decided::TRIGGER_CGROUP;
    }
}

#[inline(always)]
fn note_owner<R: Read>(decision: &mut OomDecision, oc: usize) {
    load_field!(
        R,
        decision.constraint = oc,
        layout!(structs.oom_constraint),
        decided::CONSTRAINT,
        |v: u32| v
    );
    let memcg: usize = R::read(oc, layout!(structs.oom_memcg));
    if memcg == 0 {
        return;
    }
    let cgroup: usize = R::read(memcg, layout!(structs.memcg_cgroup));
    (decision.owner_id, decision.owner_hierarchy) = cgroup_key::<R>(cgroup);
    decision.present |= decided::OWNER;
    load_field!(
        R,
        decision.owner_usage_bytes = memcg,
        layout!(structs.memcg_usage),
        decided::OWNER_USAGE,
        pages
    );
    load_field!(
        R,
        decision.owner_limit_pages = memcg,
        layout!(structs.memcg_max),
        decided::OWNER_LIMIT,
        |v: u64| v
    );
    load_field!(
        R,
        decision.owner_swap_bytes = memcg,
        layout!(structs.memcg_swap),
        decided::OWNER_SWAP,
        pages
    );
}

/// Whether `task_will_free_mem` holds: the kernel then marks the process and neither kills nor counts it.
#[inline(always)]
fn dying<R: Read>(task: usize) -> u32 {
    if layout!(structs.signal_flags) == ABSENT || layout!(structs.signal_threads) == ABSENT {
        return 0;
    }
    let signal: usize = R::read(task, layout!(structs.task_signal));
    let group: u32 = R::read(signal, layout!(structs.signal_flags));
    let threads: u32 = R::read(signal, layout!(structs.signal_threads));
    let flags: u32 = R::read(task, layout!(structs.task_flags));
    let alone = u32::from(threads == 1);
    ((group >> DYING_SHIFT) | ((flags >> DYING_SHIFT) & alone)) & 1
}

/// As `mem_cgroup_get_oom_group` does: from the victim's cgroup up to the one that reached its limit. By helper, because
/// the verifier does not know the types on the way up.
#[inline(always)]
fn note_group(decision: &mut OomDecision, victim: usize, owner: usize) {
    if layout!(structs.memcg_oom_group) == ABSENT || layout!(structs.css_parent) == ABSENT {
        return;
    }
    let (mut css, mut group) = (victim, 0u8);
    for _ in 0..GROUP_LEVELS {
        group |= Probed::read::<u8>(css, layout!(structs.memcg_oom_group));
        if css == owner || css == 0 {
            decision.group_kill = u32::from(group & 1);
            decision.present |= decided::GROUP;
            return;
        }
        css = Probed::read(css, layout!(structs.css_parent));
    }
}

#[inline(always)]
fn forget() {
    if let Some(open) = open() {
        // SAFETY: as in `of_current`.
        unsafe { (*open).decision.present = 0 };
    }
}

#[fentry]
pub fn oom_kill_process_fentry(ctx: FEntryContext) -> i32 {
    note::<Typed>(ctx.arg(0));
    0
}

#[fexit]
pub fn oom_kill_process_fexit(_ctx: FExitContext) -> i32 {
    forget();
    0
}

#[kprobe]
pub fn oom_kill_process_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(oc) = ctx.arg::<usize>(0) {
        note::<Probed>(oc);
    }
    0
}

#[kretprobe]
pub fn oom_kill_process_kretprobe(_ctx: RetProbeContext) -> u32 {
    forget();
    0
}
