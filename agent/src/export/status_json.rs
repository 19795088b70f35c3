//! The agent's own state: JSON for `/status`, a table for `cgtap check`.

use serde_json::{Value, json};

use crate::model::{
    DiskHealth, Hierarchy, HookStatus, NamesSourceStatus, Offer, OfferState, SinkState, SinkStatus, Status,
    rfc3339,
};

/// The status as indented JSON with a newline at its end.
///
/// # Errors
/// None is known; the serializer's are handed on rather than hidden.
pub fn status_json(status: &Status) -> serde_json::Result<Vec<u8>> {
    let mut view = view(status);
    leave_out_absent(&mut view);
    let mut out = serde_json::to_vec_pretty(&view)?;
    out.push(b'\n');
    Ok(out)
}

fn leave_out_absent(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(leave_out_absent);
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_absent),
        _ => {}
    }
}

fn list<T>(items: &[T], one: fn(&T) -> Value) -> Value {
    items.iter().map(one).collect()
}

/// A value that is not there is null.
fn view(status: &Status) -> Value {
    let facts = &status.facts;
    json!({
        "version": facts.version,
        "started": rfc3339::format(facts.started),
        "ready_after_seconds": status.ready_after.map(|after| after.as_secs_f64()),
        "kernel_release": &*facts.kernel_release,
        "boot_id": &*facts.boot_id,
        "cgroup_mode": facts.cgroup_mode.as_str(),
        "hierarchies": list(&facts.hierarchies, |one| json!({ "id": one.id.0, "controllers": &*one.controllers })),
        "btf": facts.btf,
        "lifecycle_source": facts.lifecycle_source.as_str(),
        "oom_source": oom_source(status),
        "hooks": list(&status.hooks, hook),
        "cgroups": status.cgroups,
        "containers": status.containers,
        "tombstones": status.tombstones,
        "walks": status.walks,
        "lost_records": status.lost_records,
        "oom_kills": status.oom_kills.map(|kills| json!({ "reported": kills.reported, "unreported": kills.unreported })),
        "rungs": list(&facts.offers, |offer| {
            let (state, why) = state_of(offer);
            json!({ "ladder": offer.ladder.as_str(), "rung": offer.source.as_str(), "state": state, "why": why })
        }),
        "events": {
            "first_seq": status.first_seq,
            "last_seq": status.last_seq,
            "followers": status.followers,
            "disk": status.event_disk.as_ref().map(disk),
            "sinks": (!status.sinks.is_empty()).then(|| list(&status.sinks, sink)),
        },
        "names": {
            "resolved": status.names.resolved,
            "unresolved": status.names.unresolved,
            "dropped_labels": status.names.dropped_labels,
            "sources": list(&status.names.sources, names_source),
        },
    })
}

fn disk(health: &DiskHealth) -> Value {
    json!({
        "state": if health.failing.is_some() { "failing" } else { "ok" },
        "why": health.failing.as_deref(),
        "written_seq": health.written_seq,
        "first_seq": health.first_seq,
        "segments": health.segments,
        "bytes": health.bytes,
        "errors": health.errors,
        "unsaved_records": health.unsaved,
        "served_early_records": health.served_early,
        "cut_bytes": health.cut_bytes,
        "damaged_records": health.damaged,
    })
}

fn sink(status: &SinkStatus) -> Value {
    let (state, why) = match &status.state {
        SinkState::Delivering => ("ok", None),
        SinkState::Failing(why) => ("failing", Some(why.as_str())),
        SinkState::Stopped(why) => ("stopped", Some(why.as_str())),
    };
    json!({
        "name": &*status.name,
        "state": state,
        "why": why,
        "sent": status.sent,
        "retried": status.retried,
        "dropped": status.dropped,
        "refused": status.refused,
        "seq": status.seq,
    })
}

fn names_source(status: &NamesSourceStatus) -> Value {
    let state = match status.up {
        Some(true) => "ok",
        Some(false) => "failing",
        // It was not asked yet, or it is not there.
        None => "idle",
    };
    json!({
        "source": status.source.as_str(),
        "place": &*status.place,
        "runtime": status.runtime.map(|runtime| runtime.as_str()),
        "state": state,
        "why": status.failing.as_deref(),
        "errors": status.errors,
    })
}

/// The word is the setting's: no rung is `none`.
fn oom_source(status: &Status) -> &'static str {
    status.facts.oom_source.map_or("none", |source| source.as_str())
}

/// Whether a rung serves, and if not, why.
fn state_of(offer: &Offer) -> (&'static str, Option<&str>) {
    match &offer.state {
        OfferState::Serves => ("serves", None),
        OfferState::Offered => ("offered", None),
        OfferState::Refused(why) => ("refused", Some(why.as_str())),
    }
}

fn hook(status: &HookStatus) -> Value {
    let counters = status.counters;
    json!({
        "hook": status.hook.as_str(),
        "group": status.hook.group(),
        "rung": status.rung.map(|rung| rung.as_str()),
        "refused": (!status.refused.is_empty()).then_some(&*status.refused),
        "counters": { "seen": counters.seen, "submitted": counters.submitted, "dropped": counters.dropped },
    })
}

