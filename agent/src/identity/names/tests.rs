use std::collections::BTreeMap;

use super::*;
use crate::model::{ContainerTitle, QosClass, Runtime};

fn names(source: NamesSource) -> ContainerNames {
    let title = ContainerTitle { container: Some(source.as_str().to_owned()), ..ContainerTitle::default() };
    let pod = PodNames {
        name: Some("web".to_owned()),
        namespace: Some("shop".to_owned()),
        uid: Some("u".to_owned()),
    };
    ContainerNames {
        title: Arc::new(title),
        pod: Some(Arc::new(pod)),
        labels: BTreeMap::new(),
        envs: BTreeMap::new(),
        started: None,
        created: None,
        restart_count: None,
        is_sandbox: false,
        health: None,
        runtime: Some(Runtime::Containerd),
        source,
    }
}

fn answer(id: &str, source: NamesSource, is_final: bool) -> NamesAnswer {
    NamesAnswer { id: id.to_owned(), names: names(source), is_final }
}

fn table() -> Names {
    Names::new(KeptLabels::default())
}

fn container_of(names: &Names, id: &str) -> Option<String> {
    names.get(id).and_then(|names| names.title.container.clone())
}

#[test]
fn only_wanted_containers_get_names_and_a_better_source_wins() {
    let table = table();
    table.put(9, vec![answer("a", NamesSource::Cri, true)]);
    assert!(table.get("a").is_none(), "not asked for");
    assert!(table.want("a", Some("u-1")));
    let wanted = table.wanted(NamesSource::Cri);
    assert_eq!((wanted.ids, wanted.pods), (vec!["a".to_owned()], vec!["u-1".to_owned()]));
    table.put(wanted.number, vec![answer("a", NamesSource::Logs, false)]);
    assert_eq!(container_of(&table, "a").as_deref(), Some("logs"));
    assert!(table.wanted(NamesSource::Logs).ids.is_empty(), "logs have no more names");
    assert_eq!(table.wanted(NamesSource::Cri).ids, ["a"]);
    table.put(wanted.number, vec![answer("a", NamesSource::Docker, true)]);
    table.put(wanted.number, vec![answer("a", NamesSource::Cri, true)]);
    assert_eq!(container_of(&table, "a").as_deref(), Some("docker"));
    assert!(table.wanted(NamesSource::Cri).ids.is_empty());
    assert_eq!(table.pod("u-1").unwrap().name.as_deref(), Some("web"));
    assert_eq!((table.status().resolved, table.status().unresolved), (1, 0));
}

/// A container that is started again while its names are on their way is asked for once more.
#[test]
fn an_answer_to_an_older_question_keeps_the_want_open() {
    let table = table();
    table.want("a", None);
    let before = table.wanted(NamesSource::Cri).number;
    table.want("a", None);
    table.put(before, vec![answer("a", NamesSource::Cri, true)]);
    assert_eq!(table.wanted(NamesSource::Cri).ids, ["a"]);
    table.put(before + 1, vec![answer("a", NamesSource::Cri, true)]);
    assert!(table.wanted(NamesSource::Cri).ids.is_empty());
}

#[test]
fn removed_containers_are_forgotten_and_living_ones_wanted() {
    let table = table();
    table.want("a", Some("u"));
    table.want("b", None);
    table.put(2, vec![answer("a", NamesSource::Cri, true)]);
    let known = |lives| RegisteredContainer { pod_uid: Some("u".to_owned()), lives };
    table.retain(&HashMap::from([
        ("a".to_owned(), known(false)),
        ("b".to_owned(), known(false)),
        ("c".to_owned(), known(true)),
    ]));
    assert!(table.get("a").is_some() && table.pod("u").is_some(), "a tombstone has its names");
    assert_eq!(table.wanted(NamesSource::Cri).ids, ["c"]);
    table.retain(&HashMap::new());
    assert!(table.get("a").is_none() && table.pod("u").is_none());
    assert_eq!(table.status(), NamesStatus::default());
    assert_eq!(table.read(|table| table.bytes), 0);
}

