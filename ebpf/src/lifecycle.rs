//! `cgroup_mkdir`, `cgroup_rmdir`, `cgroup_rename` and `cgroup_notify_populated`.
//!
//! `TP_PROTO(struct cgroup *cgrp, const char *path)`, and `int val` for the last
//! (`include/trace/events/cgroup.h`). `path` is from the root of the cgroup's hierarchy.

use aya_ebpf::{
    EbpfContext,
    helpers::generated::bpf_ringbuf_output,
    macros::{btf_tracepoint, tracepoint},
    programs::{BtfTracePointContext, TracePointContext},
};
use cgtap_abi::{LIFECYCLE_FIXED_BYTES, PATH_BYTES, Program};

use crate::{
    maps::{LIFECYCLE, Run, SCRATCH},
    read::{Probed, Read, data_loc, layout, probe_str, typed},
};

/// What both forms of a program have.
struct Facts {
    hierarchy: u32,
    level: u32,
    id: u64,
    populated: u32,
    /// The parent directory, where there is no path.
    parent_id: u64,
    /// Address of the path; 0 where it cannot be read.
    path: usize,
}

#[inline(always)]
fn submit<C: EbpfContext>(ctx: &C, program: Program, facts: &Facts) -> Option<()> {
    let run = Run::begin(program)?;
    let record = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the map's memory of this CPU; see `SCRATCH` for why no other program writes it now.
    let record = unsafe { &mut *record };
    record.header = run.header;
    record.id = facts.id;
    record.hierarchy = facts.hierarchy;
    record.level = facts.level;
    record.populated = facts.populated;
    record.parent_id = facts.parent_id;
    record.path_bytes = if layout!(structs.may_probe) != 0 {
        // SAFETY: the array has PATH_BYTES bytes.
        unsafe { probe_str(facts.path, record.path.as_mut_ptr(), PATH_BYTES as u32) }
    } else {
        0
    };
    // The compiler proves the bound and drops the check; the verifier cannot follow that proof. So the value is read
    // back from memory, where the compiler knows nothing of it, and masked.
    // SAFETY: a read of the record.
    let path_bytes =
        unsafe { core::ptr::read_volatile(&raw const record.path_bytes) } & (PATH_BYTES as u32 - 1);
    let bytes = LIFECYCLE_FIXED_BYTES as u64 + u64::from(path_bytes);
    // SAFETY: `bytes` is at most the record's size; the helper copies it.
    let failed = unsafe {
        bpf_ringbuf_output((&raw const LIFECYCLE).cast_mut().cast(), (&raw mut *record).cast(), bytes, 0)
    };
    run.end(ctx, failed == 0);
    Some(())
}

#[inline(always)]
fn typed_facts(ctx: &BtfTracePointContext, populated: u32) -> Facts {
    let cgroup: usize = ctx.arg(0);
    let kn: usize = typed(cgroup, layout!(structs.cgroup_kn));
    let root: usize = typed(cgroup, layout!(structs.cgroup_root));
    Facts {
        hierarchy: typed(root, layout!(structs.root_hierarchy_id)),
        level: typed(cgroup, layout!(structs.cgroup_level)),
        id: typed(kn, layout!(structs.kn_id)),
        populated,
        parent_id: if layout!(structs.may_probe) != 0 { 0 } else { parent_id(cgroup) },
        path: ctx.arg(1),
    }
}

/// The parent directory: with it the agent completes a path from the paths that it knows. The root has none, which gives
/// 0.
#[inline(always)]
fn parent_id(cgroup: usize) -> u64 {
    let css: usize = typed(cgroup, layout!(structs.cgroup_parent_css));
    let parent: usize = typed(css, layout!(structs.css_cgroup));
    let kn: usize = typed(parent, layout!(structs.cgroup_kn));
    typed(kn, layout!(structs.kn_id))
}

#[inline(always)]
fn traced_facts(ctx: &TracePointContext, populated: u32) -> Facts {
    let record = ctx.as_ptr() as usize;
    Facts {
        hierarchy: Probed::read(record, layout!(trace.root)),
        level: Probed::read(record, layout!(trace.level)),
        id: Probed::read(record, layout!(trace.id)),
        populated,
        parent_id: 0,
        path: data_loc(record, layout!(trace.path)),
    }
}

/// Both forms of an event without `val`.
macro_rules! directory_event {
    ($name:ident, $btf_name:ident, $program:expr) => {
        #[btf_tracepoint]
        pub fn $btf_name(ctx: BtfTracePointContext) -> i32 {
            submit(&ctx, $program, &typed_facts(&ctx, 0));
            0
        }

        #[tracepoint]
        pub fn $name(ctx: TracePointContext) -> u32 {
            submit(&ctx, $program, &traced_facts(&ctx, 0));
            0
        }
    };
}

directory_event!(cgroup_mkdir, cgroup_mkdir_btf, Program::CgroupMkdir);
directory_event!(cgroup_rmdir, cgroup_rmdir_btf, Program::CgroupRmdir);
directory_event!(cgroup_rename, cgroup_rename_btf, Program::CgroupRename);

#[btf_tracepoint]
pub fn cgroup_notify_populated_btf(ctx: BtfTracePointContext) -> i32 {
    let populated: u32 = ctx.arg(2);
    submit(&ctx, Program::CgroupNotifyPopulated, &typed_facts(&ctx, populated));
    0
}

#[tracepoint]
pub fn cgroup_notify_populated(ctx: TracePointContext) -> u32 {
    let populated = Probed::read(ctx.as_ptr() as usize, layout!(trace.val));
    submit(&ctx, Program::CgroupNotifyPopulated, &traced_facts(&ctx, populated));
    0
}
