//! The sockets: HTTP over TCP and unix sockets.
//!
//! | endpoint | answer |
//! |---|---|
//! | `/` | the list of endpoints, as text |
//! | `/metrics` | the exposition for Prometheus, made while it is sent; gzip where accepted |
//! | `/events` | the event log: newline-delimited JSON, or server-sent events where accepted |
//! | `/healthz` | 200 `ok`; 503 when the agent's core no longer runs |
//! | `/readyz` | 200 `ok`; before that 503 and JSON that names what is awaited |
//! | `/status` | what serves on this host and what it counted, as JSON |
//!
//! Each takes GET and HEAD. `/events` takes `follow`, `types`, `since_seq`, `since`, `limit`, `cgroup`, `pod` and
//! `container`, and `Last-Event-ID`; the others take no parameter. What is not understood is answered by JSON that
//! names it: 404 for a path, 405 for a method, 400 for a parameter.
//!
//! Nothing that a client does or fails to do may cost more than its bounded share: see [`Limits`].

mod accept;
mod bind;
mod compress;
mod connection;
mod events;
mod events_query;
mod params;
mod pieces;
mod readiness;
mod refusal;
mod routes;
mod scrape;
mod services;
mod shutdown;

pub use accept::serve;
pub use bind::{BindError, Listener, bind};
pub use readiness::{Latch, Liveness, Readiness};
pub use scrape::ScrapeSource;
pub use services::{Limits, Services};
pub use shutdown::{Shutdown, shutdown_on_signals};

#[cfg(test)]
mod tests;