#[test]
fn wants_and_names_are_bounded() {
    let table = table();
    for number in 0..MAX_CONTAINERS {
        assert!(table.want(&number.to_string(), None));
    }
    assert!(!table.want("more", None));
    let large = |id: String| {
        let mut answer = answer(&id, NamesSource::Cri, true);
        answer.names.labels.insert("k".to_owned(), "v".repeat(8000));
        answer
    };
    table.put(u64::MAX, (0..MAX_CONTAINERS).map(|number| large(number.to_string())).collect());
    let (entries, bytes) = table.read(|table| (table.containers.len(), table.bytes));
    assert!(bytes <= MAX_BYTES && entries > 7_000, "{entries} {bytes}");
    assert!(table.want("more", None), "those that were answered are no wants any more");
}

#[test]
fn a_huge_label_displaces_no_other() {
    let table = Names::new(KeptLabels { env_prefixes: vec![String::new()], ..KeptLabels::default() });
    table.want("a", None);
    let mut answer = answer("a", NamesSource::Cri, true);
    answer.names.labels = BTreeMap::from([
        ("huge".to_owned(), "v".repeat(64 << 20)),
        ("small".to_owned(), "v".to_owned()),
        ("large".to_owned(), "v".repeat(8000)),
        ("empty".to_owned(), String::new()),
    ]);
    answer.names.envs =
        BTreeMap::from([("A".to_owned(), "v".repeat(1000)), ("B".to_owned(), "v".to_owned())]);
    Arc::make_mut(&mut answer.names.title).image = Some("i".repeat(1 << 20));
    table.put(1, vec![answer]);
    let names = table.get("a").unwrap();
    assert_eq!(names.labels.keys().collect::<Vec<_>>(), ["large", "small"]);
    assert_eq!(names.envs.keys().collect::<Vec<_>>(), ["B"]);
    assert_eq!(names.title.image, None);
    assert_eq!(table.status().dropped_labels, 2);
}

#[test]
fn only_chosen_labels_are_kept() {
    let kept_labels = KeptLabels {
        all_labels: false,
        labels: ["team".to_owned()].into(),
        env_prefixes: vec!["APP_".to_owned()],
    };
    assert_eq!(kept_labels.env("APP_X=a=b"), Some(("APP_X", "a=b")));
    assert!(kept_labels.env("OTHER=1").is_none() && kept_labels.env("APP_X").is_none());
    let table = Names::new(kept_labels);
    table.want("a", None);
    let mut answer = answer("a", NamesSource::Cri, true);
    answer.names.labels = ["team", "teams"].map(|key| (key.to_owned(), "v".to_owned())).into();
    table.put(1, vec![answer]);
    assert_eq!(table.get("a").unwrap().labels.keys().collect::<Vec<_>>(), ["team"]);
}

#[test]
fn each_role_of_a_cgroup_has_its_names() {
    let table = table();
    table.want("a", Some("u"));
    table.put(1, vec![answer("a", NamesSource::Cri, true)]);
    let identity = |role| Identity {
        role,
        container_id: Some("a".to_owned()),
        pod_uid: Some("u".to_owned()),
        qos: Some(QosClass::Burstable),
        ..Identity::default()
    };
    let known = |role| {
        let (names, pod) = table.of(&identity(role));
        (names.is_some(), pod.is_some())
    };
    assert_eq!(known(Role::Container), (true, true));
    assert_eq!(known(Role::Pod), (false, true));
    assert_eq!(known(Role::InsideContainer), (false, false), "a sum over names counts it once");
    let inside = table.of_event(&identity(Role::InsideContainer));
    assert_eq!(inside.container.unwrap().container.as_deref(), Some("cri"));
    let other = Identity { container_id: Some("b".to_owned()), ..identity(Role::Container) };
    let (names, pod) = table.of(&other);
    assert!(names.is_none() && pod.is_some(), "its pod is known by another container");
}
