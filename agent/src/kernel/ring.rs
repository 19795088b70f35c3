//! Readers of the two rings: they wait, drain and decode, and do nothing else. No file is opened here.

use std::io;

use aya::maps::{MapData, RingBuf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::KernelError;
use super::clock::{self, Clock};
use super::decode::{self, RecordNumber};
use super::sequence::Sequences;
use crate::model::{Hook, LifecycleEvent, OomKill, Source};

/// At most this many records are taken at once, so that a flood does not starve what else the task has to do.
const BATCH_RECORDS: usize = 4096;

#[derive(Debug)]
pub struct Batch<T> {
    /// In the ring's order.
    pub events: Vec<T>,
    /// Records that the programs numbered and the ring does not have.
    pub missing: u64,
    /// Records that could not be decoded. Never seen; counted because it would be a loss.
    pub broken: Vec<KernelError>,
}

struct Ring {
    fd: AsyncFd<RingBuf<MapData>>,
    sequences: Sequences,
}

impl Ring {
    fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the ring owns its map's descriptor, never changes it, and lives as long as the registration.
        let fd = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
        Ok(Self { fd: fd.map_err(io::Error::from)?, sequences: Sequences::default() })
    }

    /// Waits until there is something, then takes up to [`BATCH_RECORDS`]. Cancel-safe: it waits only before the
    /// first record is taken.
    async fn next<T>(
        &mut self,
        decode: impl Fn(&[u8], Clock) -> Result<(RecordNumber, Option<T>), KernelError>,
    ) -> io::Result<Batch<T>> {
        let mut ready = self.fd.readable_mut().await?;
        let (batch, was_emptied) = take(ready.get_inner_mut(), &mut self.sequences, is_full, decode);
        if was_emptied {
            ready.clear_ready();
        }
        Ok(batch)
    }

    /// Up to [`BATCH_RECORDS`], without waiting.
    fn more<T>(
        &mut self,
        decode: impl Fn(&[u8], Clock) -> Result<(RecordNumber, Option<T>), KernelError>,
    ) -> Batch<T> {
        take(self.fd.get_mut(), &mut self.sequences, is_full, decode).0
    }

    /// All that was there when this was called. It ends at the first record that was made since, and not when the ring is
    /// empty: where records come faster than they can be read, it never is.
    fn drain<T>(
        &mut self,
        decode: impl Fn(&[u8], Clock) -> Result<(RecordNumber, Option<T>), KernelError>,
    ) -> Batch<T> {
        let now = clock::monotonic_nsec();
        take(self.fd.get_mut(), &mut self.sequences, |_, record| decode::is_after(record, now), decode).0
    }
}

fn is_full(taken: usize, _: &[u8]) -> bool {
    taken >= BATCH_RECORDS
}

/// Records until one is the last that is wanted, and whether there was none after them.
fn take<T>(
    ring: &mut RingBuf<MapData>,
    sequences: &mut Sequences,
    is_last: impl Fn(usize, &[u8]) -> bool,
    decode: impl Fn(&[u8], Clock) -> Result<(RecordNumber, Option<T>), KernelError>,
) -> (Batch<T>, bool) {
    let clock = Clock::now();
    let mut batch = Batch { events: Vec::new(), missing: 0, broken: Vec::new() };
    let mut taken = 0;
    while let Some(record) = ring.next() {
        match decode(&record, clock) {
            Ok((number, event)) => {
                batch.missing += sequences.missing_before(number);
                batch.events.extend(event);
            }
            Err(error) => batch.broken.push(error),
        }
        taken += 1;
        if is_last(taken, &record) {
            return (batch, false);
        }
    }
    (batch, true)
}

pub struct LifecycleRing {
    ring: Ring,
    /// The form that is attached for each hook.
    sources: Vec<(Hook, Source)>,
}

impl LifecycleRing {
    pub(crate) fn new(ring: RingBuf<MapData>, sources: Vec<(Hook, Source)>) -> io::Result<Self> {
        Ok(Self { ring: Ring::new(ring)?, sources })
    }

    /// The next records.
    ///
    /// # Errors
    /// When the runtime cannot wait for the ring.
    pub async fn next(&mut self) -> io::Result<Batch<LifecycleEvent>> {
        let sources = &self.sources;
        self.ring.next(|bytes, clock| lifecycle(bytes, clock, sources)).await
    }

    /// The next records that are there now, without waiting.
    pub fn more(&mut self) -> Batch<LifecycleEvent> {
        let sources = &self.sources;
        self.ring.more(|bytes, clock| lifecycle(bytes, clock, sources))
    }

    /// All that is there now, without waiting.
    pub fn drain(&mut self) -> Batch<LifecycleEvent> {
        let sources = &self.sources;
        self.ring.drain(|bytes, clock| lifecycle(bytes, clock, sources))
    }
}

fn lifecycle(
    bytes: &[u8],
    clock: Clock,
    sources: &[(Hook, Source)],
) -> Result<(RecordNumber, Option<LifecycleEvent>), KernelError> {
    let (number, event) = decode::lifecycle(bytes, clock, |hook| source_of(sources, hook))?;
    Ok((number, Some(event)))
}

fn source_of(sources: &[(Hook, Source)], program: cgtap_abi::Program) -> Source {
    let found = sources.iter().find(|(hook, _)| *hook as u32 == program as u32);
    found.map_or(Source::TpBtf, |(_, source)| *source)
}

pub struct OomRing {
    ring: Ring,
    source: Source,
}

impl OomRing {
    pub(crate) fn new(ring: RingBuf<MapData>, source: Source) -> io::Result<Self> {
        Ok(Self { ring: Ring::new(ring)?, source })
    }

    /// The next records.
    ///
    /// # Errors
    /// When the runtime cannot wait for the ring.
    pub async fn next(&mut self) -> io::Result<Batch<OomKill>> {
        let source = self.source;
        self.ring.next(|bytes, clock| decode::oom(bytes, clock, source)).await
    }

    /// All that is there now, without waiting.
    pub fn drain(&mut self) -> Batch<OomKill> {
        let source = self.source;
        self.ring.drain(|bytes, clock| decode::oom(bytes, clock, source))
    }
}
