//! What the endpoints read, and the limits that they keep.

use std::time::Duration;

use super::{Liveness, Readiness, ScrapeSource};
use crate::model::DRAIN_WITHIN;
use crate::snapshot::AgentView;

/// What the endpoints read.
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

/// Bounds on what clients can cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time, all listeners together. One more gets a 503 and is closed.
    pub max_connections: usize,
    /// Followers of `/events` at the same time, so that connections are left for scrapes.
    pub max_followers: usize,
    /// Scrapes whose answer is not yet sent. It bounds the memory of answers to slow clients.
    pub max_scrapes: usize,
    /// How long a request's head may take, and how long a connection may be idle.
    pub header_read: Duration,
    /// How long a client may read nothing of an answer.
    pub stalled_response: Duration,
    /// How long a follower may read nothing: long, as it may be a terminal that its user paused.
    pub stalled_follower: Duration,
    /// Time between comments on a silent stream of server-sent events.
    pub keep_alive: Duration,
    /// How long open answers may take at shutdown.
    pub drain: Duration,
}

impl Limits {
    /// The defaults for this many connections.
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
