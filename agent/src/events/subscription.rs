//! One reader's position in the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::Filter;
use super::log::Shared;
use crate::model::Event;

/// Records copied at one holding of the lock: bounds how long a writer can wait for a reader, and what a reader that
/// stalls keeps alive outside the ring.
const COPIED_AT_ONCE: usize = 128;

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the next event.
    Now,
    /// With the first event whose number is greater.
    ///
    /// A number that was never given comes from an earlier log; nothing it says holds for this one, so such a
    /// subscription begins with the oldest record.
    SinceSeq(u64),
    /// With the oldest record in memory.
    Oldest,
}

/// What a subscription yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The next event that the filter lets through.
    Event(Arc<Event>),
    /// These left the ring before this subscriber came to them, whether its filter wanted them or not.
    Lost {
        /// The first number missed.
        from_seq: u64,
        /// The last number missed.
        to_seq: u64,
    },
}

/// A reader of the log. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    wake: watch::Receiver<u64>,
    filter: Filter,
    /// The next number to copy from the ring.
    next_seq: u64,
    /// The last number to deliver.
    until_seq: u64,
    /// Copied, not yet delivered.
    copied: std::vec::IntoIter<Arc<Event>>,
}

impl Subscription {
    pub(super) fn new(shared: Arc<Shared>, filter: Filter, start: Start) -> Self {
        shared.followers.fetch_add(1, Ordering::Relaxed);
        let wake = shared.newest.subscribe();
        let ring = shared.ring();
        let next_seq = match start {
            Start::Now => ring.last_seq().saturating_add(1),
            Start::SinceSeq(seq) if seq <= ring.last_seq() => seq.saturating_add(1),
            Start::SinceSeq(_) | Start::Oldest => ring.first_seq(),
        };
        drop(ring);
        Self { shared, wake, filter, next_seq, until_seq: u64::MAX, copied: Vec::new().into_iter() }
    }

    /// Ends the subscription after the newest record of this moment, for a reader that does not follow.
    #[must_use]
    pub fn until_now(mut self) -> Self {
        self.until_seq = self.shared.ring().last_seq();
        self
    }

    /// The next delivery, if one is there now.
    pub fn try_next(&mut self) -> Option<Delivery> {
        loop {
            if let Some(event) = self.copied.find(|event| self.filter.matches(event)) {
                return Some(Delivery::Event(event));
            }
            if self.next_seq > self.until_seq {
                return None;
            }
            if let Some(lost) = self.copy_more() {
                return Some(lost);
            }
            if self.copied.len() == 0 {
                return None;
            }
        }
    }

    /// Waits for the next delivery. Safe to drop and to call again: nothing is taken before it is answered.
    pub async fn next(&mut self) -> Delivery {
        loop {
            self.wake.borrow_and_update();
            if let Some(delivery) = self.try_next() {
                return delivery;
            }
            // The sender lives in `shared`, so this cannot fail while we hold it.
            if self.wake.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Takes the next records from the ring, or answers what of them is gone.
    fn copy_more(&mut self) -> Option<Delivery> {
        let ring = self.shared.ring();
        let first_seq = ring.first_seq();
        if self.next_seq < first_seq {
            let from_seq = std::mem::replace(&mut self.next_seq, first_seq);
            return Some(Delivery::Lost { from_seq, to_seq: first_seq.saturating_sub(1) });
        }
        let wanted = self.until_seq.saturating_sub(self.next_seq).saturating_add(1);
        let count = usize::try_from(wanted).map_or(COPIED_AT_ONCE, |wanted| wanted.min(COPIED_AT_ONCE));
        let copied = ring.copy_from(self.next_seq, count);
        drop(ring);
        if let Some(last) = copied.last() {
            self.next_seq = last.seq.saturating_add(1);
        }
        self.copied = copied.into_iter();
        None
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.followers.fetch_sub(1, Ordering::Relaxed);
    }
}
