//! What an `oom_kill` says beside the common fields.

use serde::Serialize;

use crate::model::{
    CgroupKey, CgroupPath, CgroupRef, Decision, LastSample, LimitOwner, OomReport, Trigger, Victim, text_of,
};

#[derive(Serialize)]
pub(super) struct OomJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    constraint: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_owner: Option<OwnerJson>,
    victim: VictimJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<TriggerJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_kill: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sample: Option<SampleJson>,
}

#[derive(Serialize)]
struct OwnerJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hierarchy: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_bytes: Option<u64>,
    /// Absent for no limit, too: there is nothing that was met.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swap_usage_bytes: Option<u64>,
}

#[derive(Serialize)]
struct VictimJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tgid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oom_score_adj: Option<i16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_vm_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anon_rss_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_rss_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shmem_rss_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swap_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pgtables_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<String>,
}

#[derive(Serialize)]
struct TriggerJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<String>,
}

#[derive(Serialize)]
struct SampleJson {
    age_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_set_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anon_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_bytes: Option<u64>,
}

pub(super) fn view(report: &OomReport, cgroup: Option<&CgroupRef>) -> OomJson {
    let OomReport { victim, decision, last_sample } = report;
    let Decision { incident, constraint, owner, trigger, group_kill } = decision;
    OomJson {
        incident: *incident,
        constraint: constraint.map(|constraint| constraint.as_str()),
        limit_owner: owner.as_ref().map(owner_json),
        victim: victim_json(victim, cgroup),
        trigger: trigger.as_ref().map(trigger_json),
        group_kill: *group_kill,
        last_sample: last_sample.as_ref().map(sample_json),
    }
}

fn path_text(path: &CgroupPath) -> String {
    path.to_text().into_owned()
}

fn owner_json(owner: &LimitOwner) -> OwnerJson {
    let key: Option<CgroupKey> = owner.key;
    OwnerJson {
        path: owner.path.as_ref().map(path_text),
        id: key.map(|key| key.id),
        hierarchy: key.map(|key| key.hierarchy.0),
        kind: owner.kind.map(|kind| kind.as_str()),
        usage_bytes: owner.usage_bytes,
        limit_bytes: owner.limit.and_then(crate::model::Limit::value),
        swap_usage_bytes: owner.swap_usage_bytes,
    }
}

fn trigger_json(trigger: &Trigger) -> TriggerJson {
    TriggerJson {
        pid: trigger.pid,
        comm: trigger.comm.as_deref().map(text_of),
        cgroup: trigger.path.as_ref().map(path_text),
    }
}

fn sample_json(sample: &LastSample) -> SampleJson {
    SampleJson {
        age_seconds: sample.age.as_secs_f64(),
        working_set_bytes: sample.working_set_bytes,
        anon_bytes: sample.anon_bytes,
        file_bytes: sample.file_bytes,
        kernel_bytes: sample.kernel_bytes,
        limit_bytes: sample.limit.and_then(crate::model::Limit::value),
    }
}

fn victim_json(victim: &Victim, cgroup: Option<&CgroupRef>) -> VictimJson {
    VictimJson {
        pid: victim.pid,
        tgid: victim.tgid,
        comm: victim.comm.as_deref().map(text_of),
        uid: victim.uid,
        oom_score_adj: victim.oom_score_adj,
        total_vm_bytes: victim.total_vm_bytes,
        anon_rss_bytes: victim.anon_rss_bytes,
        file_rss_bytes: victim.file_rss_bytes,
        shmem_rss_bytes: victim.shmem_rss_bytes,
        swap_bytes: victim.swap_bytes,
        pgtables_bytes: victim.pgtables_bytes,
        cgroup: cgroup.map(|cgroup| path_text(&cgroup.path)),
    }
}
