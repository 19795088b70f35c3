//! The numbered log of events: in memory and on disk, bounded, read by any number of subscribers.
//!
//! There is one ring of records in memory, and no queue per client. A subscriber is a position in the log and a wake-up:
//! appending costs the same for any number of them, and a client that stops reading costs only its position. Records that
//! left the ring are read from disk, which keeps them much longer. A subscriber that is too late for both gets
//! [`Delivery::Lost`] with the missed numbers, in their place in the stream, and continues with the oldest record.
//!
//! With a disk, subscribers see a record after it is written: after a crash, no number that a client has seen is given to
//! another event. While the disk fails or hangs, records are served from memory alone, and the log's health says so.

mod disk;
mod filter;
mod filter_text;
mod log;
mod stored;
mod subscription;
pub mod wire;

pub use disk::DiskOptions;
pub use filter::Filter;
pub use filter_text::BadFilter;
pub use log::EventLog;
pub use subscription::{Delivery, Start, Subscription};

#[cfg(test)]
mod tests;
