//! The ring of records in memory: how records get their numbers, and when subscribers may see them.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{Semaphore, watch};

use super::disk::{DiskOptions, DiskReader, Writer, read_end, read_served};
use super::wire::WireEvent;
use super::{Delivery, Filter, Start, Subscription};
use crate::model::{DiskHealth, Event, EventDraft};

/// How many readers of the disk run at once; others wait their turn.
const DISK_READERS: usize = 4;

/// So many records beyond the memory's limit may wait there for a disk that works but is slow.
const MAX_UNWRITTEN: usize = 16_384;

/// The log. Clones share one ring.
#[derive(Clone, Debug)]
pub struct EventLog {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) ring: Mutex<Ring>,
    capacity: usize,
    /// Wakes the thread that writes.
    more: Condvar,
    /// The newest number that subscribers may see; a change wakes them.
    pub(super) served: watch::Sender<u64>,
    pub(super) followers: AtomicU64,
    pub(super) disk: Option<Disk>,
}

/// The log on disk, as the ring in memory knows it.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) options: DiskOptions,
    health: Mutex<DiskHealth>,
    pub(super) readers: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
pub(super) struct Ring {
    events: VecDeque<Arc<Event>>,
    next_seq: u64,
    /// The newest record on disk; `None` without a disk and while it fails, when records do not wait for it.
    written_seq: Option<u64>,
    /// Whether records are served only after they are written.
    awaits_disk: bool,
    /// Since when the oldest record that is not served yet waits for the disk.
    waits_since: Option<Instant>,
    is_closed: bool,
}

impl Ring {
    /// The oldest number in the ring; the next one to be given if the ring is empty.
    pub(super) fn first_seq(&self) -> u64 {
        self.events.front().map_or(self.next_seq, |event| event.seq)
    }

    /// The newest number in use; 0 before the first.
    pub(super) fn last_seq(&self) -> u64 {
        self.next_seq.saturating_sub(1)
    }

    /// Removes the oldest records so that one more has room. The caller drops them after the lock.
    fn make_room(&mut self, capacity: usize) -> Vec<Arc<Event>> {
        let mut out = Vec::new();
        while self.events.len() >= capacity {
            let is_written = self.written_seq.is_none_or(|written| self.first_seq() <= written);
            if !is_written && self.events.len() < capacity.saturating_add(MAX_UNWRITTEN) {
                break;
            }
            out.extend(self.events.pop_front());
        }
        out
    }

    /// At most `count` records from number `seq` on; the oldest record is not newer than `seq`.
    pub(super) fn copy_from(&self, seq: u64, count: usize) -> Vec<Arc<Event>> {
        let skip = usize::try_from(seq.saturating_sub(self.first_seq())).unwrap_or(usize::MAX);
        let skip = skip.min(self.events.len());
        self.events.range(skip..).take(count).cloned().collect()
    }
}

impl Shared {
    /// At most `count` records from number `seq` on, and the first of these numbers that the ring has.
    pub(super) fn copy_from(&self, seq: u64, count: usize) -> (u64, Vec<Arc<Event>>) {
        let ring = self.ring.lock();
        let from = seq.max(ring.first_seq());
        (from, ring.copy_from(from, count))
    }

    /// Waits for a record newer than `written` or for the end, at most this long. True at the end.
    pub(super) fn wait_for_more(&self, written: u64, at_most: Duration) -> bool {
        let mut ring = self.ring.lock();
        let idle = |ring: &mut Ring| !ring.is_closed && ring.last_seq() <= written;
        self.more.wait_while_for(&mut ring, idle, at_most);
        ring.is_closed
    }

    /// Serves the records up to that number: the disk has them.
    pub(super) fn written(&self, seq: u64) {
        let mut ring = self.ring.lock();
        let all = seq >= ring.last_seq();
        ring.written_seq = Some(seq);
        ring.awaits_disk |= all;
        ring.waits_since = if all { None } else { Some(Instant::now()) };
        drop(ring);
        self.serve(seq);
    }

    /// Serves all records, and new ones at once, until the disk has all of them again: it is too slow.
    fn serve_without_disk(&self) {
        let mut ring = self.ring.lock();
        ring.awaits_disk = false;
        let last_seq = ring.last_seq();
        drop(ring);
        self.serve_unwritten(last_seq);
    }

    /// Serves the records up to that number, though the disk does not have them.
    pub(super) fn serve_unwritten(&self, last_seq: u64) {
        let mut ring = self.ring.lock();
        ring.waits_since = Some(Instant::now()).filter(|_| ring.awaits_disk && last_seq < ring.last_seq());
        ring.written_seq = None;
        drop(ring);
        let early = last_seq.saturating_sub(*self.served.borrow());
        self.with_health(|health| health.served_early += early);
        self.serve(last_seq);
    }

    /// Several threads call this, in any order.
    fn serve(&self, seq: u64) {
        self.served.send_if_modified(|served| {
            let newer = seq > *served;
            *served = seq.max(*served);
            newer
        });
    }

    pub(super) fn with_health(&self, with: impl FnOnce(&mut DiskHealth)) {
        if let Some(disk) = &self.disk {
            with(&mut disk.health.lock());
        }
    }
}

impl EventLog {
    /// An empty log in memory that keeps the newest `capacity` records (at least one); the first is number 1.
    pub fn new(capacity: usize) -> Self {
        Self::with(capacity, 0, None)
    }

