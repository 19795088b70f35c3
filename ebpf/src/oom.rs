//! `oom:mark_victim`: the kernel has chosen a process and sent it SIGKILL.
//!
//! `TP_PROTO(struct task_struct *task, uid_t uid)`, before that `TP_PROTO(int pid)`; the change was backported into
//! stable series, so the agent asks BTF or tracefs which one this kernel has (`include/trace/events/oom.h`).

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, generated::bpf_get_current_task},
    macros::{btf_tracepoint, tracepoint},
    programs::{BtfTracePointContext, TracePointContext},
};
use cgtap_abi::{ABSENT, COMM_BYTES, OomRecord, Program, present};

use crate::{
    maps::{OOM, Run},
    read::{Probed, Read, Typed, data_loc, layout, probe_str},
};

#[inline(always)]
fn empty(run: &Run) -> OomRecord {
    OomRecord {
        header: run.header,
        cgroup_id: 0,
        hierarchy: 0,
        present: 0,
        pid: 0,
        tgid: 0,
        uid: 0,
        oom_score_adj: 0,
        total_vm_bytes: 0,
        anon_rss_bytes: 0,
        file_rss_bytes: 0,
        shmem_rss_bytes: 0,
        pgtables_bytes: 0,
        comm: [0; COMM_BYTES],
    }
}

/// Fills a field and says that it is there, when this kernel has it.
macro_rules! load_field {
    ($reader:ident, $record:ident.$field:ident = $base:expr, $offset:expr, $bit:expr, $map:expr) => {
        let offset = $offset;
        if offset != ABSENT {
            $record.$field = $map($reader::read($base, offset));
            $record.present |= $bit;
        }
    };
}

#[inline(always)]
fn load_task<R: Read>(record: &mut OomRecord, task: usize) {
    load_field!(R, record.pid = task, layout!(structs.task_pid), 0, |v: u32| v);
    load_field!(R, record.tgid = task, layout!(structs.task_tgid), present::TGID, |v: u32| v);
    load_field!(R, record.comm = task, layout!(structs.task_comm), present::COMM, |v: [u64; 2]| {
        // SAFETY: two words have the bytes of a comm.
        unsafe { core::mem::transmute::<[u64; 2], [u8; COMM_BYTES]>(v) }
    });
    if layout!(structs.task_signal) != ABSENT {
        let signal: usize = R::read(task, layout!(structs.task_signal));
        load_field!(
            R,
            record.oom_score_adj = signal,
            layout!(structs.signal_oom_score_adj),
            present::OOM_SCORE_ADJ,
            |v: i16| i32::from(v)
        );
    }
}

/// Pages to bytes. A per-CPU counter is approximate and may be below 0; the kernel's own tracepoint clamps it too. Without
/// a branch, as `Probed` tells why.
#[inline(always)]
fn pages(count: i64) -> u64 {
    ((count & !(count >> 63)) as u64) << (layout!(structs.page_shift) & 31)
}

#[inline(always)]
fn load_memory<R: Read>(record: &mut OomRecord, task: usize) {
    if layout!(structs.task_mm) == ABSENT {
        return;
    }
    let mm: usize = R::read(task, layout!(structs.task_mm));
    if mm == 0 {
        return;
    }
    load_field!(R, record.total_vm_bytes = mm, layout!(structs.mm_total_vm), present::TOTAL_VM, pages);
    if layout!(structs.rss_by_helper) == 0 {
        load_rss::<R>(record, mm);
    } else {
        load_rss::<Probed>(record, mm);
    }
    load_field!(R, record.pgtables_bytes = mm, layout!(structs.mm_pgtables), present::PGTABLES, |v: u64| v);
}

/// The counters of resident pages. Before 6.2 they are an array of `atomic_long_t`, into which the verifier lets no typed
/// load ("Type 'atomic_long_t' is not a struct").
#[inline(always)]
fn load_rss<R: Read>(record: &mut OomRecord, mm: usize) {
    load_field!(R, record.anon_rss_bytes = mm, layout!(structs.mm_anon), present::ANON_RSS, pages);
    load_field!(R, record.file_rss_bytes = mm, layout!(structs.mm_file), present::FILE_RSS, pages);
    load_field!(R, record.shmem_rss_bytes = mm, layout!(structs.mm_shmem), present::SHMEM_RSS, pages);
}

