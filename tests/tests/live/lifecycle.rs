//! Every cgroup made and removed is an event, once, in order.

use std::collections::HashMap;

use cgtap_tests::agent::Agent;
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::host::{Rung, bpf, memory_cgroups, skip_unless};
use cgtap_tests::load;
use serde_json::Value;

use crate::support::{QUIET, assert_unbroken, kind, name_below, path};

const BURST: u32 = 2000;

fn burst(name: &str, rung: Rung) {
    if skip_unless(name, memory_cgroups().and(bpf(rung))) {
        return;
    }
    let agent = Agent::start(&["--lifecycle-source", rung.flag()]).unwrap();
    let stream = agent.follow("").unwrap();
    let parent = TestCgroup::new().unwrap();
    load::burst(parent.memory_dir().unwrap(), BURST).unwrap();
    // A cgroup that stays ends the wait: what comes of the burst came before it.
    let marker = TestCgroup::new().unwrap();
    let events = stream.until(QUIET, |e| path(e) == marker.path()).unwrap();
    assert_unbroken(&events);
    assert_each_once(&events, &parent.path());
    assert_source(&events, &parent.path(), rung);
    assert_nothing_dropped(&agent);
}

/// Each cgroup of the burst was created once and then removed once.
fn assert_each_once(events: &[Value], parent: &str) {
    let mut seen: HashMap<String, Vec<&str>> = HashMap::new();
    for event in events {
        if let Some(name) = name_below(event, parent) {
            seen.entry(name).or_default().push(kind(event));
        }
    }
    assert_eq!(seen.len(), BURST as usize, "cgroups that any event was about");
    for (path, kinds) in seen {
        assert_eq!(kinds, ["cgroup_created", "cgroup_removed"], "{path}");
    }
}

fn assert_source(events: &[Value], parent: &str, rung: Rung) {
    let others: Vec<&Value> =
        events.iter().filter(|e| name_below(e, parent).is_some() && e["source"] != rung.flag()).collect();
    assert!(others.is_empty(), "not from {}: {:?}", rung.flag(), others.first());
}

fn assert_nothing_dropped(agent: &Agent) {
    let status = agent.get("/status").unwrap().json().unwrap();
    assert_eq!(status["lost_records"], 0, "{status}");
    let hooks = status["hooks"].as_array().unwrap();
    assert!(!hooks.is_empty(), "{status}");
    for hook in hooks {
        assert_eq!(hook["counters"]["dropped"], 0, "{hook}");
    }
}

#[test]
fn a_burst_is_seen_whole_by_typed_tracepoints() {
    burst("lifecycle::a_burst_is_seen_whole_by_typed_tracepoints", Rung::TpBtf);
}

#[test]
fn a_burst_is_seen_whole_by_classic_tracepoints() {
    burst("lifecycle::a_burst_is_seen_whole_by_classic_tracepoints", Rung::Tracepoint);
}

#[test]
fn one_cgroup_in_many_hierarchies_is_one_event() {
    let name = "lifecycle::one_cgroup_in_many_hierarchies_is_one_event";
    if skip_unless(name, memory_cgroups().and(bpf(Rung::TpBtf))) {
        return;
    }
    let agent = Agent::start(&[]).unwrap();
    let stream = agent.follow("&types=cgroup_created,cgroup_removed").unwrap();
    let parent = TestCgroup::new().unwrap();
    let dirs: Vec<_> = parent.dirs().iter().map(|dir| dir.join("one")).collect();
    dirs.iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
    dirs.iter().for_each(|dir| std::fs::remove_dir(dir).unwrap());
    // A second cgroup ends the wait: what came for the first came before it.
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
    let agent = Agent::start(&[]).unwrap();
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
