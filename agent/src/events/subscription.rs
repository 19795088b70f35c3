//! One reader's position in the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinHandle;

use super::Filter;
use super::disk::DiskReader;
use super::log::Shared;
use super::stored::Stored;
use crate::model::Event;

/// Records copied while the lock is held once. It bounds how long a writer waits for a reader, and how many records a
/// stalled reader keeps in memory.
const COPIED_AT_ONCE: usize = 128;

/// No record has this number: the first reading of the disk finds where to begin.
const BEGINNING: u64 = 0;

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the next event.
    Now,
    /// With the first event whose number is greater.
    ///
    /// A number that this log never gave comes from another log: such a subscription begins with the oldest record.
    SinceSeq(u64),
    /// With the oldest record, in memory or on disk.
    Oldest,
}

/// What a subscription yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The next event that the filter lets through.
    Event(Arc<Event>),
    /// The same from the disk, as it was served before.
    Stored(Stored),
    /// These numbers left the log before the subscriber could read them. Some may not match its filter.
    Lost {
        /// The first number missed.
        from_seq: u64,
        /// The last number missed.
        to_seq: u64,
    },
}

impl Delivery {
    /// The number of the event, or the last lost number.
    pub fn seq(&self) -> u64 {
        match self {
            Self::Event(event) => event.seq,
            Self::Stored(stored) => stored.seq,
            Self::Lost { to_seq, .. } => *to_seq,
        }
    }
}

/// A reader of the log. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    wake: watch::Receiver<u64>,
    filter: Filter,
    /// The next number to take from the log.
    next_seq: u64,
    /// The last number to deliver.
    until_seq: u64,
    /// Taken from the log, not yet delivered.
    taken: std::vec::IntoIter<Delivery>,
    disk: FromDisk,
    /// Whether it counts as a follower.
    is_client: bool,
}

#[derive(Debug)]
enum FromDisk {
    /// No reading is under way.
    Idle(Option<DiskReader>),
    /// A reading is under way.
    Busy(JoinHandle<DiskRead>),
}

/// The result of one reading of the disk.
#[derive(Debug)]
struct DiskRead {
    reader: DiskReader,
    next_seq: u64,
    found: Vec<Delivery>,
}

impl Subscription {
    pub(super) fn new(shared: Arc<Shared>, filter: Filter, start: Start, is_client: bool) -> Self {
        shared.followers.fetch_add(u64::from(is_client), Ordering::Relaxed);
        let wake = shared.served.subscribe();
        let ring = shared.ring.lock();
        let oldest = if shared.disk.is_some() { BEGINNING } else { ring.first_seq() };
        let next_seq = match start {
            Start::Now => ring.last_seq().saturating_add(1),
            Start::SinceSeq(seq) if seq <= ring.last_seq() => seq.saturating_add(1),
            Start::SinceSeq(_) | Start::Oldest => oldest,
        };
        drop(ring);
        let reader = shared.disk.as_ref().map(|disk| DiskReader::new(disk.options.dir.clone()));
        let taken = Vec::new().into_iter();
        Self {
            shared,
            wake,
            filter,
            next_seq,
            until_seq: u64::MAX,
            taken,
            disk: FromDisk::Idle(reader),
            is_client,
        }
    }

    /// Ends the subscription after the newest record of this moment, for a reader that does not follow.
    pub fn until_now(mut self) -> Self {
        self.until_seq = self.shared.ring.lock().last_seq();
        self
    }

    /// The next delivery, if it is in memory.
    pub fn try_next(&mut self) -> Option<Delivery> {
        loop {
            if let Some(delivery) = self.taken.next() {
                return Some(delivery);
            }
            if !self.take_more() {
                return None;
            }
        }
    }

    /// Whether a reader that does not follow has had its last delivery.
    pub fn is_at_end(&self) -> bool {
        self.taken.len() == 0 && self.next_seq > self.until_seq
    }

    /// The number up to which all wanted events were delivered; `None` while taken ones wait for delivery.
    pub fn position(&self) -> Option<u64> {
        let idle = self.taken.len() == 0 && matches!(self.disk, FromDisk::Idle(_));
        idle.then(|| self.next_seq.saturating_sub(1))
    }

