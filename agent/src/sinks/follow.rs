//! The life of one sink: gather records, send them, try again, note how far it has come.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::MutexGuard;

use super::{Batch, Cursor, Fault, Outlet, Record, Undelivered};
use crate::events::wire::write_delivery;
use crate::events::{Delivery, EventLog, Filter, Start, Subscription};
use crate::model::{Backoff, SinkState, SinkStatus};
use crate::telemetry::SharedSinkStatus;

/// A batch takes no further record when it has so many bytes.
const BATCH_BYTES: usize = 256 << 10;
/// How often the cursor is saved while the filter lets nothing through.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// The longest `Retry-After` that is honoured, unless the longest pause is longer.
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(300);
/// How often a dropped record is logged. All are counted.
const LOG_DROPPED_EVERY: Duration = Duration::from_secs(10);

/// A sink that is checked and does not run yet.
pub struct Sink {
    pub(super) name: String,
    pub(super) filter: Filter,
    pub(super) outlet: Box<dyn Outlet>,
    pub(super) batch_events: usize,
    pub(super) backoff: Backoff,
    pub(super) cursor: Cursor,
}

impl Sink {
    /// Runs until the target wants no records any more. A sink that has not run before begins after `first_seq`.
    ///
    /// It blocks its thread while it sends a batch or saves its cursor.
    pub(super) async fn follow(
        self,
        events: EventLog,
        boot_id: Arc<str>,
        first_seq: u64,
        status: SharedSinkStatus,
    ) {
        let saved_seq = self.cursor.load();
        let mut since = saved_seq.unwrap_or(first_seq);
        if since > events.last_seq() {
            tracing::warn!(
                sink = self.name,
                since,
                "the event log ends before the cursor of a sink; it begins with the oldest event"
            );
            since = 0;
        }
        status.lock().seq = since;
        let mut follow = Follow {
            subscription: events.subscribe_inside(self.filter.clone(), Start::SinceSeq(since)),
            sink: self,
            boot_id,
            status,
            saved_seq,
            logged_status: None,
            logged_drop: None,
            unlogged_drops: 0,
        };
        follow.run().await;
    }
}

struct Follow {
    sink: Sink,
    subscription: Subscription,
    boot_id: Arc<str>,
    status: SharedSinkStatus,
    /// What the cursor's file says.
    saved_seq: Option<u64>,
    /// The HTTP status that was last logged as a fault of the settings, until a delivery succeeds.
    logged_status: Option<u16>,
    /// When a dropped record was last logged, and how many were dropped since.
    logged_drop: Option<Instant>,
    unlogged_drops: u64,
}

impl Follow {
    async fn run(&mut self) {
        self.advance(None);
        loop {
            let records = self.gather().await;
            if records.is_empty() {
                self.advance(self.subscription.position());
            } else if self.deliver(Batch::new(records)).await.is_break() {
                return;
            }
        }
    }

    /// The records that are there, at least one; none when there was none for long.
    async fn gather(&mut self) -> Vec<Record> {
        let Ok(Some(first)) = tokio::time::timeout(SAVE_EVERY, self.subscription.next()).await else {
            return Vec::new();
        };
        let mut records = Vec::from_iter(self.record(&first));
        let mut bytes = 0;
        while records.len() < self.sink.batch_events && bytes < BATCH_BYTES {
            let Some(delivery) = self.subscription.try_next() else { break };
            let record = self.record(&delivery);
            bytes += record.as_ref().map_or(0, |record| record.json.len());
            records.extend(record);
        }
        records
    }

    fn record(&self, delivery: &Delivery) -> Option<Record> {
        let mut json = Vec::new();
        if let Err(error) = write_delivery(&mut json, &self.boot_id, delivery) {
            tracing::error!(sink = self.sink.name, %error, "an event that cannot be encoded is dropped");
            self.status().dropped += 1;
            return None;
        }
        let is_lost = matches!(delivery, Delivery::Lost { .. });
        if let Delivery::Lost { from_seq, to_seq } = delivery {
            self.status().dropped += to_seq.saturating_sub(*from_seq).saturating_add(1);
        }
        Some(Record { seq: delivery.seq(), is_lost, json: Bytes::from(json) })
    }

