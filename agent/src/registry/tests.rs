//! The registry against tables and against a model of the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;

const POD: &str = "/kubepods/burstable/pod00000001-1111-2222-3333-444455556666";

fn container() -> CgroupPath {
    CgroupPath::from(format!("{POD}/{}", "a".repeat(64)).as_str())
}

fn key(hierarchy: u32, id: u64) -> CgroupKey {
    CgroupKey { hierarchy: HierarchyId(hierarchy), id }
}

fn event(kind: LifecycleKind, key: CgroupKey, path: &CgroupPath) -> LifecycleEvent {
    let time = UNIX_EPOCH + Duration::from_secs(key.id);
    LifecycleEvent {
        time,
        source: Source::TpBtf,
        key,
        parent: None,
        level: 1,
        path: path.clone(),
        path_cut: false,
        kind,
    }
}

fn walked(found: &[(CgroupKey, &CgroupPath)], is_news: bool) -> Walked {
    Walked {
        time: UNIX_EPOCH,
        hierarchies: vec![HierarchyId(1), HierarchyId(2)],
        found: found.iter().map(|(key, path)| (*key, (*path).clone())).collect(),
        source: is_news.then_some(Source::Walk),
        populated: None,
    }
}

fn shown(changes: &[Change]) -> Vec<(&'static str, String)> {
    changes
        .iter()
        .map(|change| (EventKind::from(change.kind.clone()).type_name(), change.cgroup.path.to_string()))
        .collect()
}

use crate::model::EventKind;

#[test]
fn two_hierarchies_are_one_cgroup() {
    let (mut registry, path) = (Registry::new(10), CgroupPath::from("/a"));
    assert_eq!(shown(&registry.apply(&event(LifecycleKind::Created, key(1, 5), &path))).len(), 1);
    assert_eq!(shown(&registry.apply(&event(LifecycleKind::Created, key(2, 7), &path))), []);
    assert_eq!(shown(&registry.apply(&event(LifecycleKind::Removed, key(1, 5), &path))), []);
    let last = registry.apply(&event(LifecycleKind::Removed, key(2, 7), &path));
    assert_eq!(shown(&last), [("cgroup_removed", "/a".into())]);
    assert_eq!(
        last[0].cgroup.key,
        Some(key(1, 5)),
        "the same as at its creation, so that clients can pair them"
    );
    assert_eq!(registry.len(), 0);
}

#[test]
fn the_first_walk_gives_no_changes_but_later_removals_do() {
    let (mut registry, path) = (Registry::new(10), CgroupPath::from("/old"));
    let mark = registry.begin_walk();
    assert_eq!(shown(&registry.apply_walk(mark, &walked(&[(key(1, 5), &path)], false))), []);
    assert_eq!(registry.len(), 1);
    let gone = registry.apply(&event(LifecycleKind::Removed, key(1, 5), &path));
    assert_eq!(shown(&gone), [("cgroup_removed", "/old".into())]);
}

#[test]
fn a_cgroup_created_or_removed_during_a_walk_is_seen_once() {
    let mut registry = Registry::new(10);
    let (kept, gone) = (CgroupPath::from("/kept"), CgroupPath::from("/gone"));
    let mark = registry.begin_walk();
    let made = registry.apply(&event(LifecycleKind::Created, key(1, 5), &kept));
    assert_eq!(shown(&made), [("cgroup_created", "/kept".into())]);
    registry.apply(&event(LifecycleKind::Created, key(1, 6), &gone));
    registry.apply(&event(LifecycleKind::Removed, key(1, 6), &gone));
    // The walk saw both, the second one before it went.
    let walk = registry.apply_walk(mark, &walked(&[(key(1, 5), &kept), (key(1, 6), &gone)], true));
    assert_eq!(shown(&walk), []);
    assert_eq!(registry.len(), 1);
}

#[test]
fn a_cgroup_created_after_the_walk_passed_stays() {
    let (mut registry, path) = (Registry::new(10), CgroupPath::from("/late"));
    let mark = registry.begin_walk();
    registry.apply(&event(LifecycleKind::Created, key(1, 5), &path));
    assert_eq!(shown(&registry.apply_walk(mark, &walked(&[], true))), []);
    assert_eq!(registry.len(), 1);
}

