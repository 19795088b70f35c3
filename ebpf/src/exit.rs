//! `sched_process_exit`: a task begins to exit. Before 6.16 it fires late in `do_exit`, after the task has given up its memory;
//! `taskstats_exit` is called right before that.
//!
//! The first argument of both is the task, which is the current one (`include/trace/events/sched.h`, `kernel/taskstats.c`).
//! When it is the last of its
//! set of cgroups, these will soon be empty, and the process that waits for it may then remove them. So the agent gets a
//! record now, to read their last values while they exist.

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_F_CURRENT_CPU,
    helpers::generated::bpf_perf_event_output,
    macros::{btf_tracepoint, fentry},
    programs::{BtfTracePointContext, FEntryContext},
};
use cgtap_abi::{ABSENT, ExitRecord, Program};

use crate::{
    maps::{CPU_EXITS, EXITS, Run},
    read::{Typed, layout, typed},
    task::{cgroup_key, memory_css},
};

/// Tasks that have exited except for their last moment on a CPU. If there are more, the second reading covers them.
const MAX_ON_THEIR_WAY: u32 = 8;

#[btf_tracepoint]
pub fn sched_process_exit_btf(ctx: BtfTracePointContext) -> i32 {
    exiting(ctx.arg(0), &ctx)
}

#[fentry]
pub fn sched_process_exit_fentry(ctx: FEntryContext) -> i32 {
    exiting(ctx.arg(0), &ctx)
}

#[inline(always)]
fn exiting<C: EbpfContext>(task: usize, ctx: &C) -> i32 {
    let css_set: usize = typed(task, layout!(structs.task_cgroups));
    let tasks: u32 = typed(css_set, layout!(structs.css_set_tasks));
    if tasks != 1 && !are_of_one_process(task, tasks) {
        return 0;
    }
    // The cgroup that is charged for memory on v1. On v2 it may be an ancestor, where the controller ends.
    let css: usize = memory_css::<Typed>(task);
    let memory: usize = typed(css, layout!(structs.css_cgroup));
    let (mut id, mut hierarchy) = cgroup_key::<Typed>(memory);
    if hierarchy == 0 {
        let unified: usize = typed(css_set, layout!(structs.css_set_unified));
        (id, hierarchy) = cgroup_key::<Typed>(unified);
    }
    let Some(run) = Run::begin(Program::SchedProcessExit) else { return 0 };
    let record = ExitRecord { header: run.header, id, hierarchy, reserved: 0 };
    run.end(ctx, output(ctx, &record));
    0
}

/// Whether all these tasks are threads of one process, all of which have begun to exit. A task leaves its set of cgroups
/// at the end of its exit, so when all threads exit at the same time, each of them sees others there.
#[inline(always)]
fn are_of_one_process(task: usize, tasks: u32) -> bool {
    if layout!(structs.task_signal) == ABSENT
        || layout!(structs.signal_live) == ABSENT
        || layout!(structs.signal_threads) == ABSENT
    {
        return false;
    }
    let signal: usize = typed(task, layout!(structs.task_signal));
    let live: u32 = typed(signal, layout!(structs.signal_live));
    let threads: u32 = typed(signal, layout!(structs.signal_threads));
    if live != 0 {
        return false;
    }
    if layout!(structs.tasks_leave_late) == 0 || layout!(structs.signal_sum_runtime) == ABSENT {
        return tasks <= threads;
    }
    // Threads that the process has released still count. This matters only for a process that had other threads: a
    // process without them must not pass for the last of several tasks.
    let runtime_of_gone: u64 = typed(signal, layout!(structs.signal_sum_runtime));
    tasks <= threads || (runtime_of_gone != 0 && tasks <= threads + MAX_ON_THEIR_WAY)
}

#[inline(always)]
fn output<C: EbpfContext>(ctx: &C, record: &ExitRecord) -> bool {
    // SAFETY: the map outlives the program; the record is read as far as its own size.
    let failed = unsafe {
        bpf_perf_event_output(
            ctx.as_ptr(),
            (&raw const CPU_EXITS).cast_mut().cast(),
            BPF_F_CURRENT_CPU.into(),
            (&raw const *record).cast_mut().cast(),
            size_of::<ExitRecord>() as u64,
        )
    };
    failed == 0 || EXITS.output::<ExitRecord>(record, 0).is_ok()
}
