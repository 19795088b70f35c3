//! An event as it is on disk and on the wire: one JSON object without a newline.
//!
//! ```json
//! {"seq":7,"time":"2026-11-22T06:12:44.000000001Z","boot_id":"...","type":"oom_kill","source":"tp_btf",
//!  "cgroup":{"path":"/a","id":42,"hierarchy":0},"container":{"id":"..."},"victim":{"pid":7,"comm":"hog"}}
//! ```
//! (in one line). An unknown value is absent: never null, never empty, never 0.
//!
//! All code that writes or reads our own JSON uses these types. Kinds are open strings, and each object keeps the fields
//! that it does not know in `rest`: a record of a later version passes through an older reader unchanged.

mod from_event;

use std::borrow::Cow;
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

pub use from_event::pod_uid;

use super::Delivery;
use crate::model::{EventKind, Source, rfc3339};

/// Fields that this version does not know, by name.
pub type UnknownFields = Map<String, Value>;

/// Declares JSON objects. Each leaves out what is absent and keeps the fields that it does not know in `rest`.
macro_rules! objects {
    ($($(#[$meta:meta])* pub struct $name:ident $(<$text:lifetime>)? { $($fields:tt)* })+) => {$(
        $(#[$meta])*
        #[skip_serializing_none]
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct $name$(<$text>)? {
            $($fields)*
            #[serde(flatten, skip_serializing_if = "Map::is_empty")]
            pub rest: UnknownFields,
        }
    )+};
}

objects! {
    /// One event, or a range of numbers that a client missed (then `from_seq` and `to_seq` are set, and `seq` is not).
    ///
    /// The order of the fields is their order in the text. Large parts are boxed: few events have them.
    pub struct WireEvent<'a> {
        pub seq: Option<u64>,
        /// RFC 3339, with nanoseconds.
        pub time: Option<Cow<'a, str>>,
        pub boot_id: Option<Cow<'a, str>>,
        /// One of [`EventKind::TYPE_NAMES`], or a type of a later version.
        #[serde(rename = "type")]
        pub type_name: Cow<'a, str>,
        /// A name of [`crate::model::Source`].
        pub source: Option<Cow<'a, str>>,
        pub cgroup: Option<WireCgroup<'a>>,
        pub container: Option<WireContainer<'a>>,
        pub unit: Option<Cow<'a, str>>,
        /// `cgroup_created` by a rename: the path before.
        pub renamed_from: Option<Cow<'a, str>>,
        /// `oom_kill`: the same number for all victims of one kernel decision.
        pub incident: Option<u64>,
        pub constraint: Option<Cow<'a, str>>,
        pub limit_owner: Option<Box<WireLimitOwner<'a>>>,
        pub victim: Option<Box<WireVictim<'a>>>,
        pub trigger: Option<Box<WireTrigger<'a>>>,
        pub group_kill: Option<bool>,
        /// `oom_kill`: memory as last read before the kill. `container_exited`: totals of the container's life.
        pub last_sample: Option<Box<WireSample>>,
        /// `lost` in the kernel: how many records.
        pub records: Option<u64>,
        /// `agent_started`.
        pub version: Option<Cow<'a, str>>,
        pub reason: Option<Cow<'a, str>>,
        pub cgroups: Option<u64>,
        /// `lost` on the way to a client: the first number that it missed.
        pub from_seq: Option<u64>,
        pub to_seq: Option<u64>,
    }

    pub struct WireCgroup<'a> {
        /// As [`crate::model::CgroupPath::to_text`] gives it.
        pub path: Option<Cow<'a, str>>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub path_cut: bool,
        pub id: Option<u64>,
        pub hierarchy: Option<u32>,
    }

    pub struct WireContainer<'a> {
        pub id: Option<Cow<'a, str>>,
        pub name: Option<Cow<'a, str>>,
        pub image: Option<Cow<'a, str>>,
        pub runtime: Option<Cow<'a, str>>,
        pub pod: Option<WirePod<'a>>,
        pub qos: Option<Cow<'a, str>>,
    }

    pub struct WirePod<'a> {
        pub name: Option<Cow<'a, str>>,
        pub namespace: Option<Cow<'a, str>>,
        pub uid: Option<Cow<'a, str>>,
    }

    /// The cgroup that reached its limit.
    pub struct WireLimitOwner<'a> {
        pub path: Option<Cow<'a, str>>,
        pub id: Option<u64>,
        pub hierarchy: Option<u32>,
        pub kind: Option<Cow<'a, str>>,
        pub usage_bytes: Option<u64>,
        /// Absent also where there is no limit.
        pub limit_bytes: Option<u64>,
        pub swap_usage_bytes: Option<u64>,
    }

    pub struct WireVictim<'a> {
        pub pid: Option<u32>,
        pub tgid: Option<u32>,
        pub comm: Option<Cow<'a, str>>,
        pub uid: Option<u32>,
        pub oom_score_adj: Option<i16>,
        pub total_vm_bytes: Option<u64>,
        pub anon_rss_bytes: Option<u64>,
        pub file_rss_bytes: Option<u64>,
        pub shmem_rss_bytes: Option<u64>,
        pub swap_bytes: Option<u64>,
        pub pgtables_bytes: Option<u64>,
        pub cgroup: Option<Cow<'a, str>>,
    }

    /// The process that asked for memory when none was left.
    pub struct WireTrigger<'a> {
        pub pid: Option<u32>,
        pub comm: Option<Cow<'a, str>>,
        pub cgroup: Option<Cow<'a, str>>,
    }

    pub struct WireSample {
        /// `oom_kill`: time from the reading to the kill.
        pub age_seconds: Option<f64>,
        pub working_set_bytes: Option<u64>,
        pub anon_bytes: Option<u64>,
        pub file_bytes: Option<u64>,
        pub kernel_bytes: Option<u64>,
        pub limit_bytes: Option<u64>,
        /// `container_exited`.
        pub cpu_usage_nsec: Option<u64>,
        pub cpu_user_nsec: Option<u64>,
        pub cpu_system_nsec: Option<u64>,
        pub memory_peak_bytes: Option<u64>,
        pub io_read_bytes: Option<u64>,
        pub io_write_bytes: Option<u64>,
        pub io_reads: Option<u64>,
        pub io_writes: Option<u64>,
        pub oom_kills: Option<u64>,
    }
}

