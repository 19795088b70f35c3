//! From BTF and tracefs to the numbers that the programs need.

use cgtap_abi::{ABSENT, StructLayout, TraceLayout};

use super::KernelError;
use super::btf::Btf;
use super::format::Format;

/// The layout of the kernel's structs. A member this kernel lacks is [`ABSENT`]; only corrupt BTF is an error.
pub(crate) fn structs(btf: &Btf) -> Result<StructLayout, KernelError> {
    let offset = |structure: &str, member: &str| -> Result<u32, KernelError> {
        Ok(btf.member(structure, member)?.map_or(ABSENT, |found| found.offset_bytes))
    };
    let victim = btf.tracepoint_arguments("mark_victim")?.unwrap_or_default();
    Ok(StructLayout {
        cgroup_kn: offset("cgroup", "kn")?,
        cgroup_level: offset("cgroup", "level")?,
        cgroup_root: offset("cgroup", "root")?,
        kn_id: offset("kernfs_node", "id")?,
        root_hierarchy_id: offset("cgroup_root", "hierarchy_id")?,
        victim_is_task: u32::from(victim.first() == Some(&true)),
        victim_has_uid: u32::from(victim.get(1) == Some(&false)),
        task_pid: offset("task_struct", "pid")?,
        task_tgid: offset("task_struct", "tgid")?,
        task_comm: offset("task_struct", "comm")?,
        task_mm: offset("task_struct", "mm")?,
        task_signal: offset("task_struct", "signal")?,
        task_cgroups: offset("task_struct", "cgroups")?,
        css_set_memory: css_set_memory(btf)?,
        css_set_tasks: offset("css_set", "nr_tasks")?,
        css_set_unified: offset("css_set", "dfl_cgrp")?,
        css_cgroup: offset("cgroup_subsys_state", "cgroup")?,
        signal_oom_score_adj: offset("signal_struct", "oom_score_adj")?,
        mm_total_vm: offset("mm_struct", "total_vm")?,
        mm_anon: rss_counter(btf, "MM_ANONPAGES")?,
        mm_file: rss_counter(btf, "MM_FILEPAGES")?,
        mm_shmem: rss_counter(btf, "MM_SHMEMPAGES")?,
        rss_by_helper: u32::from(btf.member("mm_struct", "rss_stat.count")?.is_some()),
        mm_pgtables: offset("mm_struct", "pgtables_bytes")?,
        mm_swap: rss_counter(btf, "MM_SWAPENTS")?,
        task_flags: offset("task_struct", "flags")?,
        task_cred: offset("task_struct", "cred")?,
        cred_uid: offset("cred", "uid")?,
        signal_flags: offset("signal_struct", "flags")?,
        signal_threads: offset("signal_struct", "nr_threads")?,
        signal_live: offset("signal_struct", "live")?,
        signal_sum_runtime: offset("signal_struct", "sum_sched_runtime")?,
        tasks_leave_late: u32::from(btf.has_function("cgroup_task_dead")?),
        cgroup_parent_css: offset("cgroup", "self.parent")?,
        css_parent: offset("cgroup_subsys_state", "parent")?,
        oom_memcg: offset("oom_control", "memcg")?,
        oom_chosen: offset("oom_control", "chosen")?,
        oom_constraint: offset("oom_control", "constraint")?,
        memcg_cgroup: offset("mem_cgroup", "css.cgroup")?,
        memcg_usage: offset("mem_cgroup", "memory.usage")?,
        memcg_max: offset("mem_cgroup", "memory.max")?,
        memcg_swap: offset("mem_cgroup", "swap.usage")?,
        memcg_oom_group: oom_group(btf)?,
        may_probe: 0,
        page_shift: rustix::param::page_size().trailing_zeros(),
    })
}

/// The program comes to a `mem_cgroup` by a pointer to its `css`, so that must be its first member.
fn oom_group(btf: &Btf) -> Result<u32, KernelError> {
    let css = btf.member("mem_cgroup", "css")?;
    let group = btf.member("mem_cgroup", "oom_group")?;
    Ok(match (css, group) {
        (Some(css), Some(group)) if css.offset_bytes == 0 => group.offset_bytes,
        _ => ABSENT,
    })
}

/// Where `css_set.subsys` has the memory controller; its index depends on the kernel's configuration.
fn css_set_memory(btf: &Btf) -> Result<u32, KernelError> {
    let (Some(subsys), Some(index)) = (btf.member("css_set", "subsys")?, btf.enumerator("memory_cgrp_id")?)
    else {
        return Ok(ABSENT);
    };
    subsys.element_bytes(8, index, 0)
}

/// `rss_stat` is an array of per-CPU counters since 6.2; before that it is a struct with an array `count`.
fn rss_counter(btf: &Btf, name: &str) -> Result<u32, KernelError> {
    let Some(index) = btf.enumerator(name)? else { return Ok(ABSENT) };
    if let Some(count) = btf.member("mm_struct", "rss_stat.count")? {
        return count.element_bytes(8, index, 0);
    }
    let Some(array) = btf.member("mm_struct", "rss_stat")? else { return Ok(ABSENT) };
    let Some((size, count)) = btf.element(array, "count")? else { return Ok(ABSENT) };
    array.element_bytes(size, index, count)
}

/// Adds what a cgroup event's format says to the layout.
pub(crate) fn add_cgroup_format(layout: &mut TraceLayout, format: &Format) -> Result<(), KernelError> {
    let found = (
        format.required("root", 4)?,
        format.required("level", 4)?,
        format.required("id", 8)?,
        format.required("path", 4)?,
    );
    let before = (layout.root, layout.level, layout.id, layout.path);
    if before != (ABSENT, ABSENT, ABSENT, ABSENT) && before != found {
        // One event class declares them all (`DECLARE_EVENT_CLASS(cgroup, ...)`), apart from `val`.
        return Err(KernelError("format of cgroup_*: the cgroup events do not share one layout".into()));
    }
    (layout.root, layout.level, layout.id, layout.path) = found;
    Ok(())
}

/// Adds what `cgroup_notify_populated` has beside the others.
pub(crate) fn add_populated_format(layout: &mut TraceLayout, format: &Format) -> Result<(), KernelError> {
    let value = format.required("val", 4)?;
    add_cgroup_format(layout, format)?;
    layout.val = value;
    Ok(())
}

/// Adds what `mark_victim`'s format says; all but the pid came later and may be missing.
pub(crate) fn add_victim_format(layout: &mut TraceLayout, format: &Format) -> Result<(), KernelError> {
    let optional = |name: &str, size: u32| format.optional(name, size).unwrap_or(ABSENT);
    layout.pid = format.required("pid", 4)?;
    layout.comm = optional("comm", 4);
    layout.total_vm = optional("total_vm", 8);
    layout.anon_rss = optional("anon_rss", 8);
    layout.file_rss = optional("file_rss", 8);
    layout.shmem_rss = optional("shmem_rss", 8);
    layout.uid = optional("uid", 4);
    layout.pgtables = optional("pgtables", 8);
    layout.oom_score_adj = optional("oom_score_adj", 2);
    Ok(())
}
