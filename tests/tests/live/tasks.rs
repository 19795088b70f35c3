//! Metrics from `/proc` about the processes of a cgroup, and the sockets of its network namespace.

use std::path::Path;

use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::exposition::Exposition;
use cgtap_tests::host::{memory_cgroups, program, skip_unless};
use cgtap_tests::load::Member;
use cgtap_tests::log::{QUIET, wait_for};

use crate::support::{Lent, load};

const TASKS: [&str; 5] =
    ["--min-interval", "1ms", "--enable", "process,sched,referenced_memory", "--enable-load-reader"];

/// Run time, wait time and time slices of all threads.
fn schedstat(pid: u32) -> [f64; 3] {
    let mut sum = [0.0; 3];
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        for (sum, number) in sum.iter_mut().zip(text.split_whitespace()) {
            *sum += number.parse::<f64>().unwrap();
        }
    }
    [sum[0] / 1e9, sum[1] / 1e9, sum[2]]
}

fn sched(metrics: &Exposition, id: &str) -> [f64; 3] {
    ["run_seconds", "runqueue_seconds", "run_periods"].map(|name| {
        let name = format!("container_cpu_schedstat_{name}_total");
        metrics.one(&name, &[("id", id)]).unwrap().unwrap_or_else(|| panic!("no {name} of {id}"))
    })
}

#[test]
fn processes_are_counted_with_those_below() {
    if skip_unless("tasks::processes_are_counted_with_those_below", memory_cgroups()) {
        return;
    }
    let parent = TestCgroup::new().unwrap();
    let child = parent.memory_dir().unwrap().join("child");
    std::fs::create_dir(&child).unwrap();
    // v2 has no processes beside a controller's children; these have none enabled below them.
    let (above, below) = (start("sleep", parent.memory_dir().unwrap()), start("sleep", &child));
    let agent = Lent::with(&TASKS);
    let metrics = agent.metrics().unwrap();
    let (id, child_id) = (parent.path(), format!("{}/child", parent.path()));
    let value = |name: &str, id: &str| metrics.one(name, &[("id", id)]).unwrap();
    let fds = |member: &Member| std::fs::read_dir(format!("/proc/{}/fd", member.pid())).unwrap().count();
    assert_eq!(
        (value("container_processes", &id), value("container_processes", &child_id)),
        (Some(2.0), Some(1.0))
    );
    let wanted = (fds(&above) + fds(&below)) as f64;
    assert_eq!(value("container_file_descriptors", &id), Some(wanted));
    assert_eq!(value("container_sockets", &id), Some(0.0));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", below.pid())).unwrap();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let limit = limit.split_whitespace().next().unwrap().parse::<f64>().unwrap_or(-1.0);
    let labels = [("id", child_id.as_str()), ("ulimit", "max_open_files")];
    assert_eq!(metrics.one("container_ulimits_soft", &labels).unwrap(), Some(limit));
    let state = |state: &str| metrics.one("container_tasks_state", &[("id", &id), ("state", state)]).unwrap();
    assert_eq!((state("sleeping"), state("running"), state("stopped")), (Some(2.0), Some(0.0), Some(0.0)));
    assert_eq!(value("container_cpu_load_average_10s", &child_id), Some(0.0));
}

#[test]
fn run_queue_times_lie_between_two_readings_and_never_fall() {
    let name = "tasks::run_queue_times_lie_between_two_readings_and_never_fall";
    if skip_unless(name, memory_cgroups()) {
        return;
    }
    let parent = TestCgroup::new().unwrap();
    let dir = parent.memory_dir().unwrap();
    let agent = Lent::with(&TASKS);
    let member = start("work", dir);
    let before = schedstat(member.pid());
    let metrics = agent.metrics().unwrap();
    let after = schedstat(member.pid());
    let said = sched(&metrics, &parent.path());
    for (said, (before, after)) in said.into_iter().zip(before.into_iter().zip(after)) {
        assert!(before - 1e-9 <= said && said <= after + 1e-9, "{before} {said} {after}");
    }
    assert!(said[0] > 0.0, "a process that worked has run");
    let referenced = metrics.one("container_referenced_bytes", &[("id", &parent.path())]).unwrap().unwrap();
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", member.pid())).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Referenced:")).unwrap();
    assert_eq!(referenced, line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0);
    drop(member);
    let next = start("sleep", dir);
    let later = sched(&agent.metrics().unwrap(), &parent.path());
    assert!(later.iter().zip(said).all(|(later, said)| *later >= said), "{later:?} after {said:?}");
    drop(next);
}

fn start(mode: &str, dir: &Path) -> Member {
    Member::start(load(), mode, dir).unwrap()
}

#[test]
fn sockets_are_those_of_the_namespace() {
    let name = "tasks::sockets_are_those_of_the_namespace";
    if skip_unless(name, memory_cgroups().and(program("unshare", "util-linux"))) {
        return;
    }
    let parent = TestCgroup::new().unwrap();
    let id = format!("{:064x}", std::process::id());
    let dir = parent.memory_dir().unwrap().join(&id);
    std::fs::create_dir(&dir).unwrap();
    let agent = Lent::with(&["--min-interval", "1ms", "--enable", "tcp,udp,advtcp"]);
    let mode = ["--net", load().to_str().unwrap(), "listen"];
    let (_member, _) = Member::with(Path::new("unshare"), &mode, &dir, &["3", "2"]).unwrap();
    let path = format!("{}/{id}", parent.path());
    // The kernel's report of its first process may come a moment later.
    wait_for("the container's sockets", QUIET, || {
        let labels = [("id", path.as_str()), ("tcp_state", "listen")];
        agent.metrics().unwrap().one("container_network_tcp_usage_total", &labels).unwrap().is_some()
    });
    let metrics = agent.metrics().unwrap();
    let state = |name: &str, label: &str, state: &str| {
        metrics.one(&format!("container_network_{name}_total"), &[("id", &path), (label, state)]).unwrap()
    };
    assert_eq!(state("tcp_usage", "tcp_state", "listen"), Some(3.0));
    assert_eq!(state("tcp_usage", "tcp_state", "established"), Some(0.0));
    assert_eq!(state("udp_usage", "udp_state", "listen"), Some(2.0));
    assert_eq!(state("udp_usage", "udp_state", "dropped"), Some(0.0));
    assert_eq!(state("advance_tcp_stats", "tcp_state", "activeopens"), Some(0.0));
    let host = |state: &str| {
        let labels = [("id", "/"), ("tcp_state", state)];
        metrics.one("container_network_tcp_usage_total", &labels).unwrap().unwrap()
    };
    assert!(host("listen") >= 1.0, "the agent itself listens in the host's namespace");
    assert_eq!(metrics.one("container_network_host", &[("id", &path)]).unwrap(), None);
}