/// The cgroup that pays for the victim's memory: `task->cgroups->subsys[memory]->cgroup`.
#[inline(always)]
fn load_cgroup<R: Read>(record: &mut OomRecord, task: usize) {
    if layout!(structs.task_cgroups) == ABSENT || layout!(structs.css_set_memory) == ABSENT {
        return;
    }
    let css_set: usize = R::read(task, layout!(structs.task_cgroups));
    let css: usize = R::read(css_set, layout!(structs.css_set_memory));
    let cgroup: usize = R::read(css, layout!(structs.css_cgroup));
    let kn: usize = R::read(cgroup, layout!(structs.cgroup_kn));
    let root: usize = R::read(cgroup, layout!(structs.cgroup_root));
    record.cgroup_id = R::read(kn, layout!(structs.kn_id));
    record.hierarchy = R::read(root, layout!(structs.root_hierarchy_id));
    if record.cgroup_id != 0 {
        record.present |= present::CGROUP;
    }
}

/// A cgroup's own limit is met by a process inside it, which is often the one that is chosen: then everything that a
/// typed pointer to the victim would tell is at hand, by helper. Neither a pid nor the classic record tells as much, and
/// `/proc` may come too late.
#[inline(always)]
fn add_current(record: &mut OomRecord) {
    let pid = record.pid;
    let current = bpf_get_current_pid_tgid();
    if current as u32 != pid {
        return;
    }
    // SAFETY: the helper only reads.
    let task = unsafe { bpf_get_current_task() } as usize;
    load_task::<Probed>(record, task);
    load_memory::<Probed>(record, task);
    load_cgroup::<Probed>(record, task);
    // Without BTF these are all there is.
    (record.pid, record.tgid) = (pid, (current >> 32) as u32);
    record.present |= present::TGID;
    if let Ok(comm) = bpf_get_current_comm() {
        record.comm = comm;
        record.present |= present::COMM;
    }
}

#[inline(always)]
fn submit<C: EbpfContext>(ctx: &C, run: &Run, record: &OomRecord) {
    run.end(ctx, OOM.output::<OomRecord>(record, 0).is_ok());
}

#[btf_tracepoint]
pub fn mark_victim_btf(ctx: BtfTracePointContext) -> i32 {
    let Some(run) = Run::begin(Program::MarkVictim) else { return 0 };
    let mut record = empty(&run);
    if layout!(structs.victim_is_task) == 0 {
        record.pid = ctx.arg(0);
        add_current(&mut record);
    } else {
        let task: usize = ctx.arg(0);
        load_task::<Typed>(&mut record, task);
        load_memory::<Typed>(&mut record, task);
        load_cgroup::<Typed>(&mut record, task);
        if layout!(structs.victim_has_uid) != 0 {
            record.uid = ctx.arg(1);
            record.present |= present::UID;
        }
    }
    submit(&ctx, &run, &record);
    0
}

#[tracepoint]
pub fn mark_victim(ctx: TracePointContext) -> u32 {
    let Some(run) = Run::begin(Program::MarkVictim) else { return 0 };
    let base = ctx.as_ptr() as usize;
    let mut record = empty(&run);
    let kib = |v: u64| v << 10;
    record.pid = Probed::read(base, layout!(trace.pid));
    // First what may be had beside the record; where both tell a thing, the record's own word stands.
    add_current(&mut record);
    load_field!(Probed, record.total_vm_bytes = base, layout!(trace.total_vm), present::TOTAL_VM, kib);
    load_field!(Probed, record.anon_rss_bytes = base, layout!(trace.anon_rss), present::ANON_RSS, kib);
    load_field!(Probed, record.file_rss_bytes = base, layout!(trace.file_rss), present::FILE_RSS, kib);
    load_field!(Probed, record.shmem_rss_bytes = base, layout!(trace.shmem_rss), present::SHMEM_RSS, kib);
    load_field!(Probed, record.pgtables_bytes = base, layout!(trace.pgtables), present::PGTABLES, kib);
    load_field!(Probed, record.uid = base, layout!(trace.uid), present::UID, |v: u32| v);
    load_field!(
        Probed,
        record.oom_score_adj = base,
        layout!(trace.oom_score_adj),
        present::OOM_SCORE_ADJ,
        |v: i16| { i32::from(v) }
    );
    let comm = layout!(trace.comm);
    if comm != ABSENT {
        // SAFETY: the array has COMM_BYTES bytes.
        let read = unsafe { probe_str(data_loc(base, comm), record.comm.as_mut_ptr(), COMM_BYTES as u32) };
        if read > 0 {
            record.present |= present::COMM;
        }
    }
    submit(&ctx, &run, &record);
    0
}
