//! The one thread that writes the log. It follows the ring in memory as a subscriber does, so there is no second queue, and
//! reports to the ring how far it is.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::segments::{LogEnd, Segments};
use super::{DiskOptions, EventSync, served};
use crate::events::log::Shared;
use crate::events::stored::write_line;
use crate::events::wire::WireEvent;
use crate::model::{DiskHealth, Event, EventKind};

/// Limits of one write.
const RECORDS_AT_ONCE: usize = 256;
const BYTES_AT_ONCE: usize = 256 << 10;
/// A record that is not synced at once is synced after this time.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Between tries while the disk fails.
const RETRY: Duration = Duration::from_secs(1);
/// A disk that fails and works in turn is logged no more often than this.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The state of the thread.
pub(in crate::events) struct Writer {
    shared: Arc<Shared>,
    options: DiskOptions,
    boot_id: Arc<str>,
    /// `None` while the disk fails.
    segments: Option<Segments>,
    retry_at: Instant,
    /// The failure that is in the log and has not ended.
    logged: Option<String>,
    /// The next failure is logged then, not sooner.
    log_at: Instant,
    /// The newest record on disk.
    written: u64,
    /// The newest number that was served since the disk fails.
    served: u64,
    unsynced_since: Option<Instant>,
}

impl Writer {
    pub(in crate::events) fn new(
        shared: Arc<Shared>,
        options: DiskOptions,
        boot_id: Arc<str>,
        written: u64,
    ) -> Self {
        let now = Instant::now();
        Self {
            shared,
            options,
            boot_id,
            segments: None,
            retry_at: now,
            logged: None,
            log_at: now,
            written,
            served: written,
            unsynced_since: None,
        }
    }

    /// Runs until the log is closed, and then writes the rest if the disk takes it.
    pub(in crate::events) fn run(mut self) {
        loop {
            let done = if self.segments.is_none() { self.served } else { self.written };
            let ends = self.shared.wait_for_more(done, self.pause());
            if self.segments.is_none() && (ends || Instant::now() >= self.retry_at) {
                self.open();
            }
            match self.write_all().and_then(|()| self.sync_if_due(ends)) {
                Ok(()) => self.recover(),
                Err(error) => self.fail(&error),
            }
            if self.segments.is_none() {
                self.serve_unwritten();
            }
            if ends {
                return;
            }
        }
    }

    /// How long the thread may sleep if no record comes.
    fn pause(&self) -> Duration {
        let until = match (&self.segments, self.unsynced_since) {
            (None, _) => self.retry_at,
            (_, Some(since)) => since + SYNC_EVERY,
            _ => return SYNC_EVERY,
        };
        until.saturating_duration_since(Instant::now())
    }

    fn open(&mut self) {
        match Segments::open(&self.options).and_then(|(segments, found)| self.fits(segments, found)) {
            Ok((mut segments, found)) => {
                // The files were deleted: the records that are still in memory are written again.
                if found.last_seq < self.written {
                    let from = found.last_seq.max(self.shared.ring.lock().first_seq().saturating_sub(1));
                    self.count_unsaved(from.saturating_sub(self.written));
                    self.written = from;
                }
                segments.prune(SystemTime::now());
                self.shared.with_health(|health| health.cut_bytes += found.torn_bytes);
                if found.torn_bytes > 0 {
                    tracing::warn!(
                        bytes = found.torn_bytes,
                        "a crash had cut the last record of the event log; it was removed"
                    );
                }
                // The file may find no room later.
                let _ = served::note(&self.options.dir, 0);
                self.segments = Some(segments);
                self.note();
            }
            Err(error) => self.fail(&error),
        }
    }

    /// A log that could not be read at the start may have numbers that this agent has given to other events since. It must
    /// not get both: the agent leaves it to the next start.
    fn fits(&self, segments: Segments, found: LogEnd) -> io::Result<(Segments, LogEnd)> {
        let given = self.shared.ring.lock().last_seq();
        if found.last_seq <= given {
            return Ok((segments, found));
        }
        let why = format!("there is a log up to {}, which could not be read at the start", found.last_seq);
        Err(io::Error::new(io::ErrorKind::AlreadyExists, why))
    }

    /// Writes all records of the ring that the disk does not have.
    fn write_all(&mut self) -> io::Result<()> {
        while self.segments.is_some() {
            let (first_seq, events) = self.shared.copy_from(self.written.saturating_add(1), RECORDS_AT_ONCE);
            if events.is_empty() {
                return Ok(());
            }
            self.count_unsaved(first_seq.saturating_sub(self.written.saturating_add(1)));
            self.written = first_seq.saturating_sub(1);
            self.write(&events)?;
        }
        Ok(())
    }

