//! Calls to a runtime over its socket: each with a deadline and a limit on its answer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::http::uri::PathAndQuery;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use super::super::error::AskError;

/// For one answer; a runtime on a busy node takes some hundred milliseconds for a list.
const DEADLINE: Duration = Duration::from_secs(2);
/// The most of one answer that is read: what the kubelet allows, some thousand containers.
pub(super) const MAX_BYTES: usize = 16 << 20;

/// A connection, for one round of questions: a runtime that was started anew is found at its next.
pub(super) struct Client {
    grpc: tonic::client::Grpc<Channel>,
    /// What moves its bytes; it ends with it, whatever the runtime still sends.
    tasks: Tasks,
}

/// Keeps the tasks that it spawns.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.tasks.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl Client {
    pub(super) async fn connect(socket: &Path) -> Result<Self, AskError> {
        // Before the library, whose errors do not say that there is no such file.
        let stream =
            timeout(DEADLINE, UnixStream::connect(socket)).await.map_err(|_late| AskError::Late)??;
        let (mut first, path) = (Some(stream), PathBuf::from(socket));
        let connector = tower::service_fn(move |_uri| {
            let (first, path) = (first.take(), path.clone());
            async move {
                match first {
                    Some(stream) => Ok(TokioIo::new(stream)),
                    None => UnixStream::connect(path).await.map(TokioIo::new),
                }
            }
        });
        // The name is in a header that runtimes do not look at.
        let tasks = Tasks::default();
        let endpoint = Endpoint::from_static("http://localhost").executor(tasks.clone());
        let channel = timeout(DEADLINE, endpoint.connect_with_connector(connector))
            .await
            .map_err(|_late| AskError::Late)?;
        let channel = channel.map_err(|error| AskError::Garbage(error.to_string()))?;
        let grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(MAX_BYTES);
        Ok(Self { grpc, tasks })
    }

    pub(super) async fn call<Q, A>(&mut self, path: &'static str, request: Q) -> Result<A, AskError>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let call = async {
            self.grpc.ready().await.map_err(|error| AskError::Garbage(error.to_string()))?;
            let path = PathAndQuery::from_static(path);
            let answer = self.grpc.unary(Request::new(request), path, ProstCodec::<Q, A>::default()).await;
            answer.map(tonic::Response::into_inner).map_err(|status| refused(&status))
        };
        timeout(DEADLINE, call).await.map_err(|_late| AskError::Late)?
    }
}

/// What the library says of an answer that is too long is a status like the runtime's own.
fn refused(status: &tonic::Status) -> AskError {
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => AskError::TooLarge { limit: MAX_BYTES },
        Code::DeadlineExceeded | Code::Cancelled => AskError::Late,
        Code::Unavailable | Code::Unknown | Code::Internal => AskError::Garbage(text(status)),
        _ => AskError::Refused(text(status)),
    }
}

/// The text is the runtime's: as much of it as a log can bear.
fn text(status: &tonic::Status) -> String {
    let message: String = status.message().chars().take(200).collect();
    format!("{:?}: {message}", status.code())
}