#[test]
fn a_walk_finds_changes_whose_events_were_lost() {
    let (mut registry, lost, new) =
        (Registry::new(10), CgroupPath::from("/lost-removal"), CgroupPath::from("/lost-creation"));
    registry.apply(&event(LifecycleKind::Created, key(1, 5), &lost));
    let mark = registry.begin_walk();
    let changes = registry.apply_walk(mark, &walked(&[(key(1, 9), &new)], true));
    assert_eq!(
        shown(&changes),
        [("cgroup_removed", "/lost-removal".into()), ("cgroup_created", "/lost-creation".into())]
    );
    assert!(changes.iter().all(|change| change.source == Source::Walk));
}

#[test]
fn a_hierarchy_that_was_not_walked_keeps_its_cgroups() {
    let (mut registry, path) = (Registry::new(10), CgroupPath::from("/a"));
    registry.apply(&event(LifecycleKind::Created, key(7, 5), &path));
    let mark = registry.begin_walk();
    assert_eq!(shown(&registry.apply_walk(mark, &walked(&[], true))), []);
    assert_eq!(registry.len(), 1);
}

#[test]
fn containers_start_and_exit_once_over_all_hierarchies() {
    let (mut registry, path) = (Registry::new(10), container());
    for hierarchy in [1, 2] {
        registry.apply(&event(LifecycleKind::Created, key(hierarchy, 5), &path));
    }
    let mut seen = Vec::new();
    for (hierarchy, now) in [(1, true), (2, true), (1, false), (2, false)] {
        let changes = registry.apply(&event(LifecycleKind::Populated(now), key(hierarchy, 5), &path));
        seen.push(shown(&changes).iter().map(|(kind, _)| *kind).collect::<Vec<_>>());
    }
    assert_eq!(seen, [vec!["container_started"], vec![], vec![], vec!["container_exited"]]);
    assert_eq!(registry.containers(), 1);
}

#[test]
fn a_container_older_than_the_agent_exits_once() {
    let (mut registry, path) = (Registry::new(10), container());
    let mark = registry.begin_walk();
    registry.apply_walk(mark, &walked(&[(key(1, 5), &path), (key(2, 5), &path)], false));
    let first = registry.apply(&event(LifecycleKind::Populated(false), key(1, 5), &path));
    let second = registry.apply(&event(LifecycleKind::Populated(false), key(2, 5), &path));
    assert_eq!(shown(&first), [("container_exited", path.to_string())]);
    assert_eq!(shown(&second), []);
}

#[test]
fn a_look_at_an_empty_cgroup_is_valid_until_the_next_event() {
    let (mut registry, path) = (Registry::new(10), container());
    let may_run = |registry: &Registry| registry.cgroups().all(|(_, cgroup)| cgroup.may_run());
    let mark = registry.begin_walk();
    registry.apply_walk(mark, &walked(&[(key(1, 5), &path)], false));
    assert!(may_run(&registry), "nothing is known yet");
    registry.looked_empty([&path]);
    assert!(!may_run(&registry));
    registry.apply(&event(LifecycleKind::Populated(true), key(1, 5), &path));
    assert!(may_run(&registry));
    registry.looked_empty([&path]);
    assert!(may_run(&registry), "the kernel's word stands above an older look");
}

#[test]
fn a_rename_moves_the_subtree_of_its_hierarchy() {
    let mut registry = Registry::new(10);
    let (old, child, new) = (CgroupPath::from("/old"), CgroupPath::from("/old/x"), CgroupPath::from("/new"));
    registry.apply(&event(LifecycleKind::Created, key(1, 5), &old));
    registry.apply(&event(LifecycleKind::Created, key(2, 6), &old));
    registry.apply(&event(LifecycleKind::Created, key(1, 7), &child));
    let changes = registry.apply(&event(LifecycleKind::Renamed, key(1, 5), &new));
    let wanted = [("cgroup_created", "/new"), ("cgroup_created", "/new/x"), ("cgroup_removed", "/old/x")];
    assert_eq!(
        registry.cgroups().find(|(path, _)| **path == new).unwrap().1.created,
        Some(UNIX_EPOCH + Duration::from_secs(5))
    );
    let wanted: Vec<(&str, String)> = wanted.iter().map(|(kind, path)| (*kind, (*path).to_owned())).collect();
    assert_eq!(shown(&changes), wanted, "/old stays, as the other hierarchy still has it");
    let paths: Vec<String> = registry.cgroups().map(|(path, _)| path.to_string()).collect();
    assert_eq!(paths, ["/new", "/new/x", "/old"]);
}