    /// Sends a batch until each record is delivered or dropped.
    async fn deliver(&mut self, mut batch: Batch) -> ControlFlow<()> {
        self.sink.backoff.reset();
        while let [_, ..] = batch.next() {
            let sent = self.sink.outlet.send(batch.next());
            let taken = sent.as_ref().map_or_else(|failed| failed.taken, |()| usize::MAX);
            self.took(batch.take(taken));
            let Err(Undelivered { fault, why, .. }) = sent else { continue };
            match fault {
                Fault::Passing { retry_after } => {
                    self.fail(&why, None);
                    tokio::time::sleep(pause(&mut self.sink.backoff, retry_after)).await;
                }
                Fault::Settings { status } => {
                    self.fail(&why, Some(status));
                    tokio::time::sleep(self.sink.backoff.longest).await;
                }
                Fault::Refused => {
                    if let Some(record) = batch.split() {
                        self.drop_refused(record, &why);
                    }
                }
                Fault::Gone => {
                    tracing::error!(
                        sink = self.sink.name,
                        why,
                        "a sink is stopped: its target wants nothing more"
                    );
                    self.status().state = SinkState::Stopped(why);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn took(&mut self, records: &[Record]) {
        let Some(last) = records.last() else { return };
        self.sink.backoff.reset();
        self.logged_status = None;
        let mut status = self.status();
        status.sent += records.iter().filter(|record| !record.is_lost).count() as u64;
        if let SinkState::Failing(was) = std::mem::take(&mut status.state) {
            tracing::info!(sink = self.sink.name, was, "a sink delivers again");
        }
        drop(status);
        self.advance(Some(last.seq));
    }

    /// Counts a failure, and logs the first of each kind. `fault` is the HTTP status of a fault of the settings.
    fn fail(&mut self, why: &str, fault: Option<u16>) {
        let mut status = self.status();
        status.retried += 1;
        let before = std::mem::replace(&mut status.state, SinkState::Failing(why.to_owned()));
        drop(status);
        let sink = &self.sink.name;
        if fault.is_none() && before == SinkState::Delivering {
            tracing::warn!(sink, why, "a sink cannot deliver; it tries again");
        } else if fault.is_some() && std::mem::replace(&mut self.logged_status, fault) != fault {
            let pause = humantime::format_duration(self.sink.backoff.longest);
            tracing::error!(sink, why, "check the settings of a sink; it tries again every {pause}");
        }
    }

    fn drop_refused(&mut self, record: &Record, why: &str) {
        self.status().refused += u64::from(!record.is_lost);
        if self.logged_drop.is_none_or(|at| at.elapsed() >= LOG_DROPPED_EVERY) {
            self.logged_drop = Some(Instant::now());
            let others = std::mem::take(&mut self.unlogged_drops);
            let (sink, seq) = (&self.sink.name, record.seq);
            tracing::warn!(sink, seq, why, others, "a sink drops an event that its target refuses");
        } else {
            self.unlogged_drops += 1;
        }
        self.advance(Some(record.seq));
    }

    /// Notes that all records up to `seq` are dealt with. A cursor that cannot be saved costs repeats after a crash, no event.
    fn advance(&mut self, seq: Option<u64>) {
        let mut status = self.status();
        status.seq = status.seq.max(seq.unwrap_or_default());
        let seq = status.seq;
        drop(status);
        if self.saved_seq == Some(seq) {
            return;
        }
        match self.sink.cursor.save(seq) {
            Ok(()) => self.saved_seq = Some(seq),
            Err(error) => {
                self.status().cursor_errors += 1;
                tracing::debug!(sink = self.sink.name, %error, "cannot save the cursor of a sink");
            }
        }
    }

    fn status(&self) -> MutexGuard<'_, SinkStatus> {
        self.status.lock()
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(sink = self.sink.name, "a sink is stopped: it panicked");
            self.status().state = SinkState::Stopped("it panicked".to_owned());
        }
    }
}

/// How long to wait after a failure: as long as the target asks for, within limits.
fn pause(backoff: &mut Backoff, retry_after: Option<Duration>) -> Duration {
    let Some(after) = retry_after else { return backoff.pause() };
    backoff.reset();
    let limit = RETRY_AFTER_LIMIT.max(backoff.longest);
    after.clamp(backoff.pause(), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_names_the_pause_within_limits() {
        let seconds = Duration::from_secs;
        let backoff = || Backoff::new(Duration::from_millis(250), seconds(30));
        for (asked, wanted) in [
            (None, Duration::from_millis(250)),
            (Some(seconds(0)), Duration::from_millis(250)),
            (Some(seconds(7)), seconds(7)),
            (Some(seconds(120)), seconds(120)),
            (Some(seconds(86_400)), RETRY_AFTER_LIMIT),
            (Some(Duration::MAX), RETRY_AFTER_LIMIT),
        ] {
            assert_eq!(pause(&mut backoff(), asked), wanted, "{asked:?}");
        }
        let mut patient = Backoff::new(seconds(1), seconds(3600));
        assert_eq!(pause(&mut patient, Some(seconds(86_400))), seconds(3600));
    }
}
