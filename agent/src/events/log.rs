//! The ring of records and the numbers that they get.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use super::{Filter, Start, Subscription};
use crate::model::{CgroupRef, Event, EventKind, Identity, Source};

/// An event before it has a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDraft {
    /// When it happened.
    pub time: SystemTime,
    /// The rung that told of it.
    pub source: Source,
    /// The cgroup it is about.
    pub cgroup: Option<CgroupRef>,
    /// Whose cgroup that is.
    pub identity: Option<Arc<Identity>>,
    /// What happened.
    pub kind: EventKind,
}

/// The log. Clones share one ring.
#[derive(Clone, Debug)]
pub struct EventLog {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    ring: Mutex<Ring>,
    capacity: usize,
    /// The newest number; what subscribers sleep on.
    pub(super) newest: watch::Sender<u64>,
    pub(super) followers: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Ring {
    events: VecDeque<Arc<Event>>,
    next_seq: u64,
}

impl Ring {
    /// The oldest number still here; the next one to be given when there is none.
    pub(super) fn first_seq(&self) -> u64 {
        self.events.front().map_or(self.next_seq, |event| event.seq)
    }

    /// The newest number that was given; 0 before the first.
    pub(super) fn last_seq(&self) -> u64 {
        self.next_seq.saturating_sub(1)
    }

    /// At most `count` records from number `seq` on, which must not be older than the oldest.
    pub(super) fn copy_from(&self, seq: u64, count: usize) -> Vec<Arc<Event>> {
        let skip = usize::try_from(seq.saturating_sub(self.first_seq())).unwrap_or(usize::MAX);
        let skip = skip.min(self.events.len());
        self.events.range(skip..).take(count).cloned().collect()
    }
}

impl Shared {
    /// A ring is whole after each push, so that a panic elsewhere with the lock held harms nobody.
    pub(super) fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventLog {
    /// An empty log that keeps the newest `capacity` records (at least one); the first is number 1.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::resuming(capacity, 0)
    }

    /// An empty log whose first record is number `last_seq + 1`, for numbers that go on over a restart.
    #[must_use]
    pub fn resuming(capacity: usize, last_seq: u64) -> Self {
        let ring = Ring { events: VecDeque::new(), next_seq: last_seq.saturating_add(1) };
        Self {
            shared: Arc::new(Shared {
                ring: Mutex::new(ring),
                capacity: capacity.max(1),
                newest: watch::Sender::new(last_seq),
                followers: AtomicU64::new(0),
            }),
        }
    }

    /// Numbers the event and keeps it. Waits for no subscriber and does no I/O; answers the number.
    pub fn append(&self, draft: EventDraft) -> u64 {
        let EventDraft { time, source, cgroup, identity, kind } = draft;
        let mut event = Event { seq: 0, time, source, cgroup, identity, kind };
        let mut ring = self.shared.ring();
        let seq = ring.next_seq;
        event.seq = seq;
        ring.next_seq = seq.saturating_add(1);
        let oldest = if ring.events.len() >= self.shared.capacity { ring.events.pop_front() } else { None };
        ring.events.push_back(Arc::new(event));
        drop(ring);
        drop(oldest);
        // Two writers may come here in either order.
        self.shared.newest.send_if_modified(|newest| {
            let newer = seq > *newest;
            *newest = seq.max(*newest);
            newer
        });
        seq
    }

    /// The number of the oldest record in memory; one more than [`EventLog::last_seq`] when there is none.
    #[must_use]
    pub fn first_seq(&self) -> u64 {
        self.shared.ring().first_seq()
    }

    /// The number of the newest record; 0 before the first.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.shared.ring().last_seq()
    }

    /// The most records that are kept.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Subscriptions that are open now.
    #[must_use]
    pub fn followers(&self) -> u64 {
        self.shared.followers.load(Ordering::Relaxed)
    }

    /// A position in the log, from `start` on.
    #[must_use]
    pub fn subscribe(&self, filter: Filter, start: Start) -> Subscription {
        Subscription::new(Arc::clone(&self.shared), filter, start)
    }
}