impl WireEvent<'_> {
    /// Reads a record; `None` for text that is no JSON object with a `type`.
    pub fn read(json: &[u8]) -> Option<WireEvent<'static>> {
        serde_json::from_slice(json).ok().or_else(|| read_common(json))
    }

    /// When it happened; `None` where this version cannot read the text.
    pub fn happened(&self) -> Option<SystemTime> {
        rfc3339::parse(self.time.as_deref()?).ok()
    }

    pub fn path(&self) -> Option<&str> {
        self.cgroup.as_ref()?.path.as_deref()
    }

    pub fn container_id(&self) -> Option<&str> {
        self.container.as_ref()?.id.as_deref()
    }

    /// The container's name, or its id where the name is not known.
    pub fn container_name(&self) -> Option<&str> {
        let container = self.container.as_ref()?;
        container.name.as_deref().or(container.id.as_deref())
    }

    /// The pod's name, or its uid where the name is not known.
    pub fn pod_name(&self) -> Option<&str> {
        let pod = self.pod()?;
        pod.name.as_deref().or(pod.uid.as_deref())
    }

    pub fn pod(&self) -> Option<&WirePod<'_>> {
        self.container.as_ref()?.pod.as_ref()
    }

    pub fn is_oom_kill(&self) -> bool {
        self.type_name == EventKind::OOM_KILL
    }

    /// Whether the agent found it later, by what the kernel still knew.
    pub fn is_recovered(&self) -> bool {
        self.source.as_deref() == Some(Source::Recovered.as_str())
    }
}

impl WireVictim<'_> {
    /// The process id (thread group), or the thread's where that is all that is known.
    pub fn process_id(&self) -> Option<u32> {
        self.tgid.or(self.pid)
    }
}

/// Reads a record in which a known field has another form than here. Such a field is kept among the unknown ones, and so
/// are all that belong to one type of event.
fn read_common(json: &[u8]) -> Option<WireEvent<'static>> {
    let mut rest = serde_json::from_slice(json).ok()?;
    Some(WireEvent {
        seq: take(&mut rest, "seq"),
        time: take(&mut rest, "time"),
        boot_id: take(&mut rest, "boot_id"),
        type_name: take(&mut rest, "type")?,
        source: take(&mut rest, "source"),
        cgroup: take(&mut rest, "cgroup"),
        container: take(&mut rest, "container"),
        unit: take(&mut rest, "unit"),
        rest,
        ..WireEvent::default()
    })
}

/// Takes a field out if it has the known form.
fn take<T: DeserializeOwned>(fields: &mut UnknownFields, name: &str) -> Option<T> {
    let known = T::deserialize(fields.get(name)?).ok()?;
    fields.shift_remove(name);
    Some(known)
}

/// Appends the delivery as JSON, without a newline. A record that comes from the disk keeps its bytes.
///
/// # Errors
/// The serializer has failed; no way to make it fail is known.
pub fn write_delivery(out: &mut Vec<u8>, boot_id: &str, delivery: &Delivery) -> serde_json::Result<()> {
    let record = match delivery {
        Delivery::Event(event) => WireEvent::from_event(event, boot_id),
        Delivery::Stored(stored) => {
            out.extend_from_slice(&stored.json);
            return Ok(());
        }
        Delivery::Lost { from_seq, to_seq } => WireEvent {
            type_name: EventKind::LOST.into(),
            from_seq: Some(*from_seq),
            to_seq: Some(*to_seq),
            ..WireEvent::default()
        },
    };
    serde_json::to_writer(out, &record)
}

#[cfg(test)]
mod tests;