    /// Waits for the next delivery; `None` at the end of a reader that does not follow. Cancel-safe: a dropped call loses
    /// no delivery.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            self.wake.borrow_and_update();
            if let Some(delivery) = self.try_next() {
                return Some(delivery);
            }
            if self.is_at_end() {
                return None;
            }
            if self.wants_disk() {
                self.read_disk().await;
                continue;
            }
            // This cannot fail: `shared` has the sender.
            if self.wake.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether the next record has left the memory.
    fn wants_disk(&self) -> bool {
        let busy = matches!(self.disk, FromDisk::Busy(_));
        let has_disk = self.shared.disk.is_some();
        busy || (has_disk
            && self.next_seq <= self.until_seq
            && self.next_seq < self.shared.ring.lock().first_seq())
    }

    /// Takes the next records from the ring; true if there were any.
    fn take_more(&mut self) -> bool {
        if self.next_seq > self.until_seq || self.wants_disk() {
            return false;
        }
        // Read before the ring: a served record is in the ring or has left it.
        let served = *self.shared.served.borrow();
        let ring = self.shared.ring.lock();
        let first_seq = ring.first_seq();
        if self.next_seq < first_seq {
            drop(ring);
            if self.shared.disk.is_some() {
                return false;
            }
            let from_seq = std::mem::replace(&mut self.next_seq, first_seq);
            self.taken = vec![Delivery::Lost { from_seq, to_seq: first_seq.saturating_sub(1) }].into_iter();
            return true;
        }
        let wanted = self.until_seq.min(served).saturating_add(1).saturating_sub(self.next_seq);
        let count = usize::try_from(wanted).map_or(COPIED_AT_ONCE, |wanted| wanted.min(COPIED_AT_ONCE));
        let copied = ring.copy_from(self.next_seq, count);
        drop(ring);
        let Some(last) = copied.last() else { return false };
        self.next_seq = last.seq.saturating_add(1);
        let filter = &self.filter;
        let wanted: Vec<Delivery> =
            copied.into_iter().filter(|event| filter.matches(event)).map(Delivery::Event).collect();
        self.taken = wanted.into_iter();
        true
    }

    /// Reads a piece of the disk. Cancel-safe: a reading that is under way continues.
    async fn read_disk(&mut self) {
        if let (FromDisk::Idle(_), Some(disk)) = (&self.disk, &self.shared.disk) {
            // The semaphore is never closed.
            if let Ok(permit) = Arc::clone(&disk.readers).acquire_owned().await {
                self.begin_read(permit);
            }
        }
        let FromDisk::Busy(task) = &mut self.disk else { return };
        let ended = task.await;
        self.disk = FromDisk::Idle(None);
        match ended {
            Ok(DiskRead { reader, next_seq, found }) => {
                self.disk = FromDisk::Idle(Some(reader));
                self.next_seq = next_seq;
                self.taken = found.into_iter();
            }
            Err(error) => {
                tracing::error!(%error, "a reader of the event log panicked");
                let to_seq = self.shared.ring.lock().first_seq().saturating_sub(1);
                let from_seq = std::mem::replace(&mut self.next_seq, to_seq.saturating_add(1));
                self.taken = vec![Delivery::Lost { from_seq, to_seq }].into_iter();
            }
        }
    }

    fn begin_read(&mut self, permit: OwnedSemaphorePermit) {
        let FromDisk::Idle(reader) = &mut self.disk else { return };
        let dir = self.shared.disk.as_ref().map(|disk| disk.options.dir.clone());
        let Some(reader) = reader.take().or_else(|| dir.map(DiskReader::new)) else { return };
        let (filter, next_seq) = (self.filter.clone(), self.next_seq);
        let until_seq = self.until_seq.min(self.shared.ring.lock().first_seq().saturating_sub(1));
        let read = move || {
            let _permit = permit;
            read(reader, next_seq, until_seq, &filter)
        };
        self.disk = FromDisk::Busy(tokio::task::spawn_blocking(read));
    }
}

/// Runs on a thread that may block.
fn read(mut reader: DiskReader, mut next_seq: u64, until_seq: u64, filter: &Filter) -> DiskRead {
    if next_seq == BEGINNING {
        let begin = filter.since.and_then(|since| reader.seq_before(since)).or_else(|| reader.first_seq());
        next_seq = begin.unwrap_or(until_seq.saturating_add(1));
    }
    let found = reader.read(&mut next_seq, until_seq, filter).unwrap_or_else(|error| {
        tracing::warn!(%error, "the event log cannot be read");
        let from_seq = std::mem::replace(&mut next_seq, until_seq.saturating_add(1));
        vec![Delivery::Lost { from_seq, to_seq: until_seq }]
    });
    DiskRead { reader, next_seq, found }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.followers.fetch_sub(u64::from(self.is_client), Ordering::Relaxed);
    }
}
