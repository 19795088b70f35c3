//! Slow clients harm neither the log nor each other.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use cgtap_tests::agent::Agent;
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::churn::Churn;
use cgtap_tests::host::{memory_cgroups, skip_unless};
use cgtap_tests::http::Lines;
use cgtap_tests::load;
use cgtap_tests::log::{QUIET, kind, say, wait_for};
use cgtap_tests::soak::rounds;
use serde_json::Value;

/// A client that sends a request and never reads.
fn stalled(agent: &Agent, query: &str) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    // Set before it connects, because the TCP window is agreed on then.
    sockopt::set_socket_recv_buffer_size(&socket, 4096).unwrap();
    connect(&socket, &agent.address).unwrap();
    let mut client = TcpStream::from(socket);
    write!(client, "GET /events?follow=1{query} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    client
}

fn resident_bytes(agent: &Agent) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

fn followers(agent: &Agent) -> u64 {
    agent.get("/status").unwrap().json().unwrap()["events"]["followers"].as_u64().unwrap()
}

#[test]
fn of_100_followers_the_50_that_read_get_everything_and_the_others_are_dropped_in_time() {
    let name =
        "subscribers::of_100_followers_the_50_that_read_get_everything_and_the_others_are_dropped_in_time";
    if skip_unless(name, memory_cgroups()) {
        return;
    }
    let seconds = rounds(4, 60);
    let agent = Agent::start(&["--client-timeout", "3s"]).unwrap();
    let cgroup = TestCgroup::new().unwrap();
    let query = format!("&since_seq=0&cgroup={}", cgroup.path());
    let before = resident_bytes(&agent);
    let _stalled: Vec<TcpStream> = (0..50).map(|_| stalled(&agent, &query)).collect();
    let readers: Vec<Lines> = (0..50).map(|_| agent.follow(&query).unwrap()).collect();
    wait_for("all followers", QUIET, || followers(&agent) == 100);
    let alone = load::the_only_kills();
    let churn =
        Churn::start(crate::support::load().to_owned(), &cgroup, 500, Duration::from_millis(50)).unwrap();
    std::thread::sleep(Duration::from_secs(u64::from(seconds)));
    let done = churn.finish().unwrap();
    drop(alone);
    // More than the sockets of clients that do not read can hold.
    load::burst(cgroup.memory_dir().unwrap(), 2000).unwrap();
    let marker = cgroup.memory_dir().unwrap().join("marker");
    std::fs::create_dir(&marker).unwrap();
    let is_marker =
        |event: &Value| event["cgroup"]["path"].as_str().is_some_and(|path| path.ends_with("/marker"));
    let made = 2 * (done.cgroups + 2000) + done.killed.len() as u64;
    let mut expected: Option<Vec<u64>> = None;
    let mut latencies = Vec::new();
    for reader in &readers {
        let (mut seqs, mut has_marker) = (Vec::new(), false);
        loop {
            let (came, event) = reader.next_with_arrival(QUIET).unwrap().expect("a reader gets all");
            assert!(event["seq"].is_u64() && kind(&event) != "lost", "{event}");
            seqs.push(event["seq"].as_u64().unwrap());
            if kind(&event) == "oom_kill" {
                latencies.push(since(came, &event));
            }
            has_marker |= is_marker(&event);
            // A kill waits a moment for its line in the kernel log, and the marker does not.
            if has_marker && seqs.len() as u64 >= made {
                break;
            }
        }
        assert!(seqs.len() as u64 >= made, "{} of {made}", seqs.len());
        assert!(expected.get_or_insert_with(|| seqs.clone()) == &seqs, "all readers get the same");
    }
    let after = resident_bytes(&agent);
    wait_for("the end of those that do not read", QUIET, || followers(&agent) == 50);
    latencies.sort_unstable();
    let at = |part: usize| latencies[(latencies.len() - 1) * part / 100];
    say(&format!(
        "{} events to 50 readers beside 50 that never read; kill to client: median {:?}, p99 {:?}, longest {:?}; \
         resident {} MiB before, {} MiB after",
        expected.unwrap().len(),
        at(50),
        at(99),
        at(100),
        before >> 20,
        after >> 20
    ));
    // The ring of records in memory has its limit, and 100 followers a few buffers each.
    assert!(after < before + (64 << 20), "{before} {after}");
    std::fs::remove_dir(marker).unwrap();
}

