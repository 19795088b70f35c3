//! A client's socket that fails when the client reads nothing for too long.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Limits;
use crate::telemetry::Telemetry;

/// What a request's handler sets for its connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    follows: AtomicBool,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl ConnectionState {
    /// Marks the answer as a stream that its reader may pause.
    pub(super) fn set_follows(&self) {
        self.follows.store(true, Ordering::Relaxed);
    }

    /// Keeps the permit until the answer is in the socket.
    ///
    /// The body holds the permit first, but hyper drops the body as soon as the bytes are in its own queue.
    fn hold(&self, permit: OwnedSemaphorePermit) {
        *self.permit.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
    }

    fn release(&self) {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// A scrape's permit, one of [`Limits::max_scrapes`]: held until the answer is written to the socket.
pub(super) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    connection: Arc<ConnectionState>,
}

impl Place {
    pub(super) fn new(permit: OwnedSemaphorePermit, connection: Arc<ConnectionState>) -> Self {
        Self { permit: Some(permit), connection }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.connection.hold(permit);
        }
    }
}

/// The socket. A write that makes no progress within the limit fails.
pub(super) struct Connection<Io> {
    io: Io,
    state: Arc<ConnectionState>,
    limits: Limits,
    telemetry: Arc<Telemetry>,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<Io> Connection<Io> {
    pub(super) fn new(
        io: Io,
        state: Arc<ConnectionState>,
        limits: Limits,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        Self { io, state, limits, telemetry, stalled: None }
    }

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
            this.state.release();
        }
        this.progress(cx, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
