//! A container's start and end are events, and its network is its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::host::{Rung, bpf, memory_cgroups, program, skip_unless};
use cgtap_tests::load::Member;
use cgtap_tests::log::{QUIET, wait_for};

use crate::support::{Lent, kind, load, path};

/// A container's cgroup below a test's, in each hierarchy.
pub(super) fn container(of: &TestCgroup) -> (String, Vec<PathBuf>) {
    let id = format!("{:064x}", std::process::id());
    let dirs: Vec<PathBuf> = of.dirs().iter().map(|dir| dir.join(&id)).collect();
    for dir in &dirs {
        std::fs::create_dir(dir).unwrap();
    }
    (id, dirs)
}

pub(super) fn enter(dirs: &[PathBuf], pid: u32) {
    for dir in dirs {
        std::fs::write(dir.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

#[test]
fn start_and_exit_are_one_event_each_over_all_hierarchies() {
    let name = "containers::start_and_exit_are_one_event_each_over_all_hierarchies";
    if skip_unless(name, memory_cgroups().and(bpf(Rung::TpBtf))) {
        return;
    }
    let agent = Lent::of_defaults();
    let parent = TestCgroup::new().unwrap();
    let stream = agent.follow(&format!("&cgroup={}", parent.path())).unwrap();
    let (id, dirs) = container(&parent);
    let member = Member::start(load(), "sleep", &dirs[0]).unwrap();
    enter(&dirs, member.pid());
    drop(member);
    for dir in &dirs {
        std::fs::remove_dir(dir).unwrap();
    }
    let events = stream.until(QUIET, |e| kind(e) == "cgroup_removed").unwrap();
    // The parent was made a moment before the follower connected, so its event may be here too.
    let events: Vec<_> = events.iter().filter(|e| path(e) != parent.path()).collect();
    let kinds: Vec<&str> = events.iter().map(|e| kind(e)).collect();
    assert_eq!(kinds, ["cgroup_created", "container_started", "container_exited", "cgroup_removed"]);
    for event in events {
        assert_eq!(event["container"]["id"], id, "{event}");
        assert_eq!(path(event), format!("{}/{id}", parent.path()));
    }
}

/// A process in a network namespace of its own with one interface.
struct OwnNetwork(Child);

impl OwnNetwork {
    fn start() -> Self {
        let script = "ip link add eth0 type veth peer name peer0 && ip link set eth0 up && ip link set peer0 up && \
                      echo ready && exec sleep 1000";
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        assert_eq!(line, "ready\n", "ip could not make the interface");
        Self(child)
    }

    /// `/proc/<pid>/net/dev` of an interface: received bytes and packets, sent bytes and packets.
    fn counters(&self, interface: &str) -> [f64; 4] {
        let text = std::fs::read_to_string(format!("/proc/{}/net/dev", self.0.id())).unwrap();
        let start = format!("{interface}:");
        let line = text.lines().find_map(|line| line.trim().strip_prefix(&start)).unwrap();
        let fields: Vec<f64> = line.split_whitespace().map(|field| field.parse().unwrap()).collect();
        [fields[0], fields[1], fields[8], fields[9]]
    }
}

impl Drop for OwnNetwork {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const NETWORK: [&str; 4] = [
    "container_network_receive_bytes_total",
    "container_network_receive_packets_total",
    "container_network_transmit_bytes_total",
    "container_network_transmit_packets_total",
];

#[test]
fn the_network_of_a_container_is_its_own_namespace() {
    let name = "containers::the_network_of_a_container_is_its_own_namespace";
    if skip_unless(name, memory_cgroups().and(program("ip", "iproute2"))) {
        return;
    }
    let agent = Lent::of_defaults();
    let parent = TestCgroup::new().unwrap();
    let (id, dirs) = container(&parent);
    let process = OwnNetwork::start();
    enter(&dirs, process.0.id());
    let path = format!("{}/{id}", parent.path());
    let labels = [("id", path.as_str()), ("interface", "eth0")];
    // A new interface still sends packets to its neighbours, so repeat until two readings agree.
    let deadline = Instant::now() + QUIET;
    loop {
        let before = process.counters("eth0");
        let metrics = agent.metrics().unwrap();
        let exported = NETWORK.map(|name| metrics.one(name, &labels).unwrap());
        if before == process.counters("eth0") && exported.iter().all(Option::is_some) {
            assert_eq!(exported.map(Option::unwrap), before);
            let loopback = metrics.one(NETWORK[0], &[("id", &path), ("interface", "lo")]).unwrap();
            assert_eq!(loopback, None, "lo is not shown");
            break;
        }
        assert!(Instant::now() < deadline, "{exported:?}, the kernel says {before:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_network_of_the_host_is_not_a_containers() {
    let name = "containers::the_network_of_the_host_is_not_a_containers";
    // A walk would show the container too, but later.
    if skip_unless(name, memory_cgroups().and(bpf(Rung::TpBtf))) {
        return;
    }
    let agent = Lent::of_defaults();
    let parent = TestCgroup::new().unwrap();
    let (id, dirs) = container(&parent);
    let member = Member::start(load(), "sleep", &dirs[0]).unwrap();
    enter(&dirs, member.pid());
    let path = format!("{}/{id}", parent.path());
    // The kernel's report of its first process may come a moment later.
    wait_for("the container to be in the host's network", QUIET, || {
        let host = agent.metrics().unwrap().one("container_network_host", &[("id", &path)]).unwrap();
        host == Some(1.0)
    });
    let metrics = agent.metrics().unwrap();
    let interfaces: Vec<&str> = metrics
        .samples
        .iter()
        .filter(|sample| sample.name.starts_with("container_network_") && sample.label("id") == path)
        .filter(|sample| sample.name != "container_network_host")
        .map(|sample| sample.label("interface"))
        .collect();
    assert!(interfaces.is_empty(), "{interfaces:?}");
}
