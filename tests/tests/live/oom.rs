//! The count of a container's kills outlives it.

use std::collections::HashSet;
use std::path::Path;

use cgtap_tests::agent::{Agent, Options, Signal};
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::host::{Rung, bpf, memory_cgroups, skip_unless};
use cgtap_tests::load;
use cgtap_tests::log::{QUIET, wait_for};
use serde_json::Value;

use crate::support::{self, Lent, kind, path};

const LIMIT_MIB: u64 = 20;

#[test]
fn a_killed_containers_count_outlives_it() {
    if skip_unless("oom::a_killed_containers_count_outlives_it", memory_cgroups().and(bpf(Rung::TpBtf))) {
        return;
    }
    let agent = Lent::of_defaults();
    let stream = agent.follow("&types=oom_kill,cgroup_removed").unwrap();
    let cgroup = TestCgroup::new().unwrap();
    let path_then = cgroup.path();
    cgroup.limit_memory(LIMIT_MIB << 20).unwrap();
    load::hog(support::load(), cgroup.memory_dir().unwrap(), LIMIT_MIB * 8).unwrap();
    drop(cgroup);
    // The two events come from two rings, so either may be first.
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

/// An agent opens the kernel log before it is ready, and reads the old lines first.
#[test]
fn a_kill_during_the_start_is_reported_from_the_kernel_log() {
    let name = "oom::a_kill_during_the_start_is_reported_from_the_kernel_log";
    if skip_unless(name, memory_cgroups().and_then(|()| Rung::Kmsg.must_serve())) {
        return;
    }
    let cgroup = TestCgroup::new().unwrap();
    cgroup.limit_memory(LIMIT_MIB << 20).unwrap();
    let agent = Agent::spawn(&Options::new(&["--oom-source", Rung::Kmsg.flag()]).unwrap()).unwrap();
    // When there is a second record, the first was at the log's end.
    wait_for("the agent to open the log twice", QUIET, || times_open(agent.pid(), "/dev/kmsg") >= 2);
    agent.signal(Signal::STOP).unwrap();
    let killed = load::hog(support::load(), cgroup.memory_dir().unwrap(), LIMIT_MIB * 8).unwrap();
    agent.signal(Signal::CONT).unwrap();
    wait_for("the agent", QUIET, || agent.get("/readyz").is_ok_and(|answer| answer.status == 200));
    let follower = agent.follow("&since_seq=0&types=oom_kill").unwrap();
    let is_ours = |event: &Value| event["victim"]["tgid"] == killed.pid;
    let events = follower.until(QUIET, is_ours).unwrap();
    assert!(events.iter().any(is_ours), "{} is not reported: {events:?}", killed.pid);
}

fn times_open(pid: u32, path: &str) -> usize {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let files = descriptors.filter_map(|one| std::fs::read_link(one.path()).ok());
    files.filter(|file| file == Path::new(path)).count()
}