    fn write(&mut self, events: &[Arc<Event>]) -> io::Result<()> {
        let Some(segments) = &mut self.segments else { return Ok(()) };
        let (mut lines, mut json, mut last_seq, mut has_kill) = (Vec::new(), Vec::new(), self.written, false);
        for event in events {
            json.clear();
            serde_json::to_writer(&mut json, &WireEvent::from_event(event, &self.boot_id))?;
            write_line(&mut lines, &json);
            last_seq = event.seq;
            has_kill |= matches!(event.draft.kind, EventKind::OomKill(_));
            if lines.len() >= BYTES_AT_ONCE {
                break;
            }
        }
        segments.append(self.written.saturating_add(1), &lines, SystemTime::now())?;
        match self.options.fsync {
            EventSync::All => segments.sync()?,
            EventSync::OomKill if has_kill => segments.sync()?,
            EventSync::OomKill => {
                self.unsynced_since.get_or_insert_with(Instant::now);
            }
            EventSync::None => {}
        }
        self.written = last_seq;
        self.note();
        self.shared.written(last_seq);
        Ok(())
    }

    /// Syncs records that have waited long enough, and all at the end.
    fn sync_if_due(&mut self, ends: bool) -> io::Result<()> {
        let Some(segments) = &mut self.segments else { return Ok(()) };
        segments.check()?;
        let due = self.unsynced_since.is_some_and(|since| since.elapsed() >= SYNC_EVERY);
        if due || (ends && self.options.fsync != EventSync::None) {
            segments.sync()?;
            self.unsynced_since = None;
            segments.prune(SystemTime::now());
            self.note();
        }
        Ok(())
    }

    /// The disk has all records. A segment can be opened on a full disk: only a write shows that there is room again.
    fn recover(&mut self) {
        if self.segments.is_none() {
            return;
        }
        self.shared.with_health(|health| health.failing = None);
        if let Some(was) = self.logged.take() {
            tracing::info!(was, "the event log is written to disk again");
        }
    }

    /// Serves records from memory alone; first their numbers are noted where the disk takes that.
    fn serve_unwritten(&mut self) {
        let last_seq = self.shared.ring.lock().last_seq();
        if last_seq > self.served.max(self.written) {
            // A disk that does not even take this is logged as one that fails.
            let _ = served::note(&self.options.dir, last_seq);
        }
        self.served = last_seq;
        self.shared.serve_unwritten(last_seq);
    }

    /// Records are served from memory alone until the disk works again.
    fn fail(&mut self, error: &io::Error) {
        self.segments = None;
        self.unsynced_since = None;
        self.retry_at = Instant::now() + RETRY;
        let why = format!("{}: {error}", self.options.dir.display());
        if self.logged.is_none() && Instant::now() >= self.log_at {
            tracing::error!(why, "events cannot be written to disk; they are served from memory alone");
            self.logged = Some(why.clone());
            self.log_at = Instant::now() + LOG_EVERY;
        }
        self.shared.with_health(|health| {
            health.errors += 1;
            health.failing = Some(why);
        });
    }

    fn count_unsaved(&self, records: u64) {
        self.shared.with_health(|health| health.unsaved += records);
    }

    fn note(&self) {
        let Some(segments) = &self.segments else { return };
        let (written_seq, first_seq) = (self.written, segments.first_seq());
        let (count, bytes) = (segments.count(), segments.bytes());
        self.shared.with_health(|health: &mut DiskHealth| {
            (health.written_seq, health.first_seq) = (written_seq, first_seq);
            (health.segments, health.bytes) = (count, bytes);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EventLog;
    use crate::model::{EventDraft, EventNames, Source};

    /// A full disk: its files can be opened.
    #[test]
    fn a_disk_works_again_when_it_has_taken_a_write() {
        let folder = tempfile::tempdir().unwrap();
        let options = DiskOptions::fixture(folder.path());
        let log = EventLog::on_disk(8, options.clone(), "").unwrap();
        log.close(Duration::from_secs(20));
        log.append(EventDraft {
            time: SystemTime::UNIX_EPOCH,
            source: Source::Agent,
            cgroup: None,
            identity: None,
            names: EventNames::default(),
            kind: EventKind::CgroupRemoved,
        });
        let is_failing = || log.disk().unwrap().failing.is_some();
        let mut writer = Writer::new(log.shared.clone(), options, "".into(), 0);
        writer.fail(&io::ErrorKind::StorageFull.into());
        assert!(writer.logged.is_some());
        writer.open();
        assert!(is_failing(), "it has taken nothing yet");
        writer.write_all().unwrap();
        writer.recover();
        assert_eq!((is_failing(), log.disk().unwrap().written_seq), (false, 1));
        writer.fail(&io::ErrorKind::StorageFull.into());
        assert!(is_failing() && writer.logged.is_none(), "it was logged a moment ago");
    }
}
