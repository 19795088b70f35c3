//! Bad requests get an answer that names what is wrong, and the agent goes on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use cgtap_tests::agent::Agent;
use cgtap_tests::http::request;

/// An agent that walks needs no rights, so these tests run for every user.
fn agent() -> Agent {
    Agent::start(&["--lifecycle-source", "walk", "--oom-source", "none"]).unwrap()
}

#[test]
fn bad_requests_are_answered_with_their_reason() {
    let agent = agent();
    for (method, path, status, named) in [
        ("GET", "/no-such-page", 404, "/no-such-page"),
        ("POST", "/metrics", 405, "POST"),
        ("DELETE", "/events", 405, "DELETE"),
        ("GET", "/events?colour=red", 400, "colour"),
        ("GET", "/events?types=cgroup_created,nonsense", 400, "nonsense"),
        ("GET", "/events?since_seq=minus", 400, "since_seq"),
        ("GET", "/events?since=yesterday", 400, "since"),
        ("GET", "/events?limit=-1", 400, "limit"),
        ("GET", "/events?follow=perhaps", 400, "follow"),
    ] {
        let answer = request(agent.address, method, path, &[]).unwrap();
        assert_eq!(answer.status, status, "{method} {path}");
        let body = answer.json().unwrap();
        assert!(body["error"].as_str().is_some_and(|e| !e.is_empty()), "{method} {path}: {body}");
        assert!(body.to_string().contains(named), "{method} {path} does not name {named}: {body}");
        if status == 405 {
            assert!(answer.header("allow").is_some_and(|a| a.contains("GET")), "{:?}", answer.headers);
        }
    }
    assert_eq!(agent.get("/healthz").unwrap().status, 200);
}

#[test]
fn every_page_answers() {
    let agent = agent();
    for (path, kind) in [
        ("/", "text/"),
        ("/metrics", "text/plain; version=0.0.4"),
        ("/events", "application/x-ndjson"),
        ("/status", "application/json"),
        ("/healthz", ""),
        ("/readyz", ""),
    ] {
        let answer = agent.get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        let given = answer.header("content-type").unwrap_or_default();
        assert!(given.starts_with(kind), "{path} is {given:?}");
        let head = request(agent.address, "HEAD", path, &[]).unwrap();
        assert_eq!((head.status, head.body.len()), (200, 0), "HEAD {path}");
    }
}

#[test]
fn open_metrics_and_gzip_come_when_asked_for() {
    let agent = agent();
    let open = request(
        agent.address,
        "GET",
        "/metrics",
        &[("Accept", "application/openmetrics-text; version=1.0.0")],
    );
    let open = open.unwrap();
    assert!(open.header("content-type").unwrap_or_default().starts_with("application/openmetrics-text"));
    assert!(open.text().unwrap().ends_with("# EOF\n"));
    let packed = request(agent.address, "GET", "/metrics", &[("Accept-Encoding", "gzip")]).unwrap();
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.body.get(..2), Some(&[0x1f, 0x8b][..]), "gzip's first bytes");
}

#[test]
fn a_client_that_speaks_no_http_harms_nobody() {
    let agent = agent();
    for nonsense in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(agent.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(nonsense).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // A closed connection or a 400 is right, an answer with metrics is not.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        assert_eq!(agent.get("/healthz").unwrap().status, 200);
    }
    let long = format!("/events?cgroup={}", "x".repeat(1 << 20));
    // A status of 400 to 499 or a cut connection. The agent must not end.
    if let Ok(answer) = agent.get(&long) {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    assert_eq!(agent.get("/healthz").unwrap().status, 200);
}
