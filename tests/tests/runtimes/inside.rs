//! What a container's process sees, its network and its root, read from outside.

use std::path::{Path, PathBuf};
use std::process::Command;

use cgtap_tests::agent::Agent;
use cgtap_tests::log::{QUIET, wait_for};

/// A process of a cgroup, from any hierarchy.
pub fn process_of(cgroup: &str) -> u32 {
    let root = Path::new("/sys/fs/cgroup");
    let below = cgroup.trim_start_matches('/');
    let hierarchies = std::fs::read_dir(root).unwrap().flatten().map(|entry| entry.path());
    let files = hierarchies.chain([root.to_owned()]).map(|dir| dir.join(below).join("cgroup.procs"));
    let texts = files.filter_map(|file| std::fs::read_to_string(file).ok());
    texts.filter_map(|text| text.lines().next()?.parse().ok()).next().unwrap()
}

/// Makes an `eth0` in a namespace that has none. Both ends are in the namespace.
pub fn add_eth0(pid: u32) {
    let commands =
        "ip link add eth0 type veth peer name peer0 && ip link set eth0 up && ip link set peer0 up";
    let namespace = format!("--net=/proc/{pid}/ns/net");
    assert!(Command::new("nsenter").args([&namespace, "sh", "-c", commands]).status().unwrap().success());
}

/// Received and sent bytes of `eth0`.
fn eth0(pid: u32) -> [f64; 2] {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("eth0:")).unwrap();
    let fields: Vec<f64> = line.split_whitespace().map(|field| field.parse().unwrap()).collect();
    [fields[0], fields[8]]
}

/// Waits until two readings of the interface and the page agree: a new interface still sends packets to its neighbours.
pub fn wait_for_network(agent: &Agent, owner: &str, pid: u32) {
    wait_for("the network to be what the kernel says", QUIET, || {
        let before = eth0(pid);
        let metrics = agent.metrics().unwrap();
        let said = ["receive", "transmit"].map(|way| {
            let name = format!("container_network_{way}_bytes_total");
            metrics.one(&name, &[("id", owner), ("interface", "eth0")]).unwrap()
        });
        before == eth0(pid) && said == before.map(Some)
    });
}

/// The directory with the files that a container writes: the upper one of an overlay, else its whole root. It is the host's path,
/// because the container has other mounts in its root. The tests' folders are on the file system that is mounted at `/`.
fn layer(pid: u32) -> PathBuf {
    let text = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let root = text.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    match root.split("upperdir=").nth(1) {
        Some(rest) => rest.split(',').next().unwrap().into(),
        None => root.split(' ').nth(3).unwrap().into(),
    }
}

fn disk_usage_bytes(dir: &Path) -> f64 {
    let output = Command::new("du").args(["-sx", "-B1"]).arg(dir).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

/// Writes a file as the container's processes would, and waits until the page agrees with `du`.
pub fn write_and_wait_for_usage(agent: &Agent, container: &str, pid: u32) {
    const WRITTEN: usize = 3 << 20;
    std::fs::write(format!("/proc/{pid}/root/written"), vec![7; WRITTEN]).unwrap();
    let layer = layer(pid);
    let value = |name: &str| agent.metrics().unwrap().one(name, &[("id", container)]).unwrap();
    wait_for("the container's files to be what du says", QUIET, || {
        let said = value("cgtap_container_fs_writable_bytes");
        said.is_some_and(|bytes| bytes >= WRITTEN as f64) && said == Some(disk_usage_bytes(&layer))
    });
    let used = value("container_fs_usage_bytes");
    assert!(used >= Some(WRITTEN as f64), "{used:?}");
}
