//! What the endpoints are served from, and within which limits.

use std::time::Duration;

use super::{Liveness, Readiness, ScrapeSource};
use crate::model::DRAIN_WITHIN;
use crate::snapshot::AgentView;

/// What the endpoints are served from.
#[derive(Clone)]
pub struct Services {
    /// For `/events` and `/status`.
    pub agent: AgentView,
    /// For `/metrics`.
    pub metrics: ScrapeSource,
    /// For `/metrics/cadvisor`.
    pub kubelet_metrics: ScrapeSource,
    /// For `/readyz`.
    pub readiness: Readiness,
    /// For `/healthz`.
    pub liveness: Liveness,
}

/// The bounds of what clients can cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, all listeners together; one more is answered 503 and closed.
    pub max_connections: usize,
    /// Followers of `/events` at once, so that they leave connections for scrapes.
    pub max_followers: usize,
    /// Scrapes whose answer is not yet with the client; bounds the memory that slow ones hold.
    pub max_scrapes: usize,
    /// For a request's head to arrive, and for an idle connection to send one.
    pub header_read: Duration,
    /// For a client to take the next byte of an answer.
    pub stalled_response: Duration,
    /// For a follower to take the next byte: long, as it may be a terminal that someone paused.
    pub stalled_follower: Duration,
    /// Between comments on a silent stream of server-sent events.
    pub keep_alive: Duration,
    /// For open answers to end at shutdown.
    pub drain: Duration,
}

impl Limits {
    /// The defaults for that many connections.
    #[must_use]
    pub fn new(max_connections: usize) -> Self {
        Self {
            max_connections,
            max_followers: (max_connections - max_connections / 4).max(1),
            max_scrapes: 32,
            header_read: Duration::from_secs(30),
            stalled_response: Duration::from_secs(30),
            stalled_follower: Duration::from_secs(600),
            keep_alive: Duration::from_secs(15),
            drain: DRAIN_WITHIN,
        }
    }
}
