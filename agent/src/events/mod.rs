//! The numbered log of events: in memory and on disk, bounded, read by any number of subscribers.
//!
//! There is one ring of records and no queue per client. A subscriber is a position in the log and a wake-up, so that
//! appending costs the same whoever listens, and a client that stops reading costs nothing but its position. What has
//! left the ring is read from disk, where it is kept much longer. One that falls behind both is told which numbers it
//! missed ([`Delivery::Lost`]), in their place in the stream, and goes on with the oldest record there is.
//!
//! With a disk, a record is seen by subscribers when it is written: a number that a client has seen is not given again
//! to another event after a crash. While the disk fails or hangs, the memory serves alone, and says so.

mod disk;
mod filter;
mod filter_text;
mod log;
mod stored;
mod subscription;

pub use disk::{DiskOptions, Fsync};
pub use filter::Filter;
pub use filter_text::BadFilter;
pub use log::{EventDraft, EventLog};
pub use subscription::{Delivery, Start, Subscription};

#[cfg(test)]
mod tests;
