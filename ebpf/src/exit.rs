//! `sched_process_exit`: a task begins to end. Before 6.16 that comes late in `do_exit`, after the task has given up its memory;
//! `taskstats_exit` is called right before that.
//!
//! The first argument of both is the task, which is the current one (`include/trace/events/sched.h`, `kernel/taskstats.c`).
//! When it is the last of its
//! set of cgroups, they will be empty in a moment, and whoever waits for it may remove them a moment later: the agent is
//! told now, so that it can read their last values while they are there.

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

/// Tasks that are gone but for their last moment on a CPU. More at once are for the second reading.
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
    // The cgroup that pays for memory, on v1; on v2 that may be one above, where the controller ends.
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

/// Whether all these tasks are threads of one process of which no thread is left that has not begun to exit. A task leaves
/// its set of cgroups at the end of its exit, so when a process ends at once each of its threads sees others there.
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
    // Some that the process has let go are counted still. Only a process that had others needs that thought: one that had
    // none must not be taken for the last of a few.
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
