//! A client's socket that fails when the client reads nothing for too long.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Limits;
use crate::telemetry::Telemetry;

/// What a request's handler sets for its connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    follows: AtomicBool,
    /// Of a scrape whose answer is not in the socket yet. The body holds it first, but hyper drops the body as soon as the bytes
    /// are in its own queue.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl ConnectionState {
    /// Marks the answer as a stream that its reader may pause.
    pub(super) fn set_follows(&self) {
        self.follows.store(true, Ordering::Relaxed);
    }
}

/// A scrape's permit, one of [`Limits::max_scrapes`]: held until the answer is written to the socket.
pub(super) struct Place {
    pub(super) permit: Option<OwnedSemaphorePermit>,
    pub(super) connection: Arc<ConnectionState>,
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.connection.permit.lock() = self.permit.take();
    }
}

/// The socket. A write that makes no progress within the limit fails.
pub(super) struct Connection<Io> {
    pub(super) io: Io,
    pub(super) state: Arc<ConnectionState>,
    pub(super) limits: Limits,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) stalled: Option<Pin<Box<Sleep>>>,
}

impl<Io> Connection<Io> {
    /// Passes the outcome of a write on. A write that waits starts the clock, any progress stops it.
    fn progress<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let follows = self.state.follows.load(Ordering::Relaxed);
        let limit = if follows { self.limits.stalled_follower } else { self.limits.stalled_response };
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        ready!(stalled.as_mut().poll(cx));
        self.telemetry.http_stalled_connections.inc();
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Connection<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Connection<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_write(cx, buf);
        this.progress(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.progress(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper flushes when its queue is empty: the answer then holds no memory any more.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_flush(cx);
        if outcome.is_ready() {
            this.state.permit.lock().take();
        }
        this.progress(cx, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
