//! OOM records: the victim, and the decision that it fell to.

use cgtap_abi::{COMM_BYTES, OomDecision, OomRecord, Program, TaskFacts, decided, present};

use super::{RecordNumber, error, read, record_number};
use crate::kernel::KernelError;
use crate::kernel::clock::Clock;
use crate::model::{
    CgroupKey, Constraint, Decision, HierarchyId, Limit, LimitOwner, OomKill, Source, Trigger, Victim,
};

/// An [`OomRecord`]. `None` for a mark that is no kill: the kernel marks a process that is dying already, so that it may
/// take what is left of the memory, and counts nothing. Only decisions show that, so only their rungs leave it out.
pub(crate) fn oom(
    bytes: &[u8],
    clock: Clock,
    source: Source,
) -> Result<(RecordNumber, Option<OomKill>), KernelError> {
    let number = record_number(bytes)?;
    if number.program != Program::MarkVictim {
        return Err(error(bytes, "a lifecycle record in the OOM ring"));
    }
    let OomRecord { header, task, decision: facts } = read(bytes)?;
    let has_decisions = matches!(source, Source::Fentry | Source::Kprobe);
    let made = facts.present & decided::MADE != 0;
    if has_decisions && (!made || facts.chosen_dying != 0) {
        return Ok((number, None));
    }
    let known = task.present & present::CGROUP != 0;
    let kill = OomKill {
        time: clock.wall(header.ktime_nsec),
        source,
        cgroup: known.then_some(key(task.hierarchy, task.cgroup_id)),
        path: None,
        victim: victim(&task),
        decision: if made { decision(&facts) } else { Decision::default() },
    };
    Ok((number, Some(kill)))
}

fn key(hierarchy: u32, id: u64) -> CgroupKey {
    CgroupKey { hierarchy: HierarchyId(hierarchy), id }
}

fn comm(bytes: [u8; COMM_BYTES]) -> Vec<u8> {
    bytes.split(|&b| b == 0).next().unwrap_or_default().to_vec()
}

fn victim(task: &TaskFacts) -> Victim {
    let has = |bit: u32| task.present & bit != 0;
    let adjustment = i16::try_from(task.oom_score_adj).ok();
    Victim {
        pid: Some(task.pid),
        tgid: has(present::TGID).then_some(task.tgid),
        comm: has(present::COMM).then(|| comm(task.comm)),
        uid: has(present::UID).then_some(task.uid),
        oom_score_adj: adjustment.filter(|_| has(present::OOM_SCORE_ADJ)),
        total_vm_bytes: has(present::TOTAL_VM).then_some(task.total_vm_bytes),
        anon_rss_bytes: has(present::ANON_RSS).then_some(task.anon_rss_bytes),
        file_rss_bytes: has(present::FILE_RSS).then_some(task.file_rss_bytes),
        shmem_rss_bytes: has(present::SHMEM_RSS).then_some(task.shmem_rss_bytes),
        swap_bytes: has(present::SWAP).then_some(task.swap_bytes),
        pgtables_bytes: has(present::PGTABLES).then_some(task.pgtables_bytes),
    }
}

fn decision(facts: &OomDecision) -> Decision {
    let has = |bit: u32| facts.present & bit != 0;
    let constraint = Constraint::ALL.into_iter().find(|known| *known as u32 == facts.constraint);
    let trigger = Trigger {
        pid: Some(facts.trigger_tgid),
        comm: Some(comm(facts.trigger_comm)),
        cgroup: has(decided::TRIGGER_CGROUP).then_some(key(facts.trigger_hierarchy, facts.trigger_cgroup_id)),
        path: None,
    };
    Decision {
        // Decisions are made one at a time and take longer than this unit, which every JSON reader can hold.
        incident: Some(facts.ktime_nsec / 1000),
        constraint: constraint.filter(|_| has(decided::CONSTRAINT)),
        owner: has(decided::OWNER).then(|| owner(facts)),
        trigger: Some(trigger),
        group_kill: has(decided::GROUP).then_some(facts.group_kill != 0),
    }
}

fn owner(facts: &OomDecision) -> LimitOwner {
    let has = |bit: u32| facts.present & bit != 0;
    let key = key(facts.owner_hierarchy, facts.owner_id);
    let usage_bytes = has(decided::OWNER_USAGE).then_some(facts.owner_usage_bytes);
    let swap_bytes = has(decided::OWNER_SWAP).then_some(facts.owner_swap_bytes);
    LimitOwner {
        key: Some(key),
        path: None,
        kind: None,
        usage_bytes,
        limit: has(decided::OWNER_LIMIT).then(|| limit(facts.owner_limit_pages)),
        swap_usage_bytes: match key.hierarchy {
            HierarchyId::V2 => swap_bytes,
            // v1 counts memory and swap together, or nothing at all where swap is not accounted.
            _ => swap_bytes.zip(usage_bytes).and_then(|(both, memory)| both.checked_sub(memory)),
        },
    }
}

/// The kernel keeps "no limit" as the most pages that a `long` of bytes has (`PAGE_COUNTER_MAX`).
fn limit(pages: u64) -> Limit {
    let page_bytes = rustix::param::page_size() as u64;
    if pages >= i64::MAX as u64 / page_bytes { Limit::Max } else { Limit::Value(pages * page_bytes) }
}
