//! What BTF says of the kernel's structs, tried on a task that is known: the agent's own.
//!
//! A program reads the agent's own `task_struct` as the others read a victim's, and compares that with `/proc/self`.
//! Whatever does not agree is not trusted: its offsets are taken back, and events do without it.

use aya::Ebpf;
use aya::maps::Array;
use aya::programs::{RawTracePoint, RawTracePointRunOptions, TestRun};
use cgtap_abi::{ABSENT, StructLayout, TaskFacts, present};
use procfs::process::Process;
use rustix::thread::gettid;

use super::KernelError;
use super::attach::find;
use super::error::bpf;
use crate::model::CgroupKey;

/// What `/proc` has of the thread that runs this.
#[derive(Clone, Debug, Default)]
struct Own {
    /// Thread and process id as the kernel counts them; not known inside a PID namespace, which counts its own.
    ids: Option<(u32, u32)>,
    /// User id in the initial user namespace; not known inside another.
    uid: Option<u32>,
    comm: Vec<u8>,
    oom_score_adj: i32,
    total_vm_bytes: u64,
    anon_rss_bytes: u64,
    file_rss_bytes: u64,
    shmem_rss_bytes: u64,
    swap_bytes: u64,
    pgtables_bytes: u64,
}

impl Own {
    fn read() -> Result<Self, KernelError> {
        let own = Process::myself().map_err(bpf)?;
        let task = own.task_from_tid(gettid().as_raw_nonzero().get()).map_err(bpf)?;
        let status = task.status().map_err(bpf)?;
        let bytes = |kib: Option<u64>| kib.unwrap_or_default() << 10;
        let ids = (status.pid.cast_unsigned(), status.tgid.cast_unsigned());
        Ok(Self {
            ids: is_initial("pid", INITIAL_PID_NAMESPACE).then_some(ids),
            uid: is_initial("user", INITIAL_USER_NAMESPACE).then_some(status.ruid),
            comm: status.name.into_bytes(),
            oom_score_adj: own.oom_score_adj().map_err(bpf)?.into(),
            total_vm_bytes: bytes(status.vmsize),
            anon_rss_bytes: bytes(status.rssanon),
            file_rss_bytes: bytes(status.rssfile),
            shmem_rss_bytes: bytes(status.rssshmem),
            swap_bytes: bytes(status.vmswap),
            pgtables_bytes: bytes(status.vmpte),
        })
    }
}

/// `PROC_PID_INIT_INO` and `PROC_USER_INIT_INO` (`include/linux/proc_ns.h`).
const INITIAL_PID_NAMESPACE: u64 = 0xefff_fffc;
const INITIAL_USER_NAMESPACE: u64 = 0xefff_fffd;

/// Whether this process is in the machine's first namespace of that kind.
fn is_initial(kind: &str, inode: u64) -> bool {
    let link = std::fs::read_link(format!("/proc/self/ns/{kind}"));
    link.is_ok_and(|link| link.as_os_str() == format!("{kind}:[{inode}]").as_str())
}

/// Takes back from `layout` what does not hold for the calling thread; the reasons, one each. `cgroup` is its memory
/// cgroup, where that is known.
pub(super) fn distrust(
    programs: &mut Ebpf,
    layout: &mut StructLayout,
    cgroup: Option<CgroupKey>,
) -> Vec<String> {
    let found = run(programs).and_then(|found| Ok((found, Own::read()?)));
    match found {
        Ok((found, own)) => compare(layout, &found, &own, cgroup),
        Err(error) => {
            // Without a proof there is no trust.
            distrust_tasks(layout);
            vec![format!("the layout of a task could not be tried: {error}")]
        }
    }
}

fn run(programs: &mut Ebpf) -> Result<TaskFacts, KernelError> {
    let program: &mut RawTracePoint = find(programs, "check_layout")?;
    program.load().map_err(bpf)?;
    program.test_run(RawTracePointRunOptions::new()).map_err(bpf)?;
    program.unload().map_err(bpf)?;
    let missing = || KernelError("the object has no map CHECKED".into());
    let map = programs.map("CHECKED").ok_or_else(missing)?;
    let map: Array<_, TaskFacts> = Array::try_from(map).map_err(bpf)?;
    map.get(&0, 0).map_err(bpf)
}

