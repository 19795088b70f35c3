//! Reads the facts about a process from its `task_struct`.

use aya_ebpf::helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, generated};
use cgtap_abi::{ABSENT, COMM_BYTES, TaskFacts, present};

use crate::read::{Probed, Read, Typed, layout};

/// Fills a field and sets its bit, when this kernel has it.
macro_rules! load_field {
    ($reader:ident, $facts:ident.$field:ident = $base:expr, $offset:expr, $bit:expr, $map:expr) => {
        let offset = $offset;
        if offset != ABSENT {
            $facts.$field = $map($reader::read($base, offset));
            $facts.present |= $bit;
        }
    };
}
pub(crate) use load_field;

/// All facts about a task, from a pointer to it.
#[inline(always)]
pub fn load<R: Read>(facts: &mut TaskFacts, task: usize) {
    load_names::<R>(facts, task);
    load_memory::<R>(facts, task);
    load_cgroup::<R>(facts, task);
}

/// The same for the task that runs this program, in the way that this kernel allows.
#[inline(always)]
pub fn load_current(facts: &mut TaskFacts) {
    // Each helper only reads. Each is unknown to some kernel. The verifier skips the unused one, because the layout is a
    // constant for it.
    if layout!(structs.may_probe) != 0 {
        // SAFETY: as said.
        load::<Probed>(facts, unsafe { generated::bpf_get_current_task() } as usize);
    } else {
        // SAFETY: as said.
        load::<Typed>(facts, unsafe { generated::bpf_get_current_task_btf() } as usize);
    }
}

/// Only the cgroup of the task that runs this program.
#[inline(always)]
pub fn load_current_cgroup(facts: &mut TaskFacts) {
    if layout!(structs.may_probe) != 0 {
        // SAFETY: as in `load_current`.
        load_cgroup::<Probed>(facts, unsafe { generated::bpf_get_current_task() } as usize);
    } else {
        // SAFETY: as in `load_current`.
        load_cgroup::<Typed>(facts, unsafe { generated::bpf_get_current_task_btf() } as usize);
    }
}

#[inline(always)]
fn load_names<R: Read>(facts: &mut TaskFacts, task: usize) {
    load_field!(R, facts.pid = task, layout!(structs.task_pid), 0, |v: u32| v);
    load_field!(R, facts.tgid = task, layout!(structs.task_tgid), present::TGID, |v: u32| v);
    load_field!(R, facts.comm = task, layout!(structs.task_comm), present::COMM, |v: [u64; 2]| {
        // SAFETY: two words have the bytes of a comm.
        unsafe { core::mem::transmute::<[u64; 2], [u8; COMM_BYTES]>(v) }
    });
    if layout!(structs.task_signal) != ABSENT {
        let signal: usize = R::read(task, layout!(structs.task_signal));
        load_field!(
            R,
            facts.oom_score_adj = signal,
            layout!(structs.signal_oom_score_adj),
            present::OOM_SCORE_ADJ,
            |v: i16| i32::from(v)
        );
    }
    if layout!(structs.task_cred) != ABSENT {
        let cred: usize = R::read(task, layout!(structs.task_cred));
        load_field!(R, facts.uid = cred, layout!(structs.cred_uid), present::UID, |v: u32| v);
    }
}

/// Pages to bytes. A per-CPU counter is approximate and may be below 0; the kernel's own tracepoint clamps it too. Without
/// a branch, for the reason at `Probed`.
#[inline(always)]
pub fn pages(count: i64) -> u64 {
    ((count & !(count >> 63)) as u64) << (layout!(structs.page_shift) & 31)
}

#[inline(always)]
fn load_memory<R: Read>(facts: &mut TaskFacts, task: usize) {
    if layout!(structs.task_mm) == ABSENT {
        return;
    }
    let mm: usize = R::read(task, layout!(structs.task_mm));
    if mm == 0 {
        return;
    }
    load_field!(R, facts.total_vm_bytes = mm, layout!(structs.mm_total_vm), present::TOTAL_VM, pages);
    if layout!(structs.rss_by_helper) == 0 {
        load_rss::<R>(facts, mm);
    } else {
        load_rss::<Probed>(facts, mm);
    }
    load_field!(R, facts.pgtables_bytes = mm, layout!(structs.mm_pgtables), present::PGTABLES, |v: u64| v);
}

/// The counters of pages. Before 6.2 they are an array of `atomic_long_t`, where the verifier refuses a typed load
/// ("Type 'atomic_long_t' is not a struct").
#[inline(always)]
fn load_rss<R: Read>(facts: &mut TaskFacts, mm: usize) {
    load_field!(R, facts.anon_rss_bytes = mm, layout!(structs.mm_anon), present::ANON_RSS, pages);
    load_field!(R, facts.file_rss_bytes = mm, layout!(structs.mm_file), present::FILE_RSS, pages);
    load_field!(R, facts.shmem_rss_bytes = mm, layout!(structs.mm_shmem), present::SHMEM_RSS, pages);
    load_field!(R, facts.swap_bytes = mm, layout!(structs.mm_swap), present::SWAP, pages);
}

/// Id of a cgroup's directory and number of its hierarchy, from a `struct cgroup *`.
#[inline(always)]
pub fn cgroup_key<R: Read>(cgroup: usize) -> (u64, u32) {
    let kn: usize = R::read(cgroup, layout!(structs.cgroup_kn));
    let root: usize = R::read(cgroup, layout!(structs.cgroup_root));
    (R::read(kn, layout!(structs.kn_id)), R::read(root, layout!(structs.root_hierarchy_id)))
}

/// The state of the memory controller that charges a task; 0 where the layout is not known.
#[inline(always)]
pub fn memory_css<R: Read>(task: usize) -> usize {
    let css_set: usize = R::read(task, layout!(structs.task_cgroups));
    R::read(css_set, layout!(structs.css_set_memory))
}

/// The cgroup that is charged for the task's memory: `task->cgroups->subsys[memory]->cgroup`.
#[inline(always)]
fn load_cgroup<R: Read>(facts: &mut TaskFacts, task: usize) {
    if layout!(structs.task_cgroups) == ABSENT || layout!(structs.css_set_memory) == ABSENT {
        return;
    }
    let cgroup: usize = R::read(memory_css::<R>(task), layout!(structs.css_cgroup));
    (facts.cgroup_id, facts.hierarchy) = cgroup_key::<R>(cgroup);
    if facts.cgroup_id != 0 {
        facts.present |= present::CGROUP;
    }
}

/// A process inside a cgroup reaches its limit, and often this process is the chosen one. Then all facts that a typed
/// pointer to the victim would give can be read here. A pid and the classic record have fewer facts, and `/proc` may be
/// too late.
#[inline(always)]
pub fn load_if_current(facts: &mut TaskFacts, pid: u32) {
    let current = bpf_get_current_pid_tgid();
    if current as u32 != pid {
        return;
    }
    load_current(facts);
    // Without BTF there are no other facts.
    (facts.pid, facts.tgid) = (pid, (current >> 32) as u32);
    facts.present |= present::TGID;
    if let Ok(comm) = bpf_get_current_comm() {
        facts.comm = comm;
        facts.present |= present::COMM;
    }
}
