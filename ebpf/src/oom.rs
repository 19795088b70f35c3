//! `oom:mark_victim`: the kernel has chosen a process and sent it SIGKILL.
//!
//! `TP_PROTO(struct task_struct *task, uid_t uid)`, before that `TP_PROTO(int pid)`; the change was backported into
//! stable series, so the agent asks BTF or tracefs which one this kernel has (`include/trace/events/oom.h`).

use aya_ebpf::{
    EbpfContext,
    macros::{btf_tracepoint, tracepoint},
    programs::{BtfTracePointContext, TracePointContext},
};
use cgtap_abi::{ABSENT, COMM_BYTES, OomDecision, OomRecord, Program, TaskFacts, present};

use crate::{
    decision,
    maps::{OOM, Run},
    read::{Probed, Read, Typed, data_loc, layout, probe_str},
    task::{self, load_field, load_if_current},
};

/// Submits the mark, with its decision if there is one.
#[inline(always)]
fn begin() -> Option<(Run, OomRecord)> {
    let run = Run::begin(Program::MarkVictim)?;
    let header = run.header;
    let decision = decision::of_current().map_or(OomDecision::NONE, |open| open.decision);
    Some((run, OomRecord { header, task: TaskFacts::UNKNOWN, decision }))
}

/// For kernels whose mark has only a pid: the other facts that can be read about the process.
#[inline(always)]
fn load_by_pid(facts: &mut TaskFacts, pid: u32) {
    facts.pid = pid;
    if let Some(open) = decision::of_current()
        && open.chosen.pid == pid
    {
        *facts = open.chosen;
        return;
    }
    load_if_current(facts, pid);
}

#[inline(always)]
fn submit<C: EbpfContext>(ctx: &C, run: &Run, record: &OomRecord) {
    run.end(ctx, OOM.output::<OomRecord>(record, 0).is_ok());
}

#[btf_tracepoint]
pub fn mark_victim_btf(ctx: BtfTracePointContext) -> i32 {
    let Some((run, mut record)) = begin() else { return 0 };
    let facts = &mut record.task;
    if layout!(structs.victim_is_task) == 0 {
        load_by_pid(facts, ctx.arg(0));
    } else {
        task::load::<Typed>(facts, ctx.arg(0));
        if layout!(structs.victim_has_uid) != 0 {
            facts.uid = ctx.arg(1);
            facts.present |= present::UID;
        }
    }
    submit(&ctx, &run, &record);
    0
}

#[tracepoint]
pub fn mark_victim(ctx: TracePointContext) -> u32 {
    let Some((run, mut record)) = begin() else { return 0 };
    let base = ctx.as_ptr() as usize;
    let facts = &mut record.task;
    let kib = |v: u64| v << 10;
    // First the facts from outside the record. A fact that the record has too is then overwritten by it.
    load_by_pid(facts, Probed::read(base, layout!(trace.pid)));
    load_field!(Probed, facts.total_vm_bytes = base, layout!(trace.total_vm), present::TOTAL_VM, kib);
    load_field!(Probed, facts.anon_rss_bytes = base, layout!(trace.anon_rss), present::ANON_RSS, kib);
    load_field!(Probed, facts.file_rss_bytes = base, layout!(trace.file_rss), present::FILE_RSS, kib);
    load_field!(Probed, facts.shmem_rss_bytes = base, layout!(trace.shmem_rss), present::SHMEM_RSS, kib);
    load_field!(Probed, facts.pgtables_bytes = base, layout!(trace.pgtables), present::PGTABLES, kib);
    load_field!(Probed, facts.uid = base, layout!(trace.uid), present::UID, |v: u32| v);
    load_field!(
        Probed,
        facts.oom_score_adj = base,
        layout!(trace.oom_score_adj),
        present::OOM_SCORE_ADJ,
        |v: i16| { i32::from(v) }
    );
    let comm = layout!(trace.comm);
    if comm != ABSENT {
        // SAFETY: the array has COMM_BYTES bytes.
        let read = unsafe { probe_str(data_loc(base, comm), facts.comm.as_mut_ptr(), COMM_BYTES as u32) };
        if read > 0 {
            facts.present |= present::COMM;
        }
    }
    submit(&ctx, &run, &record);
    0
}
