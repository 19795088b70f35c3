//! gRPC calls to a runtime over its socket, each with a deadline and a limit on its answer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::http::uri::PathAndQuery;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use super::super::error::AskError;
use super::super::{DEADLINE, MAX_BYTES};

/// A connection for one round of questions. The next round finds a runtime that was restarted.
pub(super) struct Client {
    grpc: tonic::client::Grpc<Channel>,
    /// The tasks that move its bytes. They end with the client, even if the runtime still sends.
    tasks: ClientTasks,
}

/// An executor that keeps the tasks it spawns.
#[derive(Clone, Default)]
struct ClientTasks(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for ClientTasks {
    fn execute(&self, task: F) {
        self.0.lock().spawn(task);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.tasks.0.lock().abort_all();
    }
}

impl Client {
    pub(super) async fn connect(socket: &Path) -> Result<Self, AskError> {
        // Not left to the library: its errors do not show that the file is missing.
        let stream = timeout(DEADLINE, UnixStream::connect(socket)).await??;
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
        // The host name is sent in a header that runtimes ignore.
        let tasks = ClientTasks::default();
        let endpoint = Endpoint::from_static("http://localhost").executor(tasks.clone());
        let channel = timeout(DEADLINE, endpoint.connect_with_connector(connector)).await??;
        let grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(MAX_BYTES);
        Ok(Self { grpc, tasks })
    }

    pub(super) async fn call<Q, A>(&mut self, path: &'static str, request: Q) -> Result<A, AskError>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let call = async {
            self.grpc.ready().await?;
            let path = PathAndQuery::from_static(path);
            let answer = self.grpc.unary(Request::new(request), path, ProstCodec::<Q, A>::default()).await;
            answer.map(tonic::Response::into_inner).map_err(|status| refused(&status))
        };
        timeout(DEADLINE, call).await?
    }
}

/// A status is the runtime's, or the library's for an answer that is too long or broken.
fn refused(status: &tonic::Status) -> AskError {
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => AskError::TooLarge { limit: MAX_BYTES },
        Code::DeadlineExceeded | Code::Cancelled => AskError::Late,
        Code::Unavailable | Code::Unknown | Code::Internal => AskError::Garbage(text(status)),
        _ => AskError::Refused(text(status)),
    }
}

/// The runtime's message, cut to a length that is fit for a log.
fn text(status: &tonic::Status) -> String {
    let message: String = status.message().chars().take(200).collect();
    format!("{:?}: {message}", status.code())
}