#[test]
fn cut_paths_stay_apart_until_a_walk_settles_them() {
    let (mut registry, cut) = (Registry::new(10), CgroupPath::from("/long"));
    for id in [5, 6] {
        let event = LifecycleEvent { path_cut: true, ..event(LifecycleKind::Created, key(1, id), &cut) };
        let changes = registry.apply(&event);
        assert_eq!(shown(&changes), [("cgroup_created", "/long".into())]);
        assert!(changes[0].cgroup.path_cut);
    }
    assert!(registry.take_needs_walk());
    assert_eq!(registry.len(), 2);
    let (a, b) = (CgroupPath::from("/longer/a"), CgroupPath::from("/longer/b"));
    let mark = registry.begin_walk();
    assert_eq!(shown(&registry.apply_walk(mark, &walked(&[(key(1, 5), &a), (key(1, 6), &b)], true))), []);
    let gone = registry.apply(&event(LifecycleKind::Removed, key(1, 6), &b));
    assert_eq!(shown(&gone), [("cgroup_removed", "/longer/b".into())]);
}

#[test]
fn a_second_directory_with_one_path_means_a_lost_removal() {
    let (mut registry, path) = (Registry::new(10), CgroupPath::from("/a"));
    registry.apply(&event(LifecycleKind::Created, key(1, 5), &path));
    let changes = registry.apply(&event(LifecycleKind::Created, key(1, 6), &path));
    assert_eq!(shown(&changes), [("cgroup_removed", "/a".into()), ("cgroup_created", "/a".into())]);
    assert!(registry.take_needs_walk());
}

#[test]
fn kills_are_counted_before_and_after_removal_and_over_a_restart() {
    let (mut registry, path) = (Registry::new(10), CgroupPath::from("/a"));
    registry.apply(&event(LifecycleKind::Created, key(1, 5), &path));
    assert!(registry.oom_kill_at(&path).is_some());
    registry.apply(&event(LifecycleKind::Removed, key(1, 5), &path));
    assert_eq!(registry.path_of_key(key(1, 5)).as_ref(), Some(&path));
    assert!(registry.oom_kill_at(&path).is_some());
    assert_eq!(registry.tombstones().next().unwrap().1.oom_kills, 2);
    registry.apply(&event(LifecycleKind::Created, key(1, 6), &path));
    assert_eq!(registry.cgroups().next().unwrap().1.oom_kills, 2);
    assert_eq!(registry.tombstones().count(), 0);
    // The kernel counts the new directory from 0.
    let unreported = |kills| registry.kills_unreported(&[(path.clone(), kills)].into());
    assert_eq!((unreported(0), unreported(1)), (vec![], vec![(path.clone(), 1)]));
    assert!(registry.path_of_key(key(1, 99)).is_none());
}

#[test]
fn tombstones_expire_and_are_bounded() {
    let mut registry = Registry::new(3);
    for id in 1..=5 {
        let path = CgroupPath::from(format!("/{id}").as_str());
        registry.apply(&event(LifecycleKind::Created, key(1, id), &path));
        registry.apply(&event(LifecycleKind::Removed, key(1, id), &path));
    }
    assert_eq!(registry.tombstones().count(), 3);
    registry.expire(UNIX_EPOCH + Duration::from_secs(4));
    assert_eq!(registry.tombstones().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), ["/5"]);
}

