//! Readers of the two rings: they wait, drain and decode, and do nothing else. No file is opened here.

use std::io;

use aya::maps::{MapData, RingBuf};
use cgtap_abi::Program;
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

/// Decodes one record; `None` for a record that is counted but is no event.
type Decode<T> = dyn Fn(&[u8], Clock) -> Result<(RecordNumber, Option<T>), KernelError> + Send + Sync;

pub struct Ring<T> {
    fd: AsyncFd<RingBuf<MapData>>,
    sequences: Sequences,
    decode: Box<Decode<T>>,
}

pub type LifecycleRing = Ring<LifecycleEvent>;
pub type OomRing = Ring<OomKill>;

impl LifecycleRing {
    /// `sources`: in which form each hook is attached.
    pub(crate) fn new(ring: RingBuf<MapData>, sources: Vec<(Hook, Source)>) -> io::Result<Self> {
        let source_of = move |program: Program| {
            let found = sources.iter().find(|(hook, _)| *hook as u32 == program as u32);
            found.map_or(Source::TpBtf, |(_, source)| *source)
        };
        Self::decoding(ring, move |bytes, clock| {
            decode::lifecycle(bytes, clock, &source_of).map(|(number, event)| (number, Some(event)))
        })
    }
}

impl OomRing {
    /// `source`: the form in which the better of the two hooks is attached.
    pub(crate) fn new(ring: RingBuf<MapData>, source: Source) -> io::Result<Self> {
        Self::decoding(ring, move |bytes, clock| decode::oom(bytes, clock, source))
    }
}

impl<T> Ring<T> {
    fn decoding(
        ring: RingBuf<MapData>,
        decode: impl Fn(&[u8], Clock) -> Result<(RecordNumber, Option<T>), KernelError> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Ok(Self { fd: register(ring)?, sequences: Sequences::default(), decode: Box::new(decode) })
    }

    /// The same ring, waited for by the runtime in which this is called.
    ///
    /// # Errors
    /// When that runtime cannot wait for it.
    pub fn reregister(self) -> io::Result<Self> {
        let fd = register(self.fd.into_inner())?;
        Ok(Self { fd, ..self })
    }

    /// Waits until there is something, then takes up to [`BATCH_RECORDS`]. Cancel-safe: it waits only before the
    /// first record is taken.
    ///
    /// # Errors
    /// The ring's descriptor cannot be waited for.
    pub async fn next(&mut self) -> io::Result<Batch<T>> {
        let mut ready = self.fd.readable_mut().await?;
        let (batch, was_emptied) = take(ready.get_inner_mut(), &mut self.sequences, &*self.decode, is_full);
        if was_emptied {
            ready.clear_ready();
        }
        Ok(batch)
    }

    /// Up to [`BATCH_RECORDS`], without waiting.
    pub fn more(&mut self) -> Batch<T> {
        take(self.fd.get_mut(), &mut self.sequences, &*self.decode, is_full).0
    }

    /// All that was there when this was called. It ends at the first record that was made since, and not when the ring is
    /// empty: where records come faster than they can be read, it never is.
    pub fn drain(&mut self) -> Batch<T> {
        let now = clock::monotonic_nsec();
        let is_last = |_, record: &[u8]| decode::is_after(record, now);
        take(self.fd.get_mut(), &mut self.sequences, &*self.decode, is_last).0
    }
}

fn register(ring: RingBuf<MapData>) -> io::Result<AsyncFd<RingBuf<MapData>>> {
    // SAFETY: the ring owns its map's descriptor, never changes it, and lives as long as the registration.
    let fd = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
    fd.map_err(io::Error::from)
}

fn is_full(taken: usize, _: &[u8]) -> bool {
    taken >= BATCH_RECORDS
}

/// Takes records until one is the last that is wanted. True when the ring was emptied.
fn take<T>(
    ring: &mut RingBuf<MapData>,
    sequences: &mut Sequences,
    decode: &Decode<T>,
    is_last: impl Fn(usize, &[u8]) -> bool,
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
