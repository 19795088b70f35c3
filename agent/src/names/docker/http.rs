//! HTTP over a socket: one question at a time, each with a deadline and a limit on its answer.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::error::AskError;

/// For one answer.
const DEADLINE: Duration = Duration::from_secs(2);

/// A connection, for one round of questions.
pub(super) struct Client {
    sender: SendRequest<Empty<Bytes>>,
    connection: JoinHandle<()>,
}

impl Client {
    pub(super) async fn connect(socket: &Path) -> Result<Self, AskError> {
        let stream =
            timeout(DEADLINE, UnixStream::connect(socket)).await.map_err(|_late| AskError::Late)??;
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| AskError::Garbage(error.to_string()))?;
        let connection = tokio::spawn(async move {
            // Its failure is the question's too.
            let _ = connection.await;
        });
        Ok(Self { sender, connection })
    }

    /// The body of an answer; `None` for 404.
    pub(super) async fn get(&mut self, path: &str, max_bytes: usize) -> Result<Option<Bytes>, AskError> {
        timeout(DEADLINE, self.get_now(path, max_bytes)).await.map_err(|_late| AskError::Late)?
    }

    async fn get_now(&mut self, path: &str, max_bytes: usize) -> Result<Option<Bytes>, AskError> {
        let request = Request::get(path).header(header::HOST, "localhost").body(Empty::new());
        let request = request.map_err(|error| AskError::Garbage(error.to_string()))?;
        let broken = |error: hyper::Error| AskError::Io(std::io::Error::other(error));
        self.sender.ready().await.map_err(broken)?;
        let answer = self.sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), max_bytes).collect().await;
        let body = body.map_err(|_too_large| AskError::TooLarge { limit: max_bytes })?.to_bytes();
        match status {
            StatusCode::OK => Ok(Some(body)),
            StatusCode::NOT_FOUND => Ok(None),
            other => Err(AskError::Refused(other.to_string())),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
