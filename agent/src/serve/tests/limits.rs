//! Too many clients, slow clients, and clients that never read.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::*;
use crate::events::EventLog;
use crate::serve::*;

const SOON: Duration = Duration::from_millis(50);

/// More than the kernel buffers for both ends of a connection together.
const LARGE: usize = 32 << 20;

async fn send(agent: &Agent, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(agent.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

const FOLLOW: &str = "GET /events?follow=1 HTTP/1.1\r\nhost: a\r\n\r\n";
const SCRAPE: &str = "GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn one_connection_too_many_gets_503() {
    let agent = Agent::with(Limits::new(2), EventLog::new(1), |_| {}).await;
    let first = TcpStream::connect(agent.address).await.unwrap();
    let second = TcpStream::connect(agent.address).await.unwrap();
    agent.until(|services| services.agent.telemetry.http_connections.get() == 2).await;
    let mut third = TcpStream::connect(agent.address).await.unwrap();
    let answer = raw_exchange(&mut third, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.ends_with("{\"error\":\"too many connections\"}"),
        "{answer}"
    );
    assert_eq!(agent.telemetry().http_refused.get(), 1);
    drop((first, second));
    agent.until(|services| services.agent.telemetry.http_connections.get() == 0).await;
    assert_eq!(agent.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn followers_leave_room_for_scrapes() {
    let limits = Limits { max_followers: 1, ..Limits::new(8) };
    let agent = Agent::with(limits, EventLog::new(1), |_| {}).await;
    let follower = agent.open("GET", "/events?follow=1", &[]).await;
    let refused = agent.get("/events").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(agent.get("/metrics").await.status, StatusCode::OK);
    assert_eq!(agent.telemetry().http_refused.get(), 1);
    drop(follower);
}

#[tokio::test]
async fn a_client_that_dawdles_over_its_head_is_dropped() {
    let limits = Limits { header_read: SOON, ..Limits::new(8) };
    let agent = Agent::with(limits, EventLog::new(1), |_| {}).await;
    let mut half = send(&agent, "GET /metrics HTTP/1.1\r\nx: ").await;
    let mut silent = send(&agent, "").await;
    let mut kept = send(&agent, SCRAPE).await;
    assert!(!read_to_close(&mut half).await.contains("200 OK"));
    assert_eq!(read_to_close(&mut silent).await, "");
    assert!(read_to_close(&mut kept).await.contains("200 OK"), "answered, then closed as idle");
    agent.until(|services| services.agent.telemetry.http_connections.get() == 0).await;
}

/// The agent holds only a position for a follower that never reads. Others go on, and when it reads again it gets a `lost`
/// record for what it missed.
#[tokio::test]
async fn a_follower_that_never_reads_delays_no_other() {
    let agent = Agent::with(Limits::new(8), EventLog::new(100), |_| {}).await;
    let mut asleep = send(&agent, FOLLOW).await;
    agent.until(|services| services.agent.events.followers() == 1).await;
    let mut awake = agent.open("GET", "/events?follow=1", &[]).await;
    let path = format!("/{}", "a".repeat(4000));
    let mut appended = 0;
    // Until the buffers of the sockets are full and the ring has overwritten what the sleeping follower has not read.
    while appended < LARGE {
        let seq = agent.append(&path);
        read_to(awake.body_mut(), &format!("{{\"seq\":{seq},")).await;
        appended += path.len();
    }
    let last = agent.append("/last");
    let mut text = String::new();
    let mut chunk = vec![0; 1 << 16];
    while !text.contains("/last") {
        let read = patient(asleep.read(&mut chunk)).await.unwrap();
        assert!(read > 0, "closed");
        text.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
    }
    assert_eq!(text.matches("\"type\":\"lost\"").count(), 1);
    let lost = text.lines().find(|line| line.contains("\"type\":\"lost\"")).unwrap();
    let lost: serde_json::Value = serde_json::from_str(lost).unwrap();
    let seen = text.matches("{\"seq\":").count() as u64;
    let missed = lost["to_seq"].as_u64().unwrap() - lost["from_seq"].as_u64().unwrap() + 1;
    assert_eq!(seen + missed, last);
}

fn large(services: &mut Services) {
    services.metrics = exposition_of(Bytes::from(vec![b'#'; LARGE]));
}

#[tokio::test]
async fn a_scrape_that_its_client_does_not_read_is_dropped() {
    let limits = Limits { stalled_response: SOON, ..Limits::new(8) };
    let agent = Agent::with(limits, EventLog::new(1), large).await;
    let stuck = send(&agent, SCRAPE).await;
    agent.until(|services| services.agent.telemetry.http_stalled_connections.get() == 1).await;
    agent.until(|services| services.agent.telemetry.http_connections.get() == 0).await;
    drop(stuck);
}

/// A follower may be a terminal that its user paused, so it has a limit of its own.
#[tokio::test]
async fn a_follower_may_pause_for_longer_than_a_scrape() {
    let stalled_follower = Duration::from_secs(3600);
    let limits = Limits { stalled_response: Duration::from_millis(1), stalled_follower, ..Limits::new(8) };
    let agent = Agent::with(limits, EventLog::new(4), |_| {}).await;
    let mut paused = send(&agent, FOLLOW).await;
    agent.until(|services| services.agent.events.followers() == 1).await;
    let path = format!("/{}", "a".repeat(1 << 20));
    for _ in 0..40 {
        agent.append(&path);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut chunk = vec![0; 1 << 16];
    assert!(patient(paused.read(&mut chunk)).await.unwrap() > 0);
    assert_eq!(agent.telemetry().http_stalled_connections.get(), 0);
}

#[tokio::test]
async fn the_number_of_unread_scrapes_is_bounded() {
    let limits = Limits { max_scrapes: 1, ..Limits::new(8) };
    let agent = Agent::with(limits, EventLog::new(1), large).await;
    let stuck = send(&agent, SCRAPE).await;
    agent.until(|services| services.agent.telemetry.http_requests.get() == 1).await;
    let mut refused = agent.get("/metrics").await;
    // The first request may not have its permit yet.
    while refused.status == StatusCode::OK {
        refused = agent.get("/metrics").await;
    }
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(agent.get("/healthz").await.status, StatusCode::OK);
    drop(stuck);
    agent.until(|services| services.agent.telemetry.http_connections.get() == 0).await;
    for _ in 0..3 {
        let kept = agent.get("/metrics").await;
        assert_eq!(kept.status, StatusCode::OK, "a permit is free again when its answer is sent");
    }
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_client_that_does_not_read() {
    let limits = Limits { drain: SOON, ..Limits::new(8) };
    let agent = Agent::with(limits, EventLog::new(1), large).await;
    let stuck = send(&agent, SCRAPE).await;
    agent.until(|services| services.agent.telemetry.http_requests.get() == 1).await;
    agent.trigger.order();
    patient(agent.server).await.unwrap();
    assert_eq!(agent.services.agent.telemetry.http_connections.get(), 0);
    drop(stuck);
}
