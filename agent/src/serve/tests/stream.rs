//! `/events`: where streams begin, resume, lose events and end.

use std::time::Duration;

use hyper::StatusCode;

use super::support::*;
use crate::events::{DiskOptions, EventLog};
use crate::serve::*;

#[tokio::test]
async fn without_follow_the_log_is_sent_and_the_answer_ends() {
    let agent = Agent::start().await;
    assert_eq!(agent.get("/events").await.body.len(), 0);
    for _ in 0..300 {
        agent.append("/a");
    }
    agent.append("/b");
    let all = agent.get("/events").await;
    assert_eq!(all.header("content-type"), "application/x-ndjson");
    assert_eq!(all.seqs(), (1..=301).collect::<Vec<u64>>());
    assert_eq!(agent.get("/events?since_seq=299").await.seqs(), [300, 301]);
    assert_eq!(agent.get("/events?limit=2").await.seqs(), [1, 2]);
    assert_eq!(agent.get("/events?cgroup=/b").await.seqs(), [301]);
    assert_eq!(agent.get("/events?types=oom_kill").await.seqs(), [0_u64; 0]);
    assert_eq!(agent.get("/events?since=1970-01-01T00:00:01Z").await.seqs(), [0_u64; 0]);
    agent.until(|services| services.agent.events.followers() == 0).await;
}

/// The status comes before the first event, so a client knows from when on it misses none.
#[tokio::test]
async fn a_follower_knows_that_it_is_subscribed() {
    let agent = Agent::start().await;
    agent.append("/before");
    let mut reply = agent.open("GET", "/events?follow=1", &[]).await;
    assert_eq!(reply.status(), StatusCode::OK);
    agent.append("/after");
    let first = read_to(reply.body_mut(), "\n").await;
    assert!(first.starts_with(r#"{"seq":2,"#) && first.contains("/after"), "{first}");
    assert_eq!(agent.services.agent.events.followers(), 1);
    drop(reply);
    agent.until(|services| services.agent.events.followers() == 0).await;
}

#[tokio::test]
async fn a_follower_ends_at_its_limit() {
    let agent = Agent::start().await;
    agent.append("/a");
    let follower = agent.get("/events?follow=1&since_seq=0&limit=3");
    let (reply, ()) = tokio::join!(follower, async {
        agent.until(|services| services.agent.events.followers() == 1).await;
        for _ in 0..5 {
            agent.append("/a");
        }
    });
    assert_eq!(reply.seqs(), [1, 2, 3]);
}

#[tokio::test]
async fn server_sent_events_resume_by_their_id() {
    let agent = Agent::start().await;
    for _ in 0..4 {
        agent.append("/a");
    }
    let sse = ("accept", "text/event-stream");
    let reply = agent.ask("GET", "/events?since_seq=0&limit=2", &[sse]).await;
    assert_eq!(reply.header("content-type"), "text/event-stream");
    let records: Vec<&str> = reply.text().split_terminator("\n\n").collect();
    assert_eq!(records.len(), 2);
    assert!(records[1].starts_with("id: 2\ndata: {\"seq\":2,"), "{}", records[1]);
    let resumed = agent.ask("GET", "/events?since_seq=0", &[sse, ("last-event-id", "2")]).await;
    let ids: Vec<&str> = resumed.text().lines().filter(|line| line.starts_with("id:")).collect();
    assert_eq!(ids, ["id: 3", "id: 4"]);
}

#[tokio::test]
async fn a_silent_stream_of_server_sent_events_is_kept_alive() {
    let limits = Limits { keep_alive: Duration::from_millis(1), ..Limits::new(4) };
    let agent = Agent::with(limits, EventLog::new(10), |_| {}).await;
    let mut reply = agent.open("GET", "/events?follow=1", &[("accept", "text/event-stream")]).await;
    assert!(read_to(reply.body_mut(), "\n\n").await.starts_with(": keep-alive\n\n"));
    agent.append("/a");
    read_to(reply.body_mut(), "data: {\"seq\":1,").await;
}

#[tokio::test]
async fn a_lost_record_stands_in_the_place_of_events_that_left_the_log() {
    let agent = Agent::with(Limits::new(4), EventLog::new(2), |_| {}).await;
    for _ in 0..5 {
        agent.append("/a");
    }
    let reply = agent.get("/events?since_seq=1").await;
    let lines: Vec<&str> = reply.text().lines().collect();
    assert_eq!(lines[0], r#"{"type":"lost","from_seq":2,"to_seq":3}"#);
    assert!(lines[1].starts_with(r#"{"seq":4,"#) && lines[2].starts_with(r#"{"seq":5,"#));
    assert_eq!(agent.telemetry().events_lost_to_clients.get(), 2);
    let sse = agent.ask("GET", "/events?since_seq=1", &[("accept", "text/event-stream")]).await;
    assert!(sse.text().starts_with("data: {\"type\":\"lost\""), "a loss must not move the client's position");
}

/// Most of them are on disk, where they are read while the client takes them.
#[tokio::test]
async fn an_answer_with_an_end_is_whole_after_the_order_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let options = DiskOptions::fixture(folder.path());
    let log = EventLog::on_disk(2, options, "").unwrap();
    let agent = Agent::with(Limits::new(4), log.clone(), |_| {}).await;
    for _ in 0..1000 {
        agent.append("/a");
    }
    agent.until(|_| log.disk().unwrap().written_seq == 1000).await;
    let mut reply = agent.open("GET", "/events?since_seq=0", &[]).await;
    agent.trigger.order();
    let body = patient(http_body_util::BodyExt::collect(reply.body_mut())).await.unwrap().to_bytes();
    assert_eq!(body.iter().filter(|&&byte| byte == b'\n').count(), 1000);
    log.close(Duration::from_secs(20));
}

#[tokio::test]
async fn followers_get_all_events_from_before_the_shutdown() {
    let agent = Agent::start().await;
    let mut followers = Vec::new();
    for _ in 0..3 {
        followers.push(agent.open("GET", "/events?follow=1", &[]).await);
    }
    let idle = tokio::net::TcpStream::connect(agent.address).await.unwrap();
    agent.until(|services| services.agent.telemetry.http_connections.get() == 4).await;
    agent.append("/last");
    agent.trigger.order();
    for mut follower in followers {
        assert!(read_to(follower.body_mut(), "\n").await.contains("/last"));
        let rest = patient(http_body_util::BodyExt::collect(follower.body_mut())).await.unwrap();
        assert_eq!(rest.to_bytes().len(), 0, "a clean end, not a cut one");
    }
    patient(agent.server).await.unwrap();
    assert!(tokio::net::TcpStream::connect(agent.address).await.is_err());
    drop(idle);
}