fn compare(
    layout: &mut StructLayout,
    found: &TaskFacts,
    own: &Own,
    cgroup: Option<CgroupKey>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let has = |bit: u32| found.present & bit != 0;
    let comm = found.comm.split(|&b| b == 0).next().unwrap_or_default();
    let ids = [
        (own.ids.is_some_and(|(pid, _)| found.pid != pid), "pid"),
        (has(present::TGID) && own.ids.is_some_and(|(_, tgid)| found.tgid != tgid), "tgid"),
        (has(present::COMM) && comm != own.comm, "comm"),
    ];
    let key = cgroup.map(|key| (key.id, key.hierarchy.0));
    let other_cgroup =
        has(present::CGROUP) && key.is_some_and(|key| key != (found.cgroup_id, found.hierarchy));
    for (_, name) in ids.iter().chain([&(other_cgroup, "memory cgroup")]).filter(|(differs, _)| *differs) {
        wrong.push(format!("BTF's place of a task's {name} does not hold for the agent's own"));
        distrust_tasks(layout);
    }
    if let Some(uid) = own.uid.filter(|uid| has(present::UID) && found.uid != *uid) {
        wrong.push(format!("BTF's place of a task's uid gives {}, the agent's is {uid}", found.uid));
        layout.task_cred = ABSENT;
    }
    if has(present::OOM_SCORE_ADJ) && found.oom_score_adj != own.oom_score_adj {
        wrong.push(format!(
            "BTF's place of oom_score_adj gives {}, the agent's is {}",
            found.oom_score_adj, own.oom_score_adj
        ));
        layout.signal_oom_score_adj = ABSENT;
    }
    compare_memory(layout, found, own, &mut wrong);
    wrong
}

fn compare_memory(layout: &mut StructLayout, found: &TaskFacts, own: &Own, wrong: &mut Vec<String>) {
    let page_bytes = 1u64 << layout.page_shift;
    let fields = [
        (present::TOTAL_VM, "total_vm", found.total_vm_bytes, own.total_vm_bytes, &mut layout.mm_total_vm),
        (present::ANON_RSS, "anon rss", found.anon_rss_bytes, own.anon_rss_bytes, &mut layout.mm_anon),
        (present::FILE_RSS, "file rss", found.file_rss_bytes, own.file_rss_bytes, &mut layout.mm_file),
        (present::SHMEM_RSS, "shmem rss", found.shmem_rss_bytes, own.shmem_rss_bytes, &mut layout.mm_shmem),
        (present::SWAP, "swap", found.swap_bytes, own.swap_bytes, &mut layout.mm_swap),
        (present::PGTABLES, "page tables", found.pgtables_bytes, own.pgtables_bytes, &mut layout.mm_pgtables),
    ];
    for (bit, name, found_bytes, own_bytes, offset) in fields {
        if found.present & bit != 0
            && found_bytes.abs_diff(own_bytes) > own_bytes / 4 + slack_bytes(page_bytes)
        {
            wrong.push(format!("BTF's place of {name} gives {found_bytes} bytes, the agent has {own_bytes}"));
            *offset = ABSENT;
        }
    }
}

/// How far the kernel's sum of a per-CPU counter may be from the counter's own value (`percpu_counter_batch` pages a
/// CPU), and what the agent's other threads may take meanwhile. A wrong offset gives a pointer or a flag word.
fn slack_bytes(page_bytes: u64) -> u64 {
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    (1 << 21) + cpus * (2 * cpus).max(32) * page_bytes
}

