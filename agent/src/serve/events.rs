//! `/events`: a subscription as a body, produced as fast as the client reads it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::compress::uncached;
use super::events_query::EventsQuery;
use super::{Limits, Services, Shutdown};
use crate::events::wire::write_delivery;
use crate::events::{Delivery, Subscription};
use crate::telemetry::Telemetry;

/// Deliveries that are ready are joined up to this size, so that a burst takes few writes.
const CHUNK_BYTES: usize = 32 * 1024;

/// The answer to a checked request. It subscribes before the client sees the status, so no later event is missed.
pub(super) fn respond(
    query: EventsQuery,
    services: &Services,
    limits: &Limits,
    shutdown: Shutdown,
) -> Response {
    let mut subscription = services.agent.events.subscribe(query.filter, query.start);
    if !query.follow {
        subscription = subscription.until_now();
    }
    let mut keep_alive = interval_at(Instant::now() + limits.keep_alive, limits.keep_alive);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let feed = Feed {
        subscription,
        shutdown,
        boot_id: Arc::clone(&services.agent.facts.boot_id),
        telemetry: Arc::clone(&services.agent.telemetry),
        sse: query.sse,
        follows: query.follow,
        left: query.limit.unwrap_or(u64::MAX),
        keep_alive,
    };
    let kind = if query.sse { "text/event-stream" } else { "application/x-ndjson" };
    uncached(kind, "accept", Body::from_stream(stream::unfold(feed, Feed::chunk)))
}

struct Feed {
    subscription: Subscription,
    shutdown: Shutdown,
    boot_id: Arc<str>,
    telemetry: Arc<Telemetry>,
    sse: bool,
    /// Whether it waits for new events; else it ends with those that were there.
    follows: bool,
    /// Events still to deliver.
    left: u64,
    keep_alive: Interval,
}

impl Feed {
    /// The next bytes; `None` at the end.
    async fn chunk(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let mut out = Vec::new();
        loop {
            let ordered = self.shutdown.is_ordered();
            self.fill(&mut out);
            if !out.is_empty() {
                return Some((Ok(Bytes::from(out)), self));
            }
            // A follower goes on at the next agent. An answer with an end is read to it: one that is cut must not look whole.
            if self.left == 0 || (ordered && self.follows) || self.subscription.is_at_end() {
                return None;
            }
            tokio::select! {
                delivery = self.subscription.next() => {
                    if let Some(delivery) = delivery {
                        self.push(&mut out, &delivery);
                    }
                }
                () = self.shutdown.wait(), if !ordered => {}
                _ = self.keep_alive.tick(), if self.sse => out.extend_from_slice(b": keep-alive\n\n"),
            }
        }
    }

    fn fill(&mut self, out: &mut Vec<u8>) {
        while self.left > 0 && out.len() < CHUNK_BYTES {
            let Some(delivery) = self.subscription.try_next() else { return };
            self.push(out, &delivery);
        }
    }

    fn push(&mut self, out: &mut Vec<u8>, delivery: &Delivery) {
        match delivery {
            Delivery::Event(_) | Delivery::Stored(_) => {
                self.left = self.left.saturating_sub(1);
                if self.sse {
                    out.extend_from_slice(format!("id: {}\n", delivery.seq()).as_bytes());
                }
            }
            Delivery::Lost { from_seq, to_seq } => {
                let lost = to_seq.saturating_sub(*from_seq).saturating_add(1);
                self.telemetry.events_lost_to_clients.inc_by(lost);
            }
        }
        if self.sse {
            out.extend_from_slice(b"data: ");
        }
        if let Err(err) = write_delivery(out, &self.boot_id, delivery) {
            // The client notices a stream that ends, but not a missing event.
            tracing::error!(%err, ?delivery, "cannot write an event");
            self.left = 0;
        }
        out.extend_from_slice(if self.sse { b"\n\n" } else { b"\n" });
    }
}
