//! The life of one sink: gather, deliver, try again, note how far it has come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::{Cursor, Line, Outlet};
use crate::events::{Delivery, EventLog, Filter, Start, Subscription};
use crate::export::events_json::write_delivery;
use crate::model::Backoff;

/// What a batch may hold of text, whatever its number of events.
const BATCH_BYTES: usize = 256 << 10;
/// Where the filter lets nothing through, the place in the log is noted as often.
const NOTE_EVERY: Duration = Duration::from_secs(60);

/// A sink that is to run.
pub struct Sink {
    /// Its name, in metrics and in its cursor's file.
    pub name: String,
    /// What it wants.
    pub filter: Filter,
    /// Where that goes.
    pub outlet: Box<dyn Outlet>,
    /// Events that are delivered together.
    pub batch_events: usize,
    /// Pauses after a failure.
    pub backoff: Backoff,
    /// Where it notes how far it has come.
    pub cursor: Cursor,
}

/// What a sink has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkProgress {
    /// Events that were delivered.
    pub sent: u64,
    /// Deliveries that failed and were tried again.
    pub retried: u64,
    /// Events that left the log before they could be delivered, wanted or not.
    pub dropped: u64,
    /// The place in the log up to which all is delivered.
    pub seq: u64,
    /// Why the last delivery failed, until one succeeds.
    pub failing: Option<String>,
}

/// Shared with those who show it.
pub type Progress = Arc<Mutex<SinkProgress>>;

fn lock(progress: &Progress) -> MutexGuard<'_, SinkProgress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a sink until `ended` resolves. A sink that has not run before begins behind `first_seq`.
pub async fn follow<E>(
    sink: Sink,
    events: EventLog,
    boot_id: Arc<str>,
    first_seq: u64,
    progress: Progress,
    ended: E,
) where
    E: Future<Output = ()>,
{
    let Sink { name, filter, outlet, batch_events, backoff, cursor } = sink;
    let saved = cursor.load();
    let since = saved.unwrap_or(first_seq);
    lock(&progress).seq = since;
    let subscription = events.subscribe_inside(filter, Start::SinceSeq(since));
    let mut run = Run {
        name,
        subscription,
        outlet: Some(outlet),
        batch_events,
        backoff,
        cursor,
        boot_id,
        progress,
        noted: saved,
    };
    tokio::select! {
        () = ended => {}
        () = run.run() => {}
    }
    run.note(None);
}

struct Run {
    name: String,
    subscription: Subscription,
    /// Away while it delivers.
    outlet: Option<Box<dyn Outlet>>,
    batch_events: usize,
    backoff: Backoff,
    cursor: Cursor,
    boot_id: Arc<str>,
    progress: Progress,
    /// What the cursor's file says.
    noted: Option<u64>,
}

impl Run {
    /// Only an outlet that panicked ends it.
    async fn run(&mut self) {
        self.note(None);
        loop {
            let batch = self.gather().await;
            if batch.is_empty() {
                self.note(self.subscription.position());
            } else if !self.deliver(batch).await {
                return;
            }
        }
    }

    /// What is there, at least one event; none when there was none for long.
    async fn gather(&mut self) -> Vec<Line> {
        let Ok(Some(first)) = tokio::time::timeout(NOTE_EVERY, self.subscription.next()).await else {
            return Vec::new();
        };
        let mut batch = Vec::from_iter(self.line(&first));
        let mut bytes = 0;
        while batch.len() < self.batch_events && bytes < BATCH_BYTES {
            let Some(delivery) = self.subscription.try_next() else { break };
            let line = self.line(&delivery);
            bytes += line.as_ref().map_or(0, |line| line.json.len());
            batch.extend(line);
        }
        batch
    }

    fn line(&self, delivery: &Delivery) -> Option<Line> {
        let mut json = Vec::new();
        if let Err(error) = write_delivery(&mut json, &self.boot_id, delivery) {
            tracing::error!(sink = self.name, %error, "cannot write an event");
            return None;
        }
        let is_lost = matches!(delivery, Delivery::Lost { .. });
        if let Delivery::Lost { from_seq, to_seq } = delivery {
            lock(&self.progress).dropped += to_seq.saturating_sub(*from_seq).saturating_add(1);
        }
        Some(Line { seq: delivery.seq(), is_lost, json: Bytes::from(json) })
    }

    /// Until it is delivered; `false` when it never can be.
    async fn deliver(&mut self, batch: Vec<Line>) -> bool {
        let last_seq = batch.last().map_or(0, |line| line.seq);
        let sent = batch.iter().filter(|line| !line.is_lost).count() as u64;
        let batch: Arc<[Line]> = batch.into();
        self.backoff.reset();
        loop {
            let Some(mut outlet) = self.outlet.take() else { return false };
            let lines = Arc::clone(&batch);
            let delivered = tokio::task::spawn_blocking(move || {
                let done = outlet.deliver(&lines);
                (outlet, done)
            });
            let (outlet, done) = match delivered.await {
                Ok(delivered) => delivered,
                Err(error) => {
                    tracing::error!(sink = self.name, %error, "a sink is given up");
                    lock(&self.progress).failing = Some(error.to_string());
                    return false;
                }
            };
            self.outlet = Some(outlet);
            let Err(error) = done else { break };
            self.fail(&error.to_string());
            tokio::time::sleep(self.backoff.pause()).await;
        }
        let mut progress = lock(&self.progress);
        progress.sent += sent;
        if let Some(was) = progress.failing.take() {
            tracing::info!(sink = self.name, was, "a sink delivers again");
        }
        drop(progress);
        self.note(Some(last_seq));
        true
    }

    fn fail(&self, error: &str) {
        let mut progress = lock(&self.progress);
        progress.retried += 1;
        if progress.failing.replace(error.to_owned()).is_none() {
            tracing::warn!(sink = self.name, error, "a sink cannot deliver; it is tried again");
        }
    }

    /// All up to `seq` is delivered. A cursor that cannot be written costs repeats after a crash, no event.
    fn note(&mut self, seq: Option<u64>) {
        let mut progress = lock(&self.progress);
        progress.seq = progress.seq.max(seq.unwrap_or_default());
        let seq = progress.seq;
        drop(progress);
        if self.noted == Some(seq) {
            return;
        }
        match self.cursor.save(seq) {
            Ok(()) => self.noted = Some(seq),
            Err(error) => tracing::debug!(sink = self.name, %error, "a cursor cannot be written"),
        }
    }
}
