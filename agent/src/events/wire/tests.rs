use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::model::{
    CgroupKey, CgroupPath, CgroupRef, Constraint, ContainerTitle, Decision, Event, EventDraft, EventNames,
    ExitSample, HierarchyId, Identity, LastSample, Limit, LimitOwner, OomReport, OwnerKind, PodNames,
    QosClass, Role, Runtime, StartReason, Trigger, Victim,
};

fn event(kind: EventKind) -> EventDraft {
    EventDraft {
        time: UNIX_EPOCH + Duration::new(1, 2),
        source: Source::TpBtf,
        cgroup: None,
        identity: None,
        names: EventNames::default(),
        kind,
    }
}

fn numbered(draft: EventDraft) -> Event {
    Event { seq: 7, draft }
}

fn text(draft: &EventDraft) -> String {
    serde_json::to_string(&WireEvent::from_event(&numbered(draft.clone()), "b-1")).unwrap()
}

const HEAD: &str = r#"{"seq":7,"time":"1970-01-01T00:00:01.000000002Z","boot_id":"b-1","type":"#;

#[test]
fn an_unknown_value_is_absent() {
    assert_eq!(
        text(&event(EventKind::CgroupRemoved)),
        format!(r#"{HEAD}"cgroup_removed","source":"tp_btf"}}"#)
    );
    let nothing_known = EventDraft {
        identity: Some(Identity::default().into()),
        ..event(EventKind::ContainerExited { last_sample: None })
    };
    assert_eq!(text(&nothing_known), format!(r#"{HEAD}"container_exited","source":"tp_btf"}}"#));
    let removed = numbered(event(EventKind::CgroupRemoved));
    assert_eq!(WireEvent::from_event(&removed, "").boot_id, None);
}

fn decision() -> Decision {
    let owner = LimitOwner {
        key: Some(CgroupKey { hierarchy: HierarchyId(4), id: 98 }),
        path: Some(CgroupPath::from("/pod")),
        kind: Some(OwnerKind::Pod),
        usage_bytes: Some(7),
        limit: Some(Limit::Value(8)),
        swap_usage_bytes: Some(9),
    };
    let trigger = Trigger {
        pid: Some(12),
        comm: Some(b"other".to_vec()),
        cgroup: None,
        path: Some(CgroupPath::from("/pod/x")),
    };
    Decision {
        incident: Some(77),
        constraint: Some(Constraint::Memcg),
        owner: Some(owner),
        trigger: Some(trigger),
        group_kill: Some(true),
    }
}

fn sample() -> LastSample {
    LastSample {
        age: Duration::from_millis(1500),
        working_set_bytes: Some(1),
        anon_bytes: Some(2),
        ..LastSample::default()
    }
}

fn killed(victim: Victim) -> EventKind {
    EventKind::OomKill(Box::new(OomReport { victim, ..OomReport::default() }))
}

#[test]
fn a_full_oom_kill() {
    let victim = Victim {
        pid: Some(11),
        tgid: Some(10),
        comm: Some(b"a\"b\xff".to_vec()),
        uid: Some(0),
        oom_score_adj: Some(-5),
        total_vm_bytes: Some(1),
        anon_rss_bytes: Some(2),
        file_rss_bytes: Some(3),
        shmem_rss_bytes: Some(0),
        swap_bytes: Some(6),
        pgtables_bytes: Some(5),
    };
    let identity = Identity {
        role: Role::Container,
        container_id: Some("c1".into()),
        runtime: Some(Runtime::CriO),
        pod_uid: Some("u1".into()),
        qos: Some(QosClass::Burstable),
        unit: Some("crio-c1.scope".into()),
    };
    let key = CgroupKey { hierarchy: HierarchyId(4), id: 99 };
    let cgroup = CgroupRef { path: CgroupPath::from("/a b"), key: Some(key), path_cut: false };
    let full = EventDraft {
        cgroup: Some(cgroup),
        identity: Some(identity.into()),
        ..event(EventKind::OomKill(Box::new(OomReport {
            victim,
            decision: decision(),
            last_sample: Some(sample()),
        })))
    };
    let wanted = [
        HEAD,
        r#""oom_kill","source":"tp_btf","cgroup":{"path":"/a b","id":99,"hierarchy":4},"#,
        r#""container":{"id":"c1","runtime":"cri-o","pod":{"uid":"u1"},"qos":"Burstable"},"unit":"crio-c1.scope","#,
        r#""incident":77,"constraint":"memcg","limit_owner":{"path":"/pod","id":98,"hierarchy":4,"kind":"pod","#,
        r#""usage_bytes":7,"limit_bytes":8,"swap_usage_bytes":9},"victim":{"pid":11,"tgid":10,"comm":"a\"b\\xff","uid":0,"oom_score_adj":-5,"total_vm_bytes":1,"#,
        r#""anon_rss_bytes":2,"file_rss_bytes":3,"shmem_rss_bytes":0,"swap_bytes":6,"pgtables_bytes":5,"cgroup":"/a b"},"#,
        r#""trigger":{"pid":12,"comm":"other","cgroup":"/pod/x"},"group_kill":true,"#,
        r#""last_sample":{"age_seconds":1.5,"working_set_bytes":1,"anon_bytes":2}}"#,
    ];
    assert_eq!(text(&full), wanted.concat());
}

#[test]
fn a_pid_alone_is_a_whole_victim() {
    let bare = event(killed(Victim { pid: Some(3), ..Victim::default() }));
    assert_eq!(text(&bare), format!(r#"{HEAD}"oom_kill","source":"tp_btf","victim":{{"pid":3}}}}"#));
}

#[test]
fn what_each_type_adds() {
    let renamed = EventKind::CgroupCreated { renamed_from: Some(CgroupPath::from_bytes(b"/x\xff")) };
    for (kind, wanted) in [
        (EventKind::CgroupCreated { renamed_from: None }, r#""cgroup_created","source":"tp_btf"}"#),
        (renamed, r#""cgroup_created","source":"tp_btf","renamed_from":"\"/x\\xff\""}"#),
        (
            EventKind::ContainerExited {
                last_sample: Some(Box::new(ExitSample {
                    cpu_usage_nsec: Some(5),
                    memory_peak_bytes: Some(6),
                    io_writes: Some(0),
                    ..ExitSample::default()
                })),
            },
            r#""container_exited","source":"tp_btf","last_sample":{"cpu_usage_nsec":5,"memory_peak_bytes":6,"io_writes":0,"oom_kills":0}}"#,
        ),
        (EventKind::KernelLost { records: Some(3) }, r#""lost","source":"tp_btf","records":3}"#),
        (EventKind::KernelLost { records: None }, r#""lost","source":"tp_btf"}"#),
        (
            EventKind::AgentStarted { version: "1.2.3", reason: Some(StartReason::Crash), cgroups: 5 },
            r#""agent_started","source":"tp_btf","version":"1.2.3","reason":"crash","cgroups":5}"#,
        ),
    ] {
        assert_eq!(text(&event(kind)), format!("{HEAD}{wanted}"));
    }
}

#[test]
fn a_cut_path_says_so() {
    let cgroup = CgroupRef { path: CgroupPath::from("/a"), key: None, path_cut: true };
    let cut = EventDraft { cgroup: Some(cgroup), ..event(EventKind::CgroupRemoved) };
    assert!(text(&cut).ends_with(r#""cgroup":{"path":"/a","path_cut":true}}"#), "{}", text(&cut));
}

#[test]
fn a_loss_on_the_way_to_a_client_has_no_number() {
    let mut out = Vec::new();
    write_delivery(&mut out, "b-1", &Delivery::Lost { from_seq: 3, to_seq: 9 }).unwrap();
    assert_eq!(out, br#"{"type":"lost","from_seq":3,"to_seq":9}"#);
    out.clear();
    write_delivery(&mut out, "b-1", &Delivery::Event(Arc::new(numbered(event(EventKind::CgroupRemoved)))))
        .unwrap();
    assert!(out.starts_with(HEAD.as_bytes()));
}

/// A name from inside a container must not be able to end the line or the string.
#[test]
fn hostile_names_stay_inside_their_string() {
    let path = CgroupPath::from_bytes(b"/a\"},\\\x01\x7f\r");
    let cgroup = CgroupRef { path: path.clone(), key: None, path_cut: false };
    let comm = Some(b"\n\x00\xc3".to_vec());
    let kind = killed(Victim { pid: Some(1), comm, ..Victim::default() });
    let line = text(&EventDraft { cgroup: Some(cgroup), ..event(kind) });
    assert!(!line.contains(['\n', '\r', '\0']), "{line}");
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["cgroup"]["path"], *path.to_text());
    assert_eq!(value["victim"]["comm"], "\n\0\\xc3");
}

#[test]
fn names_are_beside_what_the_path_says() {
    let identity = Identity {
        role: Role::Container,
        container_id: Some("c1".into()),
        pod_uid: Some("u1".into()),
        ..Identity::default()
    };
    let title = ContainerTitle { name: Some("k8s_web".into()), container: Some("web".into()), image: None };
    let pod =
        PodNames { name: Some("web-1".into()), namespace: Some("shop".into()), uid: Some("other".into()) };
    let names = EventNames { container: Some(title.into()), pod: Some(pod.into()) };
    let event = EventDraft { identity: Some(identity.into()), names, ..event(EventKind::ContainerStarted) };
    let wanted =
        r#""container":{"id":"c1","name":"web","pod":{"name":"web-1","namespace":"shop","uid":"u1"}}}"#;
    assert!(text(&event).ends_with(wanted), "{}", text(&event));
}

/// Written by the version before these types: each type of event, full and bare.
const RECORDS: &str = include_str!("records.ndjson");

#[test]
fn a_record_of_an_older_version_comes_back_byte_for_byte() {
    for line in RECORDS.lines() {
        let record = WireEvent::read(line.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), line);
        assert!(record.rest.is_empty(), "{line}");
    }
    let has = |name| RECORDS.lines().any(|line| line.contains(&format!(r#""type":"{name}""#)));
    assert!(EventKind::TYPE_NAMES.into_iter().all(has));
}

/// Each object with a field more, and values that are easily changed on the way.
#[test]
fn a_field_that_is_not_known_is_kept() {
    let more = r#""later":{"n":18446744073709551615,"f":0.1,"i":-7,"t":"\u001b\"","l":[null,true]}"#;
    let later: Value = serde_json::from_str(&format!("{{{more}}}")).unwrap();
    for line in RECORDS.lines() {
        let line = line.replace("{}", "{~}").replace("{\"", "{~,\"").replace('~', more);
        let record = WireEvent::read(line.as_bytes()).unwrap();
        let written = serde_json::to_string(&record).unwrap();
        let (read, again): (Value, Value) =
            (serde_json::from_str(&line).unwrap(), serde_json::from_str(&written).unwrap());
        assert_eq!(read, again, "{line}");
        assert_eq!(record.rest["later"], later["later"]);
    }
}

/// A later version may use a name that is known here for something else.
#[test]
fn a_record_of_an_unknown_type_is_kept() {
    let line = r#"{"seq":8,"time":"2026-11-24T06:12:44Z","type":"throttled","source":"psi","cgroup":{"path":"/a"},"last_sample":[1,2],"victim":"none","container":7}"#;
    let record = WireEvent::read(line.as_bytes()).unwrap();
    assert_eq!((record.seq, &*record.type_name, record.path()), (Some(8), "throttled", Some("/a")));
    assert!(record.happened().is_some());
    let written: Value = serde_json::to_value(&record).unwrap();
    assert_eq!(written, serde_json::from_str::<Value>(line).unwrap());
    for text in ["", "[1]", "{}", r#"{"type":7}"#, "no json"] {
        assert_eq!(WireEvent::read(text.as_bytes()), None, "{text}");
    }
}
