//! Offsets of the kernel's fields that the programs read.
//!
//! The agent finds these numbers at start and puts them into the programs' read-only data, which the kernel freezes:
//! the verifier then sees constants. Rust has no CO-RE, and needs none this way.

/// An offset that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// Offsets in the records of the classic tracepoints (tracefs `events/*/*/format`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceLayout {
    /// `root` of the cgroup events, 4 bytes.
    pub root: u32,
    /// `level`, 4 bytes.
    pub level: u32,
    /// `id`, 8 bytes.
    pub id: u32,
    /// `path`, a `__data_loc` word of 4 bytes.
    pub path: u32,
    /// `val` of `cgroup_notify_populated`, 4 bytes.
    pub val: u32,
    /// `pid` of `mark_victim`, 4 bytes.
    pub pid: u32,
    /// `comm`, a `__data_loc` word of 4 bytes.
    pub comm: u32,
    /// `total_vm`, 8 bytes, in kB; likewise the next three and `pgtables`.
    pub total_vm: u32,
    /// `anon_rss`.
    pub anon_rss: u32,
    /// `file_rss`.
    pub file_rss: u32,
    /// `shmem_rss`.
    pub shmem_rss: u32,
    /// `uid`, 4 bytes.
    pub uid: u32,
    /// `pgtables`.
    pub pgtables: u32,
    /// `oom_score_adj`, 2 bytes, signed.
    pub oom_score_adj: u32,
}

/// Offsets in the kernel's structs (BTF). Each is read with a load that the verifier checks against the type.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StructLayout {
    /// `cgroup.kn`, a pointer.
    pub cgroup_kn: u32,
    /// `cgroup.level`, 4 bytes.
    pub cgroup_level: u32,
    /// `cgroup.root`, a pointer.
    pub cgroup_root: u32,
    /// `kernfs_node.id`, 8 bytes.
    pub kn_id: u32,
    /// `cgroup_root.hierarchy_id`, 4 bytes.
    pub root_hierarchy_id: u32,
    /// 1 when the first argument of `mark_victim` is a task, 0 when it is a pid.
    pub victim_is_task: u32,
    /// 1 when its second argument is the user id.
    pub victim_has_uid: u32,
    /// `task_struct.pid`, 4 bytes.
    pub task_pid: u32,
    /// `task_struct.tgid`, 4 bytes.
    pub task_tgid: u32,
    /// `task_struct.comm`, 16 bytes.
    pub task_comm: u32,
    /// `task_struct.mm`, a pointer.
    pub task_mm: u32,
    /// `task_struct.signal`, a pointer.
    pub task_signal: u32,
    /// `task_struct.cgroups`, a pointer.
    pub task_cgroups: u32,
    /// `css_set.subsys[memory_cgrp_id]`, a pointer.
    pub css_set_memory: u32,
    /// `css_set.nr_tasks`, 4 bytes.
    pub css_set_tasks: u32,
    /// `css_set.dfl_cgrp`, a pointer to the cgroup of v2.
    pub css_set_unified: u32,
    /// `cgroup_subsys_state.cgroup`, a pointer.
    pub css_cgroup: u32,
    /// `signal_struct.oom_score_adj`, 2 bytes, signed.
    pub signal_oom_score_adj: u32,
    /// `mm_struct.total_vm`, 8 bytes, in pages.
    pub mm_total_vm: u32,
    /// The counter of anonymous pages in `mm_struct.rss_stat`, 8 bytes.
    pub mm_anon: u32,
    /// Likewise of file pages.
    pub mm_file: u32,
    /// Likewise of shared memory.
    pub mm_shmem: u32,
    /// 1 when the verifier refuses typed loads of `mm_struct.rss_stat`, so that a helper must read it.
    pub rss_by_helper: u32,
    /// `mm_struct.pgtables_bytes`, 8 bytes.
    pub mm_pgtables: u32,
    /// The counter of pages in swap.
    pub mm_swap: u32,
    /// `task_struct.flags`, 4 bytes.
    pub task_flags: u32,
    /// `task_struct.cred`, a pointer.
    pub task_cred: u32,
    /// `cred.uid`, 4 bytes.
    pub cred_uid: u32,
    /// `signal_struct.flags`, 4 bytes.
    pub signal_flags: u32,
    /// `signal_struct.nr_threads`, 4 bytes.
    pub signal_threads: u32,
    /// `signal_struct.live`, 4 bytes: threads that have not begun to exit.
    pub signal_live: u32,
    /// `signal_struct.sum_sched_runtime`, 8 bytes: of threads that are gone.
    pub signal_sum_runtime: u32,
    /// 1 when a task stays in its `css_set` until it runs for the last time (`cgroup_task_dead`, since 6.19), after its thread
    /// group has released it.
    pub tasks_leave_late: u32,
    /// `cgroup.self.parent`, a pointer to the state of the cgroup above.
    pub cgroup_parent_css: u32,
    /// `cgroup_subsys_state.parent`, a pointer.
    pub css_parent: u32,
    /// `oom_control.memcg`, a pointer.
    pub oom_memcg: u32,
    /// `oom_control.chosen`, a pointer.
    pub oom_chosen: u32,
    /// `oom_control.constraint`, 4 bytes.
    pub oom_constraint: u32,
    /// `mem_cgroup.css.cgroup`, a pointer. `css` is the first member, so a pointer to it is one to the `mem_cgroup`.
    pub memcg_cgroup: u32,
    /// `mem_cgroup.memory.usage`, 8 bytes, in pages.
    pub memcg_usage: u32,
    /// `mem_cgroup.memory.max`, 8 bytes, in pages.
    pub memcg_max: u32,
    /// `mem_cgroup.swap.usage`, of v1 `memsw.usage`, which share their place; 8 bytes, in pages.
    pub memcg_swap: u32,
    /// `mem_cgroup.oom_group`, 1 byte.
    pub memcg_oom_group: u32,
    /// 1 where the kernel allows programs to read memory by helper, 0 where only typed loads work.
    pub may_probe: u32,
    /// Bytes in a page as a power of two.
    pub page_shift: u32,
}