/// What the kernel does in the model test.
#[derive(Clone, Debug)]
enum Step {
    Make(u8, u8),
    Remove(u8, u8),
    /// The next event is lost.
    Lose,
    Walk,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..3u8, 0..6u8).prop_map(|(hierarchy, name)| Step::Make(hierarchy, name)),
        3 => (1..3u8, 0..6u8).prop_map(|(hierarchy, name)| Step::Remove(hierarchy, name)),
        1 => Just(Step::Lose),
        1 => Just(Step::Walk),
    ]
}

proptest! {
    /// Whatever is made, removed and lost: after a walk the registry is the tree, and what users have seen adds up.
    #[test]
    fn after_a_walk_the_registry_is_the_tree(steps in proptest::collection::vec(step(), 1..80)) {
        let mut registry = Registry::new(100);
        let mut tree: BTreeMap<(u8, u8), u64> = BTreeMap::new();
        let (mut next_id, mut lose) = (1, false);
        let mut standing: BTreeSet<String> = BTreeSet::new();
        let name = |name: u8| CgroupPath::from(format!("/{name}").as_str());
        for step in steps.into_iter().chain([Step::Walk]) {
            let happened = match step {
                Step::Make(h, n) if !tree.contains_key(&(h, n)) => {
                    next_id += 1;
                    tree.insert((h, n), next_id);
                    Some(event(LifecycleKind::Created, key(h.into(), next_id), &name(n)))
                }
                Step::Remove(h, n) => tree
                    .remove(&(h, n))
                    .map(|id| event(LifecycleKind::Removed, key(h.into(), id), &name(n))),
                Step::Lose => { lose = true; None }
                Step::Walk => {
                    let mark = registry.begin_walk();
                    let found: Vec<(CgroupKey, CgroupPath)> =
                        tree.iter().map(|((h, n), id)| (key((*h).into(), *id), name(*n))).collect();
                    let found: Vec<(CgroupKey, &CgroupPath)> = found.iter().map(|(k, p)| (*k, p)).collect();
                    keep_up(&mut standing, &registry.apply_walk(mark, &walked(&found, true)))?;
                    let paths: BTreeSet<String> = tree.keys().map(|(_, n)| name(*n).to_string()).collect();
                    let known: BTreeSet<String> =
                        registry.cgroups().map(|(path, _)| path.to_string()).collect();
                    prop_assert_eq!(&known, &paths);
                    prop_assert_eq!(&standing, &paths);
                    None
                }
                Step::Make(..) => None,
            };
            if let Some(event) = happened.filter(|_| !std::mem::take(&mut lose)) {
                keep_up(&mut standing, &registry.apply(&event))?;
            }
        }
    }
}

/// Creations and removals must alternate per path.
fn keep_up(standing: &mut BTreeSet<String>, changes: &[Change]) -> Result<(), TestCaseError> {
    for (kind, path) in shown(changes) {
        match kind {
            "cgroup_created" => prop_assert!(standing.insert(path.clone()), "{} created twice", path),
            "cgroup_removed" => prop_assert!(standing.remove(&path), "{} removed twice", path),
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn a_cgroup_without_a_path_is_found_by_its_parent() {
    let mut registry = Registry::new(10);
    let (parent, child) = (key(0, 2), key(0, 3));
    registry.apply(&event(LifecycleKind::Created, parent, &CgroupPath::from("/pod")));
    let cut = LifecycleEvent {
        parent: Some(parent),
        path_cut: true,
        ..event(LifecycleKind::Created, child, &CgroupPath::root())
    };
    let seen = registry.apply(&cut);
    let named: Vec<(&CgroupPath, bool)> =
        seen.iter().map(|change| (&change.cgroup.path, change.cgroup.path_cut)).collect();
    assert_eq!(named, [(&CgroupPath::from("/pod"), true)]);
    assert!(registry.take_needs_walk());
    // The next agent learns of its end and reports the same.
    let mut next = Registry::new(10);
    next.restore(registry.known());
    let gone = next.apply(&event(LifecycleKind::Removed, child, &CgroupPath::root()));
    let named: Vec<(&CgroupPath, bool)> =
        gone.iter().map(|change| (&change.cgroup.path, change.cgroup.path_cut)).collect();
    assert_eq!(named, [(&CgroupPath::from("/pod"), true)]);
}
