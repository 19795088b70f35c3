//! Every OOM kill is an event with the right process and cgroup, at the time it happened.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use cgtap_tests::agent::Agent;
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::host::{Rung, bpf, memory_cgroups, skip_unless};
use cgtap_tests::load::{self, Killed};
use cgtap_tests::time::unix_seconds;
use serde_json::Value;

use crate::support::{self, QUIET, kind, path};

const KILLS: usize = 5;
const LIMIT_MIB: u64 = 20;
/// What the event's clock may differ from ours: it is the kernel's, turned into wall time by the agent.
const CLOCK_SECONDS: f64 = 0.05;

fn kills(name: &str, rung: Rung) {
    if skip_unless(name, memory_cgroups().and(bpf(rung))) {
        return;
    }
    let agent = Agent::start(&["--oom-source", rung.flag()]).unwrap();
    let cgroup = TestCgroup::new().unwrap();
    cgroup.limit_memory(LIMIT_MIB << 20).unwrap();
    let stream = agent.follow("&types=oom_kill").unwrap();
    let dir = cgroup.memory_dir().unwrap();
    let killed: Vec<Killed> =
        (0..KILLS).map(|_| load::hog(support::load(), dir, LIMIT_MIB * 8).unwrap()).collect();
    let mut missing: HashSet<u64> = killed.iter().map(|k| u64::from(k.pid)).collect();
    let told = stream
        .until(QUIET, |e| {
            missing.remove(&pid(e));
            missing.is_empty()
        })
        .unwrap();
    assert!(missing.is_empty(), "no event for the processes {missing:?}");
    for killed in &killed {
        let events: Vec<&Value> = told.iter().filter(|e| pid(e) == u64::from(killed.pid)).collect();
        assert_eq!(events.len(), 1, "one event for each process: {events:?}");
        assert_kill(events[0], killed, &cgroup, rung);
    }
    assert_counted(&agent, &cgroup, &told);
}

fn pid(event: &Value) -> u64 {
    event["victim"]["pid"].as_u64().unwrap_or_default()
}

fn assert_kill(event: &Value, killed: &Killed, cgroup: &TestCgroup, rung: Rung) {
    assert_eq!(kind(event), "oom_kill");
    assert_eq!(event["source"], rung.flag(), "{event}");
    let victim = &event["victim"];
    // One thread, so its thread id and its process id are one; a kernel that does not tell it leaves it out.
    assert!(victim.get("tgid").is_none_or(|t| *t == killed.pid), "{event}");
    // The classic tracepoint tells no cgroup and on old kernels no name. The cgroup is then read from the victim's file,
    // which may be gone already: absent, never wrong.
    let may_lack = rung == Rung::Tracepoint;
    let right = |found: Option<&Value>, wanted: Value| found.map_or(may_lack, |found| *found == wanted);
    assert!(right(victim.get("comm"), "cgtap-load".into()), "{event}");
    assert!(right(event.pointer("/cgroup/path"), cgroup.path().into()), "{event}");
    assert!(right(event.pointer("/cgroup/id"), cgroup.memory_id().unwrap().into()), "{event}");
    if let Some(anon) = victim.get("anon_rss_bytes").and_then(Value::as_u64) {
        // What the process had before it entered the cgroup is charged elsewhere.
        let (least, most) = ((LIMIT_MIB << 20) / 2, (LIMIT_MIB + 1) << 20);
        assert!((least..most).contains(&anon), "{anon} bytes under {LIMIT_MIB} MiB: {event}");
    }
    let at = unix_seconds(event["time"].as_str().unwrap_or_default());
    let (from, to) = (seconds(killed.started) - CLOCK_SECONDS, seconds(killed.ended) + CLOCK_SECONDS);
    assert!(from <= at && at <= to, "{at} is not between {from} and {to}: {event}");
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// The metric has as many as the events that name the cgroup.
fn assert_counted(agent: &Agent, cgroup: &TestCgroup, told: &[Value]) {
    let named = told.iter().filter(|e| path(e) == cgroup.path()).count();
    let metrics = agent.metrics().unwrap();
    let count = metrics.one("container_oom_events_total", &[("id", &cgroup.path())]).unwrap();
    assert_eq!(count, Some(named as f64));
}

#[test]
fn kills_are_seen_by_the_typed_tracepoint() {
    kills("oom::kills_are_seen_by_the_typed_tracepoint", Rung::TpBtf);
}

#[test]
fn kills_are_seen_by_the_classic_tracepoint() {
    kills("oom::kills_are_seen_by_the_classic_tracepoint", Rung::Tracepoint);
}

#[test]
fn a_killed_containers_count_outlives_it() {
    if skip_unless("oom::a_killed_containers_count_outlives_it", memory_cgroups().and(bpf(Rung::TpBtf))) {
        return;
    }
    let agent = Agent::start(&["--min-interval", "1ms"]).unwrap();
    let stream = agent.follow("&types=oom_kill,cgroup_removed").unwrap();
    let cgroup = TestCgroup::new().unwrap();
    let path_then = cgroup.path();
    cgroup.limit_memory(LIMIT_MIB << 20).unwrap();
    load::hog(support::load(), cgroup.memory_dir().unwrap(), LIMIT_MIB * 8).unwrap();
    drop(cgroup);
    // They come from two rings, so either may be first.
    let mut missing = HashSet::from(["oom_kill", "cgroup_removed"]);
    stream
        .until(QUIET, |e| {
            if path(e) == path_then {
                missing.remove(kind(e));
            }
            missing.is_empty()
        })
        .unwrap();
    assert!(missing.is_empty(), "{missing:?} did not come for {path_then}");
    let metrics = agent.metrics().unwrap();
    let count = metrics.one("container_oom_events_total", &[("id", &path_then)]).unwrap();
    assert_eq!(count, Some(1.0), "a cgroup that is gone keeps its count until Prometheus has seen it");
    let memory = metrics.one("container_memory_usage_bytes", &[("id", &path_then)]).unwrap();
    assert_eq!(memory, None, "a cgroup that is gone uses no memory");
}
