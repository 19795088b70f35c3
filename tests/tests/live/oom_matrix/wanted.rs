//! The fields that an event must have, and those that a rung may lack.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::facts;
use cgtap_tests::host::{Rung, victims_are_reported};
use serde_json::Value;

use super::watch::LIMIT_MIB;

/// The truth about each kill of one case.
pub(super) struct Wanted {
    /// The victim's cgroup, path and id.
    pub(super) cgroup: (String, u64),
    /// The limit's owner, path and id; `None` when the whole machine was out of memory.
    pub(super) owner: Option<(String, u64)>,
    pub(super) limit_mib: u64,
    pub(super) comm: &'static str,
    pub(super) group_kill: bool,
    /// Whether the victim is surely the process that asked for memory. Then every kernel has its name.
    pub(super) asked_itself: bool,
}

pub(super) fn id_of(dir: &Path) -> u64 {
    std::fs::metadata(dir).unwrap().ino()
}

impl Wanted {
    /// One process reaches the limit of its own cgroup.
    pub(super) fn leaf(cgroup: &TestCgroup) -> Self {
        let place = (cgroup.path(), cgroup.memory_id().unwrap());
        Self {
            cgroup: place.clone(),
            owner: Some(place),
            limit_mib: LIMIT_MIB,
            comm: "cgtap-load",
            group_kill: false,
            asked_itself: true,
        }
    }

    pub(super) fn assert(&self, event: &Value, rung: Rung) {
        assert_eq!((&event["type"], &event["source"]), (&"oom_kill".into(), &rung.flag().into()), "{event}");
        let sure = self.sure_of_victim(rung);
        is(event, "/victim/comm", self.comm, sure);
        // The kernel log has the cgroup in lines whose rate is limited.
        is(event, "/cgroup/path", self.cgroup.0.as_str(), sure && rung != Rung::Kmsg);
        is(event, "/cgroup/id", self.cgroup.1, sure && rung != Rung::Kmsg);
        self.assert_decision(event, rung.sees_decisions());
    }

    /// The classic tracepoint has no cgroup, and on old kernels no name. The agent then reads the victim's files, which may be gone
    /// already: absent, never wrong. With BTF such kernels have the process that asked for memory.
    fn sure_of_victim(&self, rung: Rung) -> bool {
        match rung {
            Rung::Fentry | Rung::Kprobe | Rung::TpBtf => victims_are_reported() || self.asked_itself,
            Rung::Kmsg => true,
            _ => false,
        }
    }

    fn assert_decision(&self, event: &Value, sure: bool) {
        let constraint = if self.owner.is_some() { "memcg" } else { "none" };
        is(event, "/constraint", constraint, sure);
        is(event, "/group_kill", self.group_kill, false);
        match &self.owner {
            Some((path, id)) => {
                is(event, "/limit_owner/path", path.as_str(), sure);
                is(event, "/limit_owner/id", *id, sure);
                is(event, "/limit_owner/limit_bytes", self.limit_mib << 20, sure);
            }
            None => is(event, "/limit_owner/kind", "node", false),
        }
        if sure {
            assert!(event["incident"].is_u64() && event["trigger"]["pid"].is_u64(), "{event}");
        }
    }
}

/// Each present field is right, and each required field is present.
fn is(event: &Value, field: &str, wanted: impl Into<Value>, must: bool) {
    let wanted = wanted.into();
    match event.pointer(field) {
        Some(found) => assert_eq!(*found, wanted, "{field} of {event}"),
        None => assert!(!must, "no {field}: {event}"),
    }
}

/// Fields that every event has, and those that depend on an earlier scrape.
const NO_NEWS: [&str; 6] = ["seq", "time", "boot_id", "type", "source", "last_sample"];

/// Notes the fields of events of this rung.
pub(super) fn note_fields(rung: Rung, events: &[Value]) {
    let mut names = Vec::new();
    events.iter().for_each(|event| fields(event, "", &mut names));
    names.sort_unstable();
    names.dedup();
    facts::note("oom_kill", rung.flag(), names.iter().map(String::as_str));
}

fn fields(value: &Value, above: &str, names: &mut Vec<String>) {
    let Some(object) = value.as_object() else {
        names.push(above.to_owned());
        return;
    };
    for (name, inner) in object.iter().filter(|(name, _)| !NO_NEWS.contains(&name.as_str())) {
        let whole = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        fields(inner, &whole, names);
    }
}
