//! The HTTP server, over TCP and unix sockets.
//!
//! | endpoint | answer |
//! |---|---|
//! | `/` | the list of endpoints, as text |
//! | `/metrics`, `/metrics/cadvisor` | the exposition for Prometheus, streamed; gzip where accepted |
//! | `/events` | the event log: newline-delimited JSON, or server-sent events where accepted |
//! | `/healthz` | 200 `ok`; 503 when the thread of the event path no longer runs |
//! | `/readyz` | 200 `ok`; 503 and JSON that names what is awaited |
//! | `/status` | hooks, sources, runtimes, sinks and counts, as JSON |
//!
//! Each takes GET and HEAD. Only `/events` takes parameters (`events_query.rs`). A bad request gets JSON that names what was
//! wrong: 404 for a path, 405 for a method, 400 for a parameter.
//!
//! [`Limits`] bounds what all clients together can cost, whether they flood, dawdle or never read.

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
pub use bind::{Listener, bind};
pub use readiness::{Latch, Liveness, Readiness};
pub use scrape::ScrapeSource;
pub use services::{Limits, Services};
pub use shutdown::{Shutdown, shutdown_on_signals};

#[cfg(test)]
mod tests;