/// Nothing that starts at a task is known any more; what starts at a cgroup stays.
fn distrust_tasks(layout: &mut StructLayout) {
    let unknown = StructLayout::UNKNOWN;
    *layout = StructLayout {
        cgroup_kn: layout.cgroup_kn,
        cgroup_level: layout.cgroup_level,
        cgroup_root: layout.cgroup_root,
        cgroup_parent_css: layout.cgroup_parent_css,
        css_cgroup: layout.css_cgroup,
        kn_id: layout.kn_id,
        root_hierarchy_id: layout.root_hierarchy_id,
        victim_is_task: layout.victim_is_task,
        victim_has_uid: layout.victim_has_uid,
        may_probe: layout.may_probe,
        page_shift: layout.page_shift,
        ..unknown
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HierarchyId;

    fn layout() -> StructLayout {
        StructLayout {
            task_pid: 1,
            task_mm: 2,
            task_cred: 3,
            mm_anon: 4,
            mm_swap: 5,
            cgroup_kn: 6,
            signal_oom_score_adj: 7,
            oom_chosen: 8,
            ..StructLayout::UNKNOWN
        }
    }

    fn own() -> Own {
        Own {
            ids: Some((7, 7)),
            uid: Some(0),
            comm: b"cgtap".to_vec(),
            anon_rss_bytes: 20 << 20,
            ..Own::default()
        }
    }

    fn found() -> TaskFacts {
        let mut comm = [0; 16];
        comm[..5].copy_from_slice(b"cgtap");
        TaskFacts {
            pid: 7,
            tgid: 7,
            comm,
            anon_rss_bytes: 19 << 20,
            cgroup_id: 42,
            hierarchy: 4,
            present: u32::MAX,
            ..TaskFacts::UNKNOWN
        }
    }

    fn key(id: u64) -> Option<CgroupKey> {
        Some(CgroupKey { hierarchy: HierarchyId(4), id })
    }

    #[test]
    fn what_agrees_is_trusted() {
        let mut kept = layout();
        assert_eq!(compare(&mut kept, &found(), &own(), key(42)), Vec::<String>::new());
        assert_eq!(kept, layout());
        assert_eq!(compare(&mut kept, &found(), &own(), None), Vec::<String>::new());
    }

    #[test]
    fn inside_namespaces_ids_are_others_and_nothing_is_distrusted() {
        let mut kept = layout();
        let inside = Own { ids: None, uid: None, ..own() };
        let elsewhere = TaskFacts { pid: 9_001, tgid: 9_001, uid: 100_000, ..found() };
        assert_eq!(compare(&mut kept, &elsewhere, &inside, None), Vec::<String>::new());
        assert_eq!(kept, layout());
    }

    #[test]
    fn a_wrong_number_takes_its_field_away() {
        let mut kept = layout();
        let wrong = TaskFacts { anon_rss_bytes: 0xffff_8880_0000_0000, uid: 5, oom_score_adj: 9, ..found() };
        assert_eq!(compare(&mut kept, &wrong, &own(), key(42)).len(), 3);
        let wanted =
            StructLayout { mm_anon: ABSENT, task_cred: ABSENT, signal_oom_score_adj: ABSENT, ..layout() };
        assert_eq!(kept, wanted);
    }

    #[test]
    fn a_wrong_identity_takes_every_task_away() {
        let other_name = TaskFacts { comm: [b'x'; 16], ..found() };
        for (found, cgroup) in [
            (TaskFacts { pid: 8, ..found() }, key(42)),
            (TaskFacts { tgid: 8, ..found() }, key(42)),
            (other_name, key(42)),
            (found(), key(43)),
        ] {
            let mut kept = layout();
            assert_eq!(compare(&mut kept, &found, &own(), cgroup).len(), 1);
            assert_eq!(kept, StructLayout { cgroup_kn: 6, ..StructLayout::UNKNOWN });
        }
    }

    #[test]
    fn the_own_task_can_be_read() {
        let own = Own::read().unwrap();
        assert!(own.ids.is_none_or(|(pid, tgid)| pid > 0 && tgid == std::process::id()), "{own:?}");
        assert!(own.total_vm_bytes > own.anon_rss_bytes && own.anon_rss_bytes > 0, "{own:?}");
    }
}