    /// A log that is written to disk and continues where the disk ends. While the disk fails, records are served from
    /// memory alone. `boot_id` is written into each record.
    ///
    /// # Errors
    /// The thread that writes cannot be started.
    pub fn on_disk(capacity: usize, options: DiskOptions, boot_id: &str) -> io::Result<Self> {
        // A log that cannot be read cannot be continued; the writer meets the same error and logs it.
        let found = read_end(&options.dir).unwrap_or_default();
        let (damaged, last_seq) = (found.damaged, found.last_seq.max(read_served(&options.dir)));
        let disk = Disk {
            options: options.clone(),
            health: Mutex::new(DiskHealth { written_seq: last_seq, damaged, ..DiskHealth::default() }),
            readers: Arc::new(Semaphore::new(DISK_READERS)),
            writer: Mutex::new(None),
        };
        let log = Self::with(capacity, last_seq, Some(disk));
        let writer = Writer::new(Arc::clone(&log.shared), options, boot_id.into(), last_seq);
        let thread = std::thread::Builder::new().name("cgtap-log".to_owned()).spawn(|| writer.run())?;
        if let Some(disk) = &log.shared.disk {
            *disk.writer.lock() = Some(thread);
        }
        Ok(log)
    }

    /// A log whose first record is number `last_seq + 1`.
    pub(super) fn with(capacity: usize, last_seq: u64, disk: Option<Disk>) -> Self {
        let next_seq = last_seq.saturating_add(1);
        let ring = Ring {
            events: VecDeque::new(),
            next_seq,
            written_seq: disk.as_ref().map(|_| last_seq),
            awaits_disk: disk.is_some(),
            waits_since: None,
            is_closed: false,
        };
        Self {
            shared: Arc::new(Shared {
                ring: Mutex::new(ring),
                capacity: capacity.max(1),
                more: Condvar::new(),
                served: watch::Sender::new(last_seq),
                followers: AtomicU64::new(0),
                disk,
            }),
        }
    }

    /// Numbers the event and keeps it; returns the number. Waits for no subscriber and does no I/O.
    pub fn append(&self, draft: EventDraft) -> u64 {
        let mut ring = self.shared.ring.lock();
        let awaits = ring.awaits_disk;
        let seq = ring.next_seq;
        ring.next_seq = seq.saturating_add(1);
        let oldest = ring.make_room(self.shared.capacity);
        ring.events.push_back(Arc::new(Event { seq, draft }));
        if awaits {
            ring.waits_since.get_or_insert_with(Instant::now);
        }
        drop(ring);
        drop(oldest);
        self.shared.more.notify_one();
        if !awaits {
            self.shared.serve(seq);
        }
        seq
    }

    /// Serves all records if one has waited for the disk longer than this: a disk that hangs must not hold events back.
    pub fn serve_overdue(&self, patience: Duration) {
        let overdue = self.shared.ring.lock().waits_since.is_some_and(|since| since.elapsed() > patience);
        if overdue {
            tracing::warn!(
                waited_msec = patience.as_millis(),
                "the disk is slow: events are served before they are written"
            );
            self.shared.serve_without_disk();
        }
    }

    /// Writes the remaining records and ends the thread that writes; waits for it at most this long. Blocks.
    pub fn close(&self, at_most: Duration) {
        self.shared.ring.lock().is_closed = true;
        self.shared.more.notify_one();
        let Some(disk) = &self.shared.disk else { return };
        let writer = disk.writer.lock().take();
        let Some(writer) = writer else { return };
        let until = Instant::now() + at_most;
        while !writer.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        if !writer.is_finished() {
            tracing::warn!("the disk is too slow: the last events are not written");
        } else if writer.join().is_err() {
            tracing::error!("the thread that writes the event log panicked");
        }
    }

    /// The number of the oldest record in memory; one more than [`EventLog::last_seq`] when there is none.
    pub fn first_seq(&self) -> u64 {
        self.shared.ring.lock().first_seq()
    }

    /// The number of the newest record; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.shared.ring.lock().last_seq()
    }

    /// How many subscriptions of clients are open.
    pub fn followers(&self) -> u64 {
        self.shared.followers.load(Ordering::Relaxed)
    }

    /// The state of the log on disk; `None` when there is none.
    pub fn disk(&self) -> Option<DiskHealth> {
        let disk = self.shared.disk.as_ref()?;
        Some(disk.health.lock().clone())
    }

    /// Reads the records of the disk after that number, as far as they are there. Blocks.
    pub fn replay(&self, since_seq: u64, mut each: impl FnMut(&WireEvent<'_>)) {
        let Some(disk) = &self.shared.disk else { return };
        let mut reader = DiskReader::new(disk.options.dir.clone());
        let (mut next_seq, until_seq) = (since_seq.saturating_add(1), self.first_seq().saturating_sub(1));
        while next_seq <= until_seq {
            let Ok(found) = reader.read(&mut next_seq, until_seq, &Filter::default()) else { return };
            for delivery in found {
                if let Delivery::Stored(stored) = delivery {
                    WireEvent::read(&stored.json).iter().for_each(&mut each);
                }
            }
        }
    }

    /// A position in the log, from `start` on.
    pub fn subscribe(&self, filter: Filter, start: Start) -> Subscription {
        Subscription::new(Arc::clone(&self.shared), filter, start, true)
    }

    /// The same for a part of the agent: it does not count as a follower.
    pub fn subscribe_inside(&self, filter: Filter, start: Start) -> Subscription {
        Subscription::new(Arc::clone(&self.shared), filter, start, false)
    }
}
