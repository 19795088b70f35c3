//! OOM records: the victim, and the decision that it fell to.

use std::mem::offset_of;

use cgtap_abi::{COMM_BYTES, Header, OomDecision, OomRecord, Program, TaskFacts, decided, present};

use super::{Bytes, RecordNumber};
use crate::kernel::KernelError;
use crate::kernel::clock::Clock;
use crate::model::{
    CgroupKey, Constraint, Decision, HierarchyId, Limit, LimitOwner, OomKill, Source, Trigger, Victim,
};

/// Where the parts of an [`OomRecord`] begin.
const TASK: usize = offset_of!(OomRecord, task);
const DECISION: usize = offset_of!(OomRecord, decision);

/// An [`OomRecord`]. `None` for a mark that is no kill: the kernel marks a process that is dying already, so that it may
/// take what is left of the memory, and counts nothing. Only decisions tell that, so only their rungs leave it out.
pub(crate) fn oom(
    bytes: &[u8],
    clock: Clock,
    source: Source,
) -> Result<(RecordNumber, Option<OomKill>), KernelError> {
    let record = Bytes(bytes);
    let number = record.record_number()?;
    if number.program != Program::MarkVictim {
        return Err(record.error("a lifecycle record in the OOM ring"));
    }
    let has_decisions = matches!(source, Source::Fentry | Source::Kprobe);
    let made = record.u32(DECISION + offset_of!(OomDecision, present))? & decided::MADE != 0;
    let dying = record.u32(DECISION + offset_of!(OomDecision, chosen_dying))? != 0;
    if has_decisions && (!made || dying) {
        return Ok((number, None));
    }
    let kill = OomKill {
        time: clock.wall(record.u64(offset_of!(Header, ktime_nsec))?),
        source,
        cgroup: cgroup(&record)?,
        path: None,
        victim: victim(&record)?,
        decision: if made { decision(&record)? } else { Decision::default() },
    };
    Ok((number, Some(kill)))
}

fn cgroup(record: &Bytes) -> Result<Option<CgroupKey>, KernelError> {
    let known = record.u32(TASK + offset_of!(TaskFacts, present))? & present::CGROUP != 0;
    let hierarchy = HierarchyId(record.u32(TASK + offset_of!(TaskFacts, hierarchy))?);
    let id = record.u64(TASK + offset_of!(TaskFacts, cgroup_id))?;
    Ok(known.then_some(CgroupKey { hierarchy, id }))
}

fn victim(record: &Bytes) -> Result<Victim, KernelError> {
    let bits = record.u32(TASK + offset_of!(TaskFacts, present))?;
    let has = |bit: u32| bits & bit != 0;
    let optional = |bit: u32, at: usize| if has(bit) { record.u64(TASK + at).map(Some) } else { Ok(None) };
    let adjustment = record.i32(TASK + offset_of!(TaskFacts, oom_score_adj))?;
    let (tgid, uid) =
        (record.u32(TASK + offset_of!(TaskFacts, tgid))?, record.u32(TASK + offset_of!(TaskFacts, uid))?);
    let comm = comm(record, TASK + offset_of!(TaskFacts, comm))?;
    Ok(Victim {
        pid: Some(record.u32(TASK + offset_of!(TaskFacts, pid))?),
        tgid: has(present::TGID).then_some(tgid),
        comm: has(present::COMM).then_some(comm),
        uid: has(present::UID).then_some(uid),
        oom_score_adj: has(present::OOM_SCORE_ADJ).then(|| i16::try_from(adjustment).ok()).flatten(),
        total_vm_bytes: optional(present::TOTAL_VM, offset_of!(TaskFacts, total_vm_bytes))?,
        anon_rss_bytes: optional(present::ANON_RSS, offset_of!(TaskFacts, anon_rss_bytes))?,
        file_rss_bytes: optional(present::FILE_RSS, offset_of!(TaskFacts, file_rss_bytes))?,
        shmem_rss_bytes: optional(present::SHMEM_RSS, offset_of!(TaskFacts, shmem_rss_bytes))?,
        swap_bytes: optional(present::SWAP, offset_of!(TaskFacts, swap_bytes))?,
        pgtables_bytes: optional(present::PGTABLES, offset_of!(TaskFacts, pgtables_bytes))?,
    })
}

