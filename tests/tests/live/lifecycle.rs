//! One cgroup is one event over all hierarchies, and none that was there before; a follower may come back.

use cgtap_tests::agent::Agent;
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::host::{Rung, bpf, memory_cgroups, skip_unless};
use cgtap_tests::log::QUIET;

use crate::support::{Lent, assert_unbroken, kind, name_below, path};

#[test]
fn one_cgroup_in_many_hierarchies_is_one_event() {
    let name = "lifecycle::one_cgroup_in_many_hierarchies_is_one_event";
    if skip_unless(name, memory_cgroups().and(bpf(Rung::TpBtf))) {
        return;
    }
    let agent = Lent::of_defaults();
    let stream = agent.follow("&types=cgroup_created,cgroup_removed").unwrap();
    let parent = TestCgroup::new().unwrap();
    let dirs: Vec<_> = parent.dirs().iter().map(|dir| dir.join("one")).collect();
    dirs.iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
    dirs.iter().for_each(|dir| std::fs::remove_dir(dir).unwrap());
    // An event of a second cgroup ends the wait: all events of the first come before it.
    let marker = TestCgroup::new().unwrap();
    let events = stream.until(QUIET, |e| path(e) == marker.path()).unwrap();
    assert_eq!(events.last().map(path), Some(marker.path().as_str()), "{events:?}");
    let one = events.iter().filter(|e| name_below(e, &parent.path()).is_some());
    assert_eq!(one.map(kind).collect::<Vec<_>>(), ["cgroup_created", "cgroup_removed"]);
}

#[test]
fn what_was_there_before_is_counted_and_is_no_event() {
    if skip_unless("lifecycle::what_was_there_before_is_counted_and_is_no_event", memory_cgroups()) {
        return;
    }
    let cgroup = TestCgroup::new().unwrap();
    let agent = Agent::start(&[]).unwrap();
    let answer = agent.get(&format!("/events?cgroup={}", cgroup.path())).unwrap();
    assert_eq!((answer.status, answer.text().unwrap()), (200, ""));
    assert!(agent.metrics().unwrap().label_values("id").contains(cgroup.path().as_str()));
}

#[test]
fn a_follower_that_comes_back_gets_what_it_missed() {
    let name = "lifecycle::a_follower_that_comes_back_gets_what_it_missed";
    if skip_unless(name, memory_cgroups().and(bpf(Rung::TpBtf))) {
        return;
    }
    let agent = Lent::of_defaults();
    let stream = agent.follow("").unwrap();
    let first = TestCgroup::new().unwrap();
    let events = stream.until(QUIET, |e| path(e) == first.path()).unwrap();
    let seq = events.last().and_then(|e| e["seq"].as_u64()).unwrap();
    drop(stream);
    let second = TestCgroup::new().unwrap();
    let resumed = agent.follow(&format!("&since_seq={seq}")).unwrap();
    let missed = resumed.until(QUIET, |e| path(e) == second.path()).unwrap();
    assert_eq!(missed.first().and_then(|e| e["seq"].as_u64()), Some(seq + 1), "{missed:?}");
    assert_eq!(missed.last().map(path), Some(second.path().as_str()), "{missed:?}");
    assert_unbroken(&missed);
}
