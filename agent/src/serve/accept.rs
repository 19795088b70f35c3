//! Accepts connections within the limits, and ends them at shutdown.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::IntGauge;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::bind::Socket;
use super::connection::{Connection, ConnectionState};
use super::{Limits, Listener, Services, Shutdown, routes};
use crate::telemetry::Telemetry;

/// Limit of a request's head, and of what hyper buffers of an answer besides the last chunk of its body.
const BUFFER_BYTES: usize = 32 * 1024;
/// More header lines than any client of ours sends.
const MAX_HEADERS: usize = 64;
/// Connections that get a 503 at the same time; more are closed without an answer.
const MAX_REFUSALS: usize = 64;
/// Pause after a failure to accept: most often there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How much of an unread answer the kernel buffers. Its default grows to 4 MiB and more for each client.
const SEND_BUFFER_BYTES: usize = 128 << 10;

const TOO_MANY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
    content-length: 32\r\nconnection: close\r\nretry-after: 1\r\n\r\n{\"error\":\"too many connections\"}";

/// Serves on all listeners until shutdown, then lets open answers finish for [`Limits::drain`].
pub async fn serve(listeners: Vec<Listener>, services: Services, limits: Limits, shutdown: Shutdown) {
    let server = Arc::new(Server {
        limits,
        telemetry: Arc::clone(&services.agent.telemetry),
        router: routes::router(services, limits, shutdown.clone()),
        connections: Arc::new(Semaphore::new(limits.max_connections)),
        refusals: Arc::new(Semaphore::new(MAX_REFUSALS)),
        shutdown,
    });
    let mut loops = JoinSet::new();
    for listener in listeners {
        let server = Arc::clone(&server);
        loops.spawn(async move {
            match listener.socket {
                Socket::Tcp(socket) => server.run(socket).await,
                Socket::Unix(socket, file) => {
                    server.run(socket).await;
                    drop(file);
                }
            }
        });
    }
    while let Some(ended) = loops.join_next().await {
        report(ended);
    }
}

/// Logs a panic of a task. It ended the connection of one client only.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(err) = ended
        && err.is_panic()
    {
        tracing::error!(%err, "a task that served clients panicked");
    }
}

/// A kind of listening socket.
trait Accept: Sync {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn accept_one(&self) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

impl Accept for TcpListener {
    type Io = tokio::net::TcpStream;

    async fn accept_one(&self) -> io::Result<Self::Io> {
        let (stream, _) = self.accept().await?;
        // Without delay, as an event must not wait until a packet is full. With keep-alive, as a peer that vanished must
        // not keep its connection. A socket that refuses an option is served all the same.
        let options = stream.set_nodelay(true).and_then(|()| set_options(&stream));
        if let Err(err) = options {
            tracing::debug!(%err, "a client's socket refuses an option");
        }
        Ok(stream)
    }
}

fn set_options(stream: &tokio::net::TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(15))?;
    sockopt::set_tcp_keepcnt(stream, 4)?;
    sockopt::set_socket_send_buffer_size(stream, SEND_BUFFER_BYTES)?;
    Ok(())
}

impl Accept for UnixListener {
    type Io = tokio::net::UnixStream;

    async fn accept_one(&self) -> io::Result<Self::Io> {
        Ok(self.accept().await?.0)
    }
}

struct Server {
    limits: Limits,
    telemetry: Arc<Telemetry>,
    router: Router,
    connections: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    shutdown: Shutdown,
}

impl Server {
    async fn run(self: Arc<Self>, listener: impl Accept) {
        let mut tasks = JoinSet::new();
        let mut shutdown = self.shutdown.clone();
        let mut failing = false;
        loop {
            tokio::select! {
                () = shutdown.wait() => break,
                Some(ended) = tasks.join_next() => report(ended),
                accepted = listener.accept_one() => {
                    let failed = accepted.is_err();
                    match accepted {
                        Ok(io) => self.admit(io, &mut tasks),
                        Err(err) => self.pause(&err, failing).await,
                    }
                    failing = failed;
                }
            }
        }
        drop(listener);
        let drained = async { while tasks.join_next().await.map(report).is_some() {} };
        if timeout(self.limits.drain, drained).await.is_err() {
            tracing::info!(connections = tasks.len(), "closing connections that did not end in time");
            tasks.shutdown().await;
        }
    }

    /// Waits after a failure, so that a loop of failures does not take the processor. Logs the first failure of a row.
    async fn pause(&self, err: &io::Error, failing: bool) {
        self.telemetry.http_accept_errors.inc();
        if !failing {
            tracing::warn!(%err, "cannot accept connections");
        }
        sleep(ACCEPT_PAUSE).await;
    }

    fn admit<Io>(self: &Arc<Self>, io: Io, tasks: &mut JoinSet<()>)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() {
            tasks.spawn(Arc::clone(self).converse(io, permit));
            return;
        }
        self.telemetry.http_refused.inc();
        if let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() {
            tasks.spawn(refuse(io, permit));
        }
    }

    async fn converse<Io>(self: Arc<Self>, io: Io, _permit: OwnedSemaphorePermit)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let _open = Open::new(&self.telemetry.http_connections);
        let state = Arc::new(ConnectionState::default());
        let telemetry = Arc::clone(&self.telemetry);
        let io = Connection { io, state: Arc::clone(&state), limits: self.limits, telemetry, stalled: None };
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(Arc::clone(&state));
            self.telemetry.http_requests.inc();
            router.call(request)
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(self.limits.header_read);
        http.max_buf_size(BUFFER_BYTES).max_headers(MAX_HEADERS);
        let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(io), service));
        let mut shutdown = self.shutdown.clone();
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = shutdown.wait() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(err) = outcome {
            tracing::debug!(%err, "a client's connection ended early");
        }
    }
}

/// Answers 503. Reads what the client has sent, because a socket that is closed with unread bytes discards the answer.
async fn refuse<Io: AsyncRead + AsyncWrite + Unpin>(mut io: Io, _permit: OwnedSemaphorePermit) {
    let answer = async {
        io.write_all(TOO_MANY.as_bytes()).await?;
        io.shutdown().await?;
        let mut ignored = [0_u8; 1024];
        while io.read(&mut ignored).await? > 0 {}
        io::Result::Ok(())
    };
    if !matches!(timeout(Duration::from_secs(1), answer).await, Ok(Ok(()))) {
        tracing::debug!("a client left before it was refused");
    }
}

/// Counts a connection while it is open, also when its task is aborted.
struct Open<'a>(&'a IntGauge);

impl<'a> Open<'a> {
    fn new(connections: &'a IntGauge) -> Self {
        connections.inc();
        Self(connections)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
