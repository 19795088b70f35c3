//! What a sink sends, where to, and how that can fail.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;

/// One event, or one range of lost events, on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The event's number, or the last number of a lost range.
    pub(super) seq: u64,
    /// Whether this record reports lost events.
    pub(super) is_lost: bool,
    /// One JSON object without a newline.
    pub(super) json: Bytes,
}

/// Takes records out of the node. Called on the sink's own thread, which it may block.
pub(super) trait Outlet: Send {
    /// Sends the records in order.
    ///
    /// # Errors
    /// Only the first few were taken.
    fn send(&mut self, records: &[Record]) -> Result<(), Undelivered>;
}

/// A delivery that ended before its last record. The records that were taken are not sent again.
#[derive(Debug)]
pub(super) struct Undelivered {
    /// Records taken, fewer than were given.
    pub(super) taken: usize,
    pub(super) fault: Fault,
    /// For people.
    pub(super) why: String,
}

impl Undelivered {
    /// A fault that another try may not meet.
    pub(super) fn passing(taken: usize, target: impl Display, why: impl Display) -> Self {
        Self { taken, fault: Fault::Passing { retry_after: None }, why: format!("{target}: {why}") }
    }
}

/// What is to be done about a delivery that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Try again after a pause, which the target may have named.
    Passing { retry_after: Option<Duration> },
    /// The target will never take at least one of the records.
    Refused,
    /// The settings are wrong: the target answers this HTTP status until somebody changes them.
    Settings { status: u16 },
    /// The target wants no records any more.
    Gone,
}
