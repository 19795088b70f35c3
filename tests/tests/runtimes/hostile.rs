//! Runtimes that hang, flood, answer nonsense or have huge labels: scrapes and events go on, memory stays bounded.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use cgtap_tests::agent::Agent;
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::host::{memory_cgroups, skip_unless};
use cgtap_tests::log::{QUIET, wait_for};
use serde_json::Value;

/// Far more than the agent needs with its limits on answers, far less than these runtimes send.
const MAX_RESIDENT_KIB: u64 = 200 << 10;
const LABEL_BYTES: usize = 64 << 20;

type Answer = fn(UnixStream);

/// Serves each connection on a thread of its own until the test's process ends.
fn serve(socket: &Path, answer: Answer) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
}

fn hang(stream: UnixStream) {
    std::thread::sleep(Duration::from_secs(3600));
    drop(stream);
}

/// An HTTP answer without an end.
fn flood(mut stream: UnixStream) {
    let _ = stream.read(&mut [0; 1024]);
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = [&b"10000\r\n"[..], &[b'['; 0x10000], b"\r\n"].concat();
    let mut more = stream.write_all(head);
    while more.is_ok() {
        more = stream.write_all(&chunk);
    }
}

/// A valid answer that is one large label.
fn huge_label(mut stream: UnixStream) {
    while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
        let label = "x".repeat(LABEL_BYTES);
        let body =
            format!("{{\"Id\":\"x\",\"Name\":\"/x\",\"Config\":{{\"Labels\":{{\"big\":\"{label}\"}}}}}}");
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).is_err() {
            return;
        }
    }
}

fn garbage(mut stream: UnixStream) {
    let noise: Vec<u8> = (0..1_u32 << 20).map(|n| n.wrapping_mul(2_654_435_761).to_ne_bytes()[2]).collect();
    let _ = stream.write_all(&noise);
}

fn resident_kib(agent: &Agent) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn sources(agent: &Agent) -> Vec<Value> {
    let status: Value = serde_json::from_slice(&agent.get("/status").unwrap().body).unwrap();
    status["names"]["sources"].as_array().cloned().unwrap_or_default()
}

#[test]
fn hostile_runtimes_harm_themselves_alone() {
    if skip_unless("hostile::hostile_runtimes_harm_themselves_alone", memory_cgroups()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let answers: [(&str, Answer); 5] =
        [("hang", hang), ("flood", flood), ("huge", huge_label), ("garbage", garbage), ("hang2", hang)];
    answers.iter().for_each(|(name, answer)| serve(&at(name), *answer));
    let kinds =
        [("cri", "hang"), ("docker", "flood"), ("podman", "huge"), ("cri", "garbage"), ("docker", "hang2")];
    let sockets = kinds.map(|(kind, name)| format!("{kind}={}", at(name).display())).join(",");
    let agent = Agent::start(&["--min-interval", "1ms", "--runtime-sockets", &sockets]).unwrap();
    let parent = TestCgroup::new().unwrap();
    let stream = agent.follow(&format!("&cgroup={}", parent.path())).unwrap();
    let begun = Instant::now();
    let (mut rounds, mut most_kib) = (0, 0);
    let failing = |agent: &Agent| sources(agent).iter().filter(|source| source["state"] == "failing").count();
    // Until each of them has failed once, and some time longer.
    wait_for("the sources to fail", QUIET, || {
        let id = format!("{rounds:064x}");
        let dir = parent.memory_dir().unwrap().join(&id);
        std::fs::create_dir(&dir).unwrap();
        let path = format!("{}/{id}", parent.path());
        wait_for("the container on the page", QUIET, || {
            agent.metrics().unwrap().one("container_last_seen", &[("id", &path)]).unwrap().is_some()
        });
        std::fs::remove_dir(&dir).unwrap();
        rounds += 1;
        most_kib = resident_kib(&agent).max(most_kib);
        failing(&agent) == kinds.len() && begun.elapsed() > Duration::from_secs(5)
    });
    let removed = |event: &Value| event["type"] == "cgroup_removed";
    let mut left = rounds;
    let events = stream
        .until(QUIET, |event| {
            left -= u32::from(removed(event));
            left == 0
        })
        .unwrap();
    assert_eq!(events.iter().filter(|event| removed(event)).count(), rounds as usize);
    println!("{rounds} containers, {most_kib} KiB resident at most");
    assert!(most_kib < MAX_RESIDENT_KIB, "{most_kib} KiB; {:?}", sources(&agent));
}
