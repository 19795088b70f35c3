//! The answer of each endpoint.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::GzDecoder;
use hyper::StatusCode;

use super::support::*;
use crate::events::EventLog;
use crate::serve::*;

#[tokio::test]
async fn the_index_names_every_endpoint_and_each_is_there() {
    let agent = Agent::start().await;
    let index = agent.get("/").await;
    assert_eq!(index.status, StatusCode::OK);
    for path in ["/metrics", "/metrics/cadvisor", "/events", "/healthz", "/readyz", "/status"] {
        assert!(index.text().contains(path), "{path}");
        assert_eq!(agent.get(path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn health_follows_the_core() {
    let mut agent = Agent::start().await;
    assert_eq!(agent.get("/healthz").await.text(), "ok\n");
    agent.alive = None;
    let dead = agent.get("/healthz").await;
    assert_eq!(dead.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(dead.json()["error"].is_string());
}

#[tokio::test]
async fn readiness_names_what_is_awaited() {
    let agent = Agent::start().await;
    let latch = agent.services.readiness.latch("first walk");
    let waiting = agent.get("/readyz").await;
    assert_eq!(waiting.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(waiting.json()["awaited"], serde_json::json!(["first walk"]));
    latch.open();
    assert_eq!(agent.get("/readyz").await.text(), "ok\n");
}

#[tokio::test]
async fn status_is_json() {
    let agent = Agent::start().await;
    let reply = agent.get("/status").await;
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.json()["kernel_release"], "6.1");
}

#[tokio::test]
async fn metrics_negotiate_their_format() {
    let agent = Agent::start().await;
    assert!(agent.get("/metrics/cadvisor").await.text().ends_with("up 2\n"));
    let plain = agent.get("/metrics").await;
    assert_eq!(plain.text(), "# accept None\nup 1\n");
    assert_eq!(plain.header("content-type"), "text/plain; version=0.0.4");
    let asked = agent.ask("GET", "/metrics", &[("accept", "a/b"), ("accept", "c/d;q=0.5")]).await;
    assert_eq!(asked.text(), "# accept Some(\"a/b,c/d;q=0.5\")\nup 1\n");
}

#[tokio::test]
async fn metrics_are_compressed_where_that_is_accepted() {
    let body = Bytes::from("container_cpu_usage_seconds_total 1\n".repeat(1000));
    let change = |services: &mut Services| services.metrics = exposition_of(body.clone());
    let agent = Agent::with(Limits::new(64), EventLog::new(1), change).await;
    let plain = agent.get("/metrics").await;
    assert_eq!(plain.header("content-encoding"), "");
    assert!(plain.body.ends_with(&body));
    let packed = agent.ask("GET", "/metrics", &[("accept-encoding", "gzip")]).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() * 5 < body.len());
    let mut text = Vec::new();
    GzDecoder::new(&packed.body[..]).read_to_end(&mut text).unwrap();
    assert_eq!(text, plain.body);
}

#[tokio::test]
async fn a_failed_scrape_is_an_error_and_is_counted() {
    let fail = ScrapeSource::Fake(Arc::new(|_| Box::pin(async { Err("no core".to_owned()) })));
    let agent = Agent::with(Limits::new(64), EventLog::new(1), |services| services.metrics = fail).await;
    let reply = agent.get("/metrics").await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(reply.json()["error"], "no core");
    assert_eq!(agent.telemetry().http_failed_scrapes.get(), 1);
}

#[tokio::test]
async fn a_handler_that_panics_ends_only_its_own_connection() {
    let fail = ScrapeSource::Fake(Arc::new(|_| panic!("on purpose, for a test")));
    let agent = Agent::with(Limits::new(64), EventLog::new(1), |services| services.metrics = fail).await;
    let mut stream = tokio::net::TcpStream::connect(agent.address).await.unwrap();
    let answer = raw_exchange(&mut stream, b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(answer, "");
    assert_eq!(agent.get("/healthz").await.status, StatusCode::OK);
    agent.until(|services| services.agent.telemetry.http_connections.get() == 0).await;
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let agent = Agent::start().await;
    agent.append("/a");
    for path in [
        "/",
        "/metrics",
        "/metrics/cadvisor",
        "/events",
        "/events?follow=1",
        "/healthz",
        "/readyz",
        "/status",
    ] {
        let head = agent.ask("HEAD", path, &[]).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "{path}");
        if !path.contains("follow") {
            let get = agent.get(path).await;
            assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
            assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
        }
    }
    agent.until(|services| services.agent.events.followers() == 0).await;
}
