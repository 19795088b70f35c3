//! Where cgroup events come from: the ring, read by the event path itself, or a source on a thread of its own.

use std::io;

use super::thread::OnThread;
use crate::kernel::{Batch, KernelError, LifecycleRing};
use crate::model::{CgroupEvents, LifecycleEvent};

/// Events, and what went wrong on their way.
#[derive(Debug, Default)]
pub(crate) struct CgroupBatch {
    pub(crate) events: CgroupEvents,
    /// Records that the ring has numbered and not delivered.
    pub(crate) missing: u64,
    /// Records that could not be understood.
    pub(crate) broken: u64,
    /// Not every directory can be watched: walks must find the others.
    pub(crate) is_partial: bool,
}

impl From<Batch<LifecycleEvent>> for CgroupBatch {
    fn from(batch: Batch<LifecycleEvent>) -> Self {
        let broken = broken(&batch.broken);
        let events = CgroupEvents { events: batch.events, ..CgroupEvents::default() };
        Self { events, missing: batch.missing, broken, is_partial: false }
    }
}

/// Logs that records cannot be understood, once per batch, as a log that is slow to read delays the event path; how many there are.
pub(crate) fn broken(errors: &[KernelError]) -> u64 {
    let records = errors.len() as u64;
    if let Some(error) = errors.first() {
        tracing::error!(%error, records, "kernel records cannot be understood; the error is the first one's");
    }
    records
}

/// A request to watch the directories that a walk may have found and no event reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WatchMissing;

/// The source of cgroup events.
pub(crate) enum CgroupSource {
    /// BPF programs that read the paths.
    Ring(Box<LifecycleRing>),
    /// BPF programs that may not read the paths, or watched directories.
    Thread(OnThread<WatchMissing, CgroupBatch>),
}

impl CgroupSource {
    /// The next events. Cancel-safe.
    ///
    /// # Errors
    /// When the source cannot be read any more.
    pub(crate) async fn next(&mut self) -> io::Result<CgroupBatch> {
        match self {
            Self::Ring(ring) => ring.next().await.map(CgroupBatch::from),
            Self::Thread(thread) => thread.next().await,
        }
    }

    /// Everything that happened before this call. What happens meanwhile is left for the next: a flood would keep the caller
    /// here for as long as it lasts.
    ///
    /// # Errors
    /// When the source cannot be read any more.
    pub(crate) async fn drain(&mut self) -> io::Result<Vec<CgroupBatch>> {
        match self {
            Self::Ring(ring) => Ok(vec![ring.drain().into()]),
            Self::Thread(thread) => thread.drain().await,
        }
    }

    /// The same at the end, after which nothing more is read.
    ///
    /// # Errors
    /// When the source cannot be read any more.
    pub(crate) async fn finish(&mut self) -> io::Result<Vec<CgroupBatch>> {
        match self {
            Self::Ring(_) => self.drain().await,
            Self::Thread(thread) => thread.finish().await,
        }
    }

    /// A walk is done: directories that it found are watched from now on.
    pub(crate) fn watch_missing(&self) {
        if let Self::Thread(thread) = self {
            // The next walk asks again.
            let _ = thread.ask(WatchMissing);
        }
    }
}