/// From the kernel's time of the event to its arrival.
fn since(came: SystemTime, event: &Value) -> Duration {
    let time = humantime::parse_rfc3339(event["time"].as_str().unwrap()).unwrap();
    came.duration_since(time).unwrap_or_default()
}

#[test]
fn a_follower_slower_than_the_whole_log_gets_a_lost_record_and_goes_on() {
    let name = "subscribers::a_follower_slower_than_the_whole_log_gets_a_lost_record_and_goes_on";
    if skip_unless(name, memory_cgroups()) {
        return;
    }
    let agent = Agent::start(&["--event-memory-records", "50", "--event-log-bytes", "65536"]).unwrap();
    let cgroup = TestCgroup::new().unwrap();
    let mut slow = stalled(&agent, &format!("&cgroup={}", cgroup.path()));
    wait_for("the follower", QUIET, || followers(&agent) == 1);
    load::burst(cgroup.memory_dir().unwrap(), 5000).unwrap();
    let all =
        |agent: &Agent| agent.get("/status").unwrap().json().unwrap()["events"]["last_seq"].as_u64().unwrap();
    wait_for("the events", QUIET, || all(&agent) >= 10_000);
    let marker = cgroup.memory_dir().unwrap().join("marker");
    std::fs::create_dir(&marker).unwrap();
    slow.set_read_timeout(Some(QUIET)).unwrap();
    let (mut expected, mut lost) = (None, 0);
    for line in lines_of(&mut slow) {
        let event: Value = serde_json::from_str(&line).unwrap();
        let (from, to) = match (event["seq"].as_u64(), event["from_seq"].as_u64(), event["to_seq"].as_u64()) {
            (Some(seq), ..) => (seq, seq),
            (None, Some(from), Some(to)) => {
                lost += to - from + 1;
                (from, to)
            }
            _ => panic!("{line}"),
        };
        // Other tests make cgroups too; this filter excludes them.
        assert!(expected.is_none_or(|expected| from >= expected), "{line}");
        expected = Some(to + 1);
        if event["cgroup"]["path"].as_str().is_some_and(|path| path.ends_with("/marker")) {
            break;
        }
    }
    assert!(lost > 1000, "{lost}");
    let counted = agent.metrics().unwrap().one("cgtap_events_lost_to_clients_total", &[]).unwrap();
    assert_eq!(counted, Some(lost as f64));
    std::fs::remove_dir(marker).unwrap();
}

/// The JSON lines of a chunked answer.
fn lines_of(client: &mut TcpStream) -> impl Iterator<Item = String> {
    use std::io::{BufRead, BufReader};
    let lines = BufReader::new(client).lines();
    lines.map_while(Result::ok).filter(|line| line.starts_with('{'))
}

/// Reconnects as a browser does, also to another agent.
#[test]
fn a_client_that_comes_back_with_its_last_event_goes_on_after_it() {
    let name = "subscribers::a_client_that_comes_back_with_its_last_event_goes_on_after_it";
    if skip_unless(name, memory_cgroups()) {
        return;
    }
    let (state, cgroup) = (tempfile::tempdir().unwrap(), TestCgroup::new().unwrap());
    let agent = Agent::start_in(state.path(), &["--event-memory-records", "20"]).unwrap();
    load::burst(cgroup.memory_dir().unwrap(), 200).unwrap();
    let written = |agent: &Agent| {
        agent.get("/status").unwrap().json().unwrap()["events"]["disk"]["written_seq"].as_u64().unwrap()
    };
    // The agent is killed. Events that it has not written by then have no number.
    wait_for("the disk to have the events", QUIET, || written(&agent) >= 400);
    drop(agent);
    let agent = Agent::start_in(state.path(), &[]).unwrap();
    let headers = [("accept", "text/event-stream"), ("last-event-id", "7")];
    let answer = cgtap_tests::http::request(agent.address, "GET", "/events", &headers).unwrap();
    let text = answer.text().unwrap().to_owned();
    let ids: Vec<u64> = text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
    assert!(ids.len() > 390, "{} numbers of:\n{text}", ids.len());
    assert_eq!(ids, (8..8 + ids.len() as u64).collect::<Vec<u64>>());
}
