//! `sched_process_exit`: a task begins to end.
//!
//! The first argument is the task, which is the current one (`include/trace/events/sched.h`). When it is the last of its
//! set of cgroups, they will be empty in a moment, and whoever waits for it may remove them a moment later: the agent is
//! told now, so that it can read their last values while they are there.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use cgtap_abi::{LifecycleHead, Program};

use crate::{
    maps::{EXITS, Run},
    read::{Typed, layout, typed},
    task::{cgroup_key, memory_css},
};

#[btf_tracepoint]
pub fn sched_process_exit_btf(ctx: BtfTracePointContext) -> i32 {
    let task: usize = ctx.arg(0);
    let css_set: usize = typed(task, layout!(structs.task_cgroups));
    let tasks: u32 = typed(css_set, layout!(structs.css_set_tasks));
    if tasks != 1 {
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
    let record = LifecycleHead {
        header: run.header,
        id,
        parent_id: 0,
        hierarchy,
        level: 0,
        populated: 0,
        path_bytes: 0,
    };
    run.end(&ctx, EXITS.output::<LifecycleHead>(&record, 0).is_ok());
    0
}
