//! The numbered log of events: in memory, bounded, read by any number of subscribers.
//!
//! There is one ring of records and no queue per client. A subscriber is a position in the ring and a wake-up, so
//! that appending costs the same whoever listens, and a client that stops reading costs nothing but its position.
//! The ring is therefore the bound of every subscriber: one that falls behind it is told which numbers it missed
//! ([`Delivery::Lost`]), in their place in the stream, and goes on with the oldest record there is.

mod filter;
mod log;
mod subscription;

pub use filter::Filter;
pub use log::{EventDraft, EventLog};
pub use subscription::{Delivery, Start, Subscription};

#[cfg(test)]
mod tests;
