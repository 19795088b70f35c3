//! Bad requests: each gets JSON that names what was wrong.

use hyper::StatusCode;

use super::support::*;
use crate::model::EventKind;

#[tokio::test]
async fn an_unknown_path_is_404_and_names_the_known_ones() {
    let agent = Agent::start().await;
    for path in ["/nope", "/metrics/", "/Metrics", "//", "/events/x", "/%2e%2e/etc/passwd"] {
        let reply = agent.get(path).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(reply.header("content-type"), "application/json");
        assert!(reply.json()["error"].as_str().unwrap().contains(path), "{path}");
        assert!(reply.json()["allowed"].as_array().unwrap().contains(&"/metrics".into()));
    }
    assert_eq!(agent.telemetry().http_bad_requests.get(), 6);
}

#[tokio::test]
async fn another_method_is_405_with_allow() {
    let agent = Agent::start().await;
    for path in ["/", "/metrics", "/metrics/cadvisor", "/events", "/healthz", "/readyz", "/status"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
            let reply = agent.ask(method, path, &[]).await;
            assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(reply.header("allow").replace(' ', ""), "GET,HEAD", "{method} {path}");
            assert_eq!(reply.json()["allowed"], serde_json::json!(["GET", "HEAD"]));
        }
    }
}

#[tokio::test]
async fn an_unknown_parameter_is_400_everywhere() {
    let agent = Agent::start().await;
    for path in ["/", "/metrics", "/metrics/cadvisor", "/events", "/healthz", "/readyz", "/status"] {
        let reply = agent.get(&format!("{path}?colour=red")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(reply.json()["parameter"], "colour", "{path}");
    }
}

#[tokio::test]
async fn a_bad_value_is_400_and_names_what_is_allowed() {
    let agent = Agent::start().await;
    let reply = agent.get("/events?types=oom").await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(reply.json()["parameter"], "types");
    assert_eq!(reply.json()["allowed"], serde_json::json!(EventKind::TYPE_NAMES));
    assert_eq!(agent.get("/events?namespace=X").await.json()["parameter"], "namespace");
    let reply = agent.ask("GET", "/events?follow=1", &[("last-event-id", "seven")]).await;
    assert_eq!(reply.json()["parameter"], "Last-Event-ID");
    assert_eq!(agent.services.agent.events.followers(), 0);
}

/// Bytes that are not HTTP get an answer or a closed socket, and the next client is served.
#[tokio::test]
async fn garbage_ends_its_own_connection() {
    let agent = Agent::start().await;
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(200_000));
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\n{many}\r\n");
    for (request, answers) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..], &["HTTP/1.1 400", ""][..]),
        (b"nonsense\r\n\r\n", &["HTTP/1.1 400"]),
        (b"GET / HTTP/9.9\r\n\r\n", &["HTTP/1.1 400", "HTTP/1.1 505"]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &["HTTP/1.1 400", "HTTP/1.1 505", ""]),
        (long.as_bytes(), &["HTTP/1.1 414", "HTTP/1.1 431", ""]),
        (many.as_bytes(), &["HTTP/1.1 431"]),
    ] {
        let mut stream = tokio::net::TcpStream::connect(agent.address).await.unwrap();
        let answer = raw_exchange(&mut stream, request).await;
        let status = answer.get(..12).unwrap_or_default();
        assert!(answers.contains(&status), "{:?}: {answer}", String::from_utf8_lossy(&request[..10]));
        assert_eq!(agent.get("/healthz").await.status, StatusCode::OK);
    }
}