fn comm(record: &Bytes, at: usize) -> Result<Vec<u8>, KernelError> {
    let comm: [u8; COMM_BYTES] = record.array(at)?;
    Ok(comm.split(|&b| b == 0).next().unwrap_or_default().to_vec())
}

fn decision(record: &Bytes) -> Result<Decision, KernelError> {
    let bits = record.u32(DECISION + offset_of!(OomDecision, present))?;
    let ktime_nsec = record.u64(DECISION + offset_of!(OomDecision, ktime_nsec))?;
    let constraint = record.u32(DECISION + offset_of!(OomDecision, constraint))?;
    let group = record.u32(DECISION + offset_of!(OomDecision, group_kill))? != 0;
    Ok(Decision {
        // Decisions are made one at a time and take longer than this unit, which every JSON reader can hold.
        incident: Some(ktime_nsec / 1000),
        constraint: (bits & decided::CONSTRAINT != 0).then(|| constraint_of(constraint)).flatten(),
        owner: if bits & decided::OWNER != 0 { Some(owner(record, bits)?) } else { None },
        trigger: Some(trigger(record, bits)?),
        group_kill: (bits & decided::GROUP != 0).then_some(group),
    })
}

/// `enum oom_constraint` (`include/linux/oom.h`).
fn constraint_of(value: u32) -> Option<Constraint> {
    match value {
        0 => Some(Constraint::None),
        1 => Some(Constraint::Cpuset),
        2 => Some(Constraint::MemoryPolicy),
        3 => Some(Constraint::Memcg),
        _ => None,
    }
}

fn owner(record: &Bytes, bits: u32) -> Result<LimitOwner, KernelError> {
    let optional =
        |bit: u32, at: usize| if bits & bit != 0 { record.u64(DECISION + at).map(Some) } else { Ok(None) };
    let hierarchy = HierarchyId(record.u32(DECISION + offset_of!(OomDecision, owner_hierarchy))?);
    let id = record.u64(DECISION + offset_of!(OomDecision, owner_id))?;
    let usage_bytes = optional(decided::OWNER_USAGE, offset_of!(OomDecision, owner_usage_bytes))?;
    let limit_pages = optional(decided::OWNER_LIMIT, offset_of!(OomDecision, owner_limit_pages))?;
    let swap_bytes = optional(decided::OWNER_SWAP, offset_of!(OomDecision, owner_swap_bytes))?;
    Ok(LimitOwner {
        key: Some(CgroupKey { hierarchy, id }),
        path: None,
        kind: None,
        usage_bytes,
        limit: limit_pages.map(limit),
        swap_usage_bytes: match hierarchy {
            HierarchyId::V2 => swap_bytes,
            // v1 counts memory and swap together, or nothing at all where swap is not accounted.
            _ => swap_bytes.zip(usage_bytes).and_then(|(both, memory)| both.checked_sub(memory)),
        },
    })
}

/// The kernel keeps "no limit" as the most pages that a `long` of bytes has (`PAGE_COUNTER_MAX`).
fn limit(pages: u64) -> Limit {
    let page_bytes = rustix::param::page_size() as u64;
    if pages >= i64::MAX as u64 / page_bytes { Limit::Max } else { Limit::Value(pages * page_bytes) }
}

fn trigger(record: &Bytes, bits: u32) -> Result<Trigger, KernelError> {
    let hierarchy = HierarchyId(record.u32(DECISION + offset_of!(OomDecision, trigger_hierarchy))?);
    let id = record.u64(DECISION + offset_of!(OomDecision, trigger_cgroup_id))?;
    Ok(Trigger {
        pid: Some(record.u32(DECISION + offset_of!(OomDecision, trigger_tgid))?),
        comm: Some(comm(record, DECISION + offset_of!(OomDecision, trigger_comm))?),
        cgroup: (bits & decided::TRIGGER_CGROUP != 0).then_some(CgroupKey { hierarchy, id }),
        path: None,
    })
}
