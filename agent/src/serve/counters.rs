//! What serving counts about itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since start, for the agent's own metrics.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) connections: AtomicU64,
    pub(super) refused_connections: AtomicU64,
    pub(super) accept_errors: AtomicU64,
    pub(super) stalled_connections: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) bad_requests: AtomicU64,
    pub(super) refused_requests: AtomicU64,
    pub(super) failed_scrapes: AtomicU64,
    pub(super) lost_events: AtomicU64,
}

/// [`Counters`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountersNow {
    /// Open now.
    pub connections: u64,
    /// Closed at once, as there were [`super::Limits::max_connections`].
    pub refused_connections: u64,
    /// Failures to accept a connection.
    pub accept_errors: u64,
    /// Closed because the client took nothing for too long.
    pub stalled_connections: u64,
    /// Requests that were read.
    pub requests: u64,
    /// Of these answered 400, 404 or 405.
    pub bad_requests: u64,
    /// Of these answered 503 for a limit on scrapes or followers.
    pub refused_requests: u64,
    /// Of these scrapes answered 500.
    pub failed_scrapes: u64,
    /// Events that left the log before a subscriber came to them, all subscribers together.
    pub lost_events: u64,
}

impl Counters {
    /// All of them now.
    #[must_use]
    pub fn now(&self) -> CountersNow {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CountersNow {
            connections: load(&self.connections),
            refused_connections: load(&self.refused_connections),
            accept_errors: load(&self.accept_errors),
            stalled_connections: load(&self.stalled_connections),
            requests: load(&self.requests),
            bad_requests: load(&self.bad_requests),
            refused_requests: load(&self.refused_requests),
            failed_scrapes: load(&self.failed_scrapes),
            lost_events: load(&self.lost_events),
        }
    }
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
