//! Events as JSON, one object per line: what `GET /events` and `cgtap events` print.
//!
//! ```json
//! {"seq":7,"time":"2026-11-22T06:12:44.000000001Z","boot_id":"...","type":"oom_kill","source":"tp_btf",
//!  "cgroup":{"path":"/a","id":42,"hierarchy":0},"container":{"id":"..."},"victim":{"pid":7,"comm":"hog"}}
//! ```
//! (on one line). What is not known is absent: never null, never empty, never 0 for unknown.

mod oom;

use serde::Serialize;

use crate::events::Delivery;
use crate::model::rfc3339;
use crate::model::{CgroupRef, ContainerTitle, Event, EventKind, EventNames, ExitSample, Identity};
use oom::OomJson;

#[derive(Serialize)]
struct EventLine<'a> {
    seq: u64,
    time: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    boot_id: &'a str,
    r#type: &'static str,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<CgroupJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<ContainerJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(flatten)]
    detail: Detail,
}

#[derive(Serialize)]
struct CgroupJson {
    path: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    path_cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hierarchy: Option<u32>,
}

#[derive(Serialize)]
struct ContainerJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<PodJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qos: Option<&'static str>,
}

#[derive(Serialize)]
struct PodJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
}

/// What only one type of event tells.
#[derive(Serialize)]
#[serde(untagged)]
enum Detail {
    Created {
        #[serde(skip_serializing_if = "Option::is_none")]
        renamed_from: Option<String>,
    },
    Oom(Box<OomJson>),
    Lost {
        records: u64,
    },
    Exited {
        #[serde(skip_serializing_if = "Option::is_none")]
        last_sample: Option<ExitJson>,
    },
    Started {
        version: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        cgroups: u64,
    },
    Nothing {},
}

/// What a container used in all.
#[derive(Serialize)]
struct ExitJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_usage_nsec: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_user_nsec: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_system_nsec: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_peak_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    io_read_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    io_write_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    io_reads: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    io_writes: Option<u64>,
    oom_kills: u64,
}

fn exit_json(sample: &ExitSample) -> ExitJson {
    ExitJson {
        cpu_usage_nsec: sample.cpu_usage_nsec,
        cpu_user_nsec: sample.cpu_user_nsec,
        cpu_system_nsec: sample.cpu_system_nsec,
        memory_peak_bytes: sample.memory_peak_bytes,
        io_read_bytes: sample.io_read_bytes,
        io_write_bytes: sample.io_write_bytes,
        io_reads: sample.io_reads,
        io_writes: sample.io_writes,
        oom_kills: sample.oom_kills,
    }
}

/// What a client missed. It has no number of its own.
#[derive(Serialize)]
struct LostLine {
    r#type: &'static str,
    from_seq: u64,
    to_seq: u64,
}

/// Appends the delivery as JSON, without a newline.
///
/// # Errors
/// None is known; the serializer's are handed on rather than hidden.
pub fn write_delivery(out: &mut Vec<u8>, boot_id: &str, delivery: &Delivery) -> serde_json::Result<()> {
    match delivery {
        Delivery::Event(event) => write_event(out, boot_id, event),
        Delivery::Stored(stored) => {
            out.extend_from_slice(&stored.json);
            Ok(())
        }
        Delivery::Lost { from_seq, to_seq } => {
            serde_json::to_writer(out, &LostLine { r#type: "lost", from_seq: *from_seq, to_seq: *to_seq })
        }
    }
}

/// Appends the event as JSON, without a newline.
///
/// # Errors
/// None is known; the serializer's are handed on rather than hidden.
pub fn write_event(out: &mut Vec<u8>, boot_id: &str, event: &Event) -> serde_json::Result<()> {
    let line = EventLine {
        seq: event.seq,
        time: rfc3339::format(event.time),
        boot_id,
        r#type: event.kind.type_name(),
        source: event.source.as_str(),
        cgroup: event.cgroup.as_ref().map(cgroup),
        container: event.identity.as_deref().and_then(|identity| container(identity, &event.names)),
        unit: event.identity.as_ref().and_then(|identity| identity.unit.as_deref()),
        detail: detail(event),
    };
    serde_json::to_writer(out, &line)
}

fn cgroup(cgroup: &CgroupRef) -> CgroupJson {
    CgroupJson {
        path: cgroup.path.to_text().into_owned(),
        path_cut: cgroup.path_cut,
        id: cgroup.key.map(|key| key.id),
        hierarchy: cgroup.key.map(|key| key.hierarchy.0),
    }
}

/// `None` when the path tells of no container, pod or class.
fn container<'a>(identity: &'a Identity, names: &'a EventNames) -> Option<ContainerJson<'a>> {
    let title = names.container.as_deref();
    let container = ContainerJson {
        id: identity.container_id.as_deref(),
        name: title.and_then(ContainerTitle::shown),
        image: title.and_then(|title| title.image.as_deref()),
        runtime: identity.runtime.map(|runtime| runtime.as_str()),
        pod: pod(identity, names),
        qos: identity.qos.map(|qos| qos.as_str()),
    };
    let known = container.id.is_some()
        || container.runtime.is_some()
        || container.pod.is_some()
        || container.qos.is_some();
    known.then_some(container)
}

/// The uid is the path's, where it has one: it is the one that filters know.
fn pod<'a>(identity: &'a Identity, names: &'a EventNames) -> Option<PodJson<'a>> {
    let pod = names.pod.as_deref();
    let uid = identity.pod_uid.as_deref().or_else(|| pod?.uid.as_deref());
    let name = pod.and_then(|pod| pod.name.as_deref());
    let namespace = pod.and_then(|pod| pod.namespace.as_deref());
    (uid.is_some() || name.is_some()).then_some(PodJson { name, namespace, uid })
}

fn detail(event: &Event) -> Detail {
    match &event.kind {
        EventKind::CgroupCreated { renamed_from } => {
            Detail::Created { renamed_from: renamed_from.as_ref().map(|path| path.to_text().into_owned()) }
        }
        EventKind::OomKill(report) => Detail::Oom(Box::new(oom::view(report, event.cgroup.as_ref()))),
        EventKind::KernelLost { records } => Detail::Lost { records: *records },
        EventKind::AgentStarted { version, reason, cgroups } => {
            let reason = reason.map(|reason| reason.as_str());
            Detail::Started { version, reason, cgroups: *cgroups }
        }
        EventKind::ContainerExited { last_sample } => {
            Detail::Exited { last_sample: last_sample.as_deref().map(exit_json) }
        }
        EventKind::CgroupRemoved | EventKind::ContainerStarted => Detail::Nothing {},
    }
}

#[cfg(test)]
mod tests;
