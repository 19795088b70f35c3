//! One GET to a running agent. The answer is read as a stream.

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use tokio::net::{TcpStream, UnixStream};

use super::url::AgentUrl;
use crate::names::http::exchange;

/// The most that is read of the body of an error.
const ERROR_BYTES: usize = 64 * 1024;

const UNREACHABLE: &str = "cannot reach the agent (is `cgtap serve` running, and at this --url?)";
/// The connection broke, or the other end speaks no HTTP.
pub(super) const BROKEN: &str = "the agent's answer broke off";

/// The agent refused the request.
#[derive(Debug, thiserror::Error)]
#[error("the agent answers {status}: {text}")]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

/// The body of a 200.
pub(super) async fn get(url: &AgentUrl, path_and_query: &str) -> anyhow::Result<Incoming> {
    let request = |host: &str| {
        let request = Request::get(path_and_query).header("host", host);
        request.header("accept", "application/x-ndjson").body(Empty::<Bytes>::new())
    };
    let answer = match url {
        AgentUrl::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await.context(UNREACHABLE)?;
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            exchange(stream, request(&host)?).await
        }
        AgentUrl::Unix(path) => {
            let stream = UnixStream::connect(path).await.context(UNREACHABLE)?;
            exchange(stream, request("localhost")?).await
        }
    };
    let answer = answer.context(BROKEN)?;
    let (status, body) = (answer.status(), answer.into_body());
    if status == StatusCode::OK {
        return Ok(body);
    }
    let body = Limited::new(body, ERROR_BYTES).collect().await;
    let text = body.map(|body| reason(&body.to_bytes())).unwrap_or_default();
    Err(Refused { status, text }.into())
}

/// The `error` and the allowed values of our own refusals; other text unchanged.
fn reason(body: &[u8]) -> String {
    let text = || String::from_utf8_lossy(body).trim().to_owned();
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) else { return text() };
    let Some(error) = json.get("error").and_then(|error| error.as_str()) else { return text() };
    let allowed = json.get("allowed").and_then(|allowed| allowed.as_array());
    let allowed: Vec<&str> = allowed.into_iter().flatten().filter_map(|name| name.as_str()).collect();
    if allowed.is_empty() { error.to_owned() } else { format!("{error}; allowed: {}", allowed.join(", ")) }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_refusal_is_printed_as_text() {
        for (body, wanted) in [
            (r#"{"error":"no","allowed":["a","b"]}"#, "no; allowed: a, b"),
            (r#"{"error":"no"}"#, "no"),
            ("plain\n", "plain"),
            ("[1]", "[1]"),
        ] {
            assert_eq!(reason(body.as_bytes()), wanted);
        }
    }

    /// Answers one connection with the text; returns the request.
    fn answering<S>(mut accepted: S, answer: &'static str) -> String
    where
        S: io::Read + io::Write,
    {
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            accepted.read_exact(&mut byte).unwrap();
            asked.extend_from_slice(&byte);
        }
        accepted.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(asked).unwrap()
    }

    #[tokio::test]
    async fn asks_over_tcp_and_streams_the_answer() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{}\n\r\n0\r\n\r\n";
        let agent = std::thread::spawn(move || answering(listener.accept().unwrap().0, answer));
        let url = AgentUrl::Tcp { host: "127.0.0.1".into(), port };
        let body = get(&url, "/events?limit=1").await.unwrap().collect().await.unwrap().to_bytes();
        assert_eq!(body, "{}\n");
        let asked = agent.join().unwrap();
        assert!(asked.starts_with("GET /events?limit=1 HTTP/1.1\r\nhost: 127.0.0.1\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn a_refusal_over_a_unix_socket_names_its_status() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let answer = "HTTP/1.1 400 Bad Request\r\ncontent-length: 14\r\n\r\n{\"error\":\"no\"}";
        let agent = std::thread::spawn(move || answering(listener.accept().unwrap().0, answer));
        let err = get(&AgentUrl::Unix(path), "/events?").await.unwrap_err();
        assert_eq!(err.to_string(), "the agent answers 400 Bad Request: no");
        agent.join().unwrap();
    }

    #[tokio::test]
    async fn a_missing_agent_and_broken_http_are_different_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let missing = get(&AgentUrl::Unix(path.clone()), "/events?").await.unwrap_err();
        assert!(missing.to_string().starts_with("cannot reach"), "{missing}");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let agent = std::thread::spawn(move || answering(listener.accept().unwrap().0, "SSH-2.0\r\n"));
        let broken = get(&AgentUrl::Unix(path), "/events?").await.unwrap_err();
        assert!(broken.to_string().ends_with("broke off"), "{broken}");
        agent.join().unwrap();
    }
}