/// What this host supports, for people.
pub fn check_table(status: &Status) -> String {
    let mut rows: Vec<(String, String)> = vec![
        ("cgtap".into(), status.facts.version.into()),
        ("kernel".into(), status.facts.kernel_release.clone()),
        ("kernel BTF".into(), if status.facts.btf { "readable" } else { "not readable" }.into()),
        ("cgroups".into(), status.facts.cgroup_mode.as_str().into()),
    ];
    for Hierarchy { id, controllers, .. } in status.facts.hierarchies.iter() {
        let controllers =
            if controllers.is_empty() { "no controllers".into() } else { controllers.join(",") };
        rows.push((format!("hierarchy {}", id.0), controllers));
    }
    rows.push(("cgroup events".into(), status.facts.lifecycle_source.as_str().into()));
    rows.push(("OOM kills".into(), oom_source(status).into()));
    for hook in &status.hooks {
        let name = format!("{}:{}", hook.hook.group(), hook.hook.as_str());
        rows.push((name, hook.rung.map_or("not attached", |rung| rung.as_str()).into()));
        rows.extend(hook.refused.iter().map(|why| (String::new(), format!("refused: {why}"))));
    }
    rows.extend(status.facts.offers.iter().map(|one| {
        let (state, why) = state_of(one);
        (
            format!("{} {}", one.ladder.as_str(), one.source.as_str()),
            why.map_or_else(|| state.to_owned(), |why| format!("{state}: {why}")),
        )
    }));
    rows.push(("found".into(), format!("{} cgroups, {} containers", status.cgroups, status.containers)));
    aligned(&rows)
}

fn aligned(rows: &[(String, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::model::{
        CgroupMode, CgroupVersion, HierarchyId, Hook, HookCounters, HostFacts, Ladder, NamesStatus, Source,
    };

    fn status() -> Status {
        let hook = |hook, rung, refused| HookStatus {
            hook,
            rung,
            refused,
            counters: HookCounters { seen: 3, submitted: 2, dropped: 1 },
        };
        let hierarchy = |id, controllers: &[&str]| Hierarchy {
            id: HierarchyId(id),
            version: CgroupVersion::V1,
            controllers: controllers.iter().map(ToString::to_string).collect(),
            mount: "/".into(),
        };
        let facts = HostFacts {
            cgroup_mode: CgroupMode::Hybrid,
            hierarchies: Arc::new([hierarchy(0, &[]), hierarchy(4, &["cpu", "cpuacct"])]),
            btf: true,
            lifecycle_source: Source::TpBtf,
            offers: vec![Offer {
                ladder: Ladder::Oom,
                source: Source::Kmsg,
                state: OfferState::Refused("no log".into()),
            }],
            ..HostFacts::fixture()
        };
        Status {
            facts: Arc::new(facts),
            ready_after: Some(Duration::from_millis(250)),
            hooks: vec![
                hook(Hook::CgroupMkdir, Some(Source::TpBtf), vec![]),
                hook(Hook::MarkVictim, None, vec!["tp_btf: EPERM".into()]),
            ],
            cgroups: 10,
            containers: 2,
            tombstones: 0,
            walks: 1,
            lost_records: 0,
            oom_kills: None,
            last_seq: 9,
            first_seq: 4,
            event_disk: None,
            sinks: Vec::new(),
            followers: 1,
            names: NamesStatus::default(),
        }
    }

    #[test]
    fn json_has_every_field_under_its_name() {
        let bytes = status_json(&status()).unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let wanted = serde_json::json!({
            "version": "1.2.3", "started": "1970-01-01T00:00:00.000000000Z", "ready_after_seconds": 0.25,
            "kernel_release": "6.1", "boot_id": "b", "cgroup_mode": "hybrid", "btf": true,
            "hierarchies": [{"id": 0, "controllers": []}, {"id": 4, "controllers": ["cpu", "cpuacct"]}],
            "lifecycle_source": "tp_btf", "oom_source": "none",
            "hooks": [
                {"hook": "cgroup_mkdir", "group": "cgroup", "rung": "tp_btf",
                 "counters": {"seen": 3, "submitted": 2, "dropped": 1}},
                {"hook": "mark_victim", "group": "oom", "refused": ["tp_btf: EPERM"],
                 "counters": {"seen": 3, "submitted": 2, "dropped": 1}},
            ],
            "cgroups": 10, "containers": 2, "tombstones": 0, "walks": 1, "lost_records": 0,
            "rungs": [{"ladder": "oom", "rung": "kmsg", "state": "refused", "why": "no log"}],
            "events": {"first_seq": 4, "last_seq": 9, "followers": 1},
            "names": {"resolved": 0, "unresolved": 0, "dropped_labels": 0, "sources": []},
        });
        assert_eq!(value, wanted);
        assert!(bytes.ends_with(b"}\n"));
        let text = String::from_utf8(bytes).unwrap();
        let field = |line: &str| line.strip_prefix("  \"")?.split('"').next().map(str::to_owned);
        let order = "version started ready_after_seconds kernel_release boot_id cgroup_mode hierarchies btf \
            lifecycle_source oom_source hooks cgroups containers tombstones walks lost_records rungs events names";
        assert_eq!(text.lines().filter_map(field).collect::<Vec<_>>().join(" "), order);
    }

    #[test]
    fn before_ready_there_is_no_time_to_it() {
        let bytes = status_json(&Status { ready_after: None, ..status() }).unwrap();
        assert!(!String::from_utf8(bytes).unwrap().contains("ready_after"));
    }

    #[test]
    fn the_table_is_aligned_and_says_why() {
        let wanted = "\
cgtap                1.2.3
kernel               6.1
kernel BTF           readable
cgroups              hybrid
hierarchy 0          no controllers
hierarchy 4          cpu,cpuacct
cgroup events        tp_btf
OOM kills            none
cgroup:cgroup_mkdir  tp_btf
oom:mark_victim      not attached
                     refused: tp_btf: EPERM
oom kmsg             refused: no log
found                10 cgroups, 2 containers
";
        assert_eq!(check_table(&status()), wanted);
    }
}