/// Both layouts, one read-only global of the programs.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Of the classic tracepoints.
    pub trace: TraceLayout,
    /// Of the kernel's structs.
    pub structs: StructLayout,
}

impl Layout {
    /// Nothing is known: every offset [`ABSENT`], every switch off.
    pub const UNKNOWN: Self = Self { trace: TraceLayout::UNKNOWN, structs: StructLayout::UNKNOWN };
}

impl TraceLayout {
    /// Every offset [`ABSENT`].
    pub const UNKNOWN: Self = Self {
        root: ABSENT,
        level: ABSENT,
        id: ABSENT,
        path: ABSENT,
        val: ABSENT,
        pid: ABSENT,
        comm: ABSENT,
        total_vm: ABSENT,
        anon_rss: ABSENT,
        file_rss: ABSENT,
        shmem_rss: ABSENT,
        uid: ABSENT,
        pgtables: ABSENT,
        oom_score_adj: ABSENT,
    };
}

impl StructLayout {
    /// Every offset [`ABSENT`], switches off, pages of 4 KiB.
    pub const UNKNOWN: Self = Self {
        cgroup_kn: ABSENT,
        cgroup_level: ABSENT,
        cgroup_root: ABSENT,
        kn_id: ABSENT,
        root_hierarchy_id: ABSENT,
        victim_is_task: 0,
        victim_has_uid: 0,
        task_pid: ABSENT,
        task_tgid: ABSENT,
        task_comm: ABSENT,
        task_mm: ABSENT,
        task_signal: ABSENT,
        task_cgroups: ABSENT,
        css_set_memory: ABSENT,
        css_set_tasks: ABSENT,
        css_set_unified: ABSENT,
        css_cgroup: ABSENT,
        signal_oom_score_adj: ABSENT,
        mm_total_vm: ABSENT,
        mm_anon: ABSENT,
        mm_file: ABSENT,
        mm_shmem: ABSENT,
        rss_by_helper: 0,
        mm_pgtables: ABSENT,
        mm_swap: ABSENT,
        task_flags: ABSENT,
        task_cred: ABSENT,
        cred_uid: ABSENT,
        signal_flags: ABSENT,
        signal_threads: ABSENT,
        signal_live: ABSENT,
        signal_sum_runtime: ABSENT,
        tasks_leave_late: 0,
        cgroup_parent_css: ABSENT,
        css_parent: ABSENT,
        oom_memcg: ABSENT,
        oom_chosen: ABSENT,
        oom_constraint: ABSENT,
        memcg_cgroup: ABSENT,
        memcg_usage: ABSENT,
        memcg_max: ABSENT,
        memcg_swap: ABSENT,
        memcg_oom_group: ABSENT,
        may_probe: 0,
        page_shift: 12,
    };
}

const _: () = assert!(size_of::<TraceLayout>() == 56);
const _: () = assert!(size_of::<StructLayout>() == 180);
const _: () = assert!(size_of::<Layout>() == 236);

#[cfg(feature = "user")]
mod user {
    // SAFETY: repr(C) of u32 alone: no padding, every bit pattern is a value.
    unsafe impl aya::Pod for super::Layout {}
}
