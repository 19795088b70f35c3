//! The kernel log as a source of OOM kills, and of what other sources do not know of theirs.

use std::io;
use std::time::{Duration, SystemTime};

use crate::files::{HostRoot, KernelLog, LogRead};
use crate::kernel::{Readable, wall_time};
use crate::model::{OomKill, Source};
use crate::parse::{LogKill, OomLines, log_record};

/// So many records are taken at once, so that a chatty log does not starve what else the task has to do.
const BATCH_RECORDS: usize = 1024;

/// What the log told since the last time.
#[derive(Debug, Default)]
pub(super) struct LogBatch {
    pub(super) kills: Vec<LogKill>,
    /// Times that records were overwritten before they were read; how many is not told.
    pub(super) overruns: u64,
    /// Whether all that was there before the agent has been read, with this.
    pub(super) caught_up: bool,
}

/// The log, read as it is written.
pub(super) struct LogFeed {
    log: KernelLog,
    readable: Readable,
    lines: OomLines,
    /// What was there before this agent, up to the first moment with nothing to read; behind which record it is of interest.
    old_after: Option<u64>,
    /// The last record that was read.
    last_sequence: Option<u64>,
    /// Whether nothing was overwritten between the record behind which the log is of interest and what was read.
    is_whole: bool,
}

impl LogFeed {
    /// From its oldest record on, so that it is known where the agent begins; of what was there before only that behind the
    /// record `after` is given, for kills of which nobody has told.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(super) fn open(host: &HostRoot, after: u64) -> io::Result<Self> {
        let log = KernelLog::open(host, true).map_err(io::Error::other)?;
        let readable = Readable::of(&log)?;
        let lines = OomLines::default();
        Ok(Self { log, readable, lines, old_after: Some(after), last_sequence: None, is_whole: true })
    }

    /// The last record that was read, once all that was there before has been.
    pub(super) fn last_sequence(&self) -> Option<u64> {
        self.last_sequence.filter(|_| self.old_after.is_none())
    }

    /// Whether every line of interest was read.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The next kills, perhaps none. Cancel-safe: it waits only before the first record is taken.
    ///
    /// # Errors
    /// When the log cannot be read any more.
    pub(super) async fn next(&mut self) -> io::Result<LogBatch> {
        let mut ready = self.readable.ready().await?;
        let mut batch = LogBatch::default();
        for _ in 0..BATCH_RECORDS {
            match self.log.read().map_err(io::Error::other)? {
                LogRead::Record(bytes) => {
                    // A record that has not the form is none of the kernel's.
                    let Ok(record) = log_record(bytes) else { continue };
                    if self.last_sequence.is_none() {
                        // What is older than the oldest that is left.
                        self.is_whole &=
                            self.old_after.is_none_or(|after| record.sequence <= after.saturating_add(1));
                    }
                    self.last_sequence = Some(record.sequence);
                    let kill = self.lines.push(&record);
                    let is_known = self.old_after.is_some_and(|after| record.sequence <= after);
                    let is_old = self.old_after.is_some();
                    batch.kills.extend(kill.filter(|_| !is_known).map(|kill| LogKill { is_old, ..kill }));
                }
                LogRead::Overrun => {
                    batch.overruns += 1;
                    self.is_whole = false;
                }
                LogRead::Nothing => {
                    batch.caught_up = self.old_after.take().is_some();
                    ready.clear_ready();
                    break;
                }
            }
        }
        Ok(batch)
    }
}

/// A kill that the log alone tells of. Its own stamp is of another clock, which is good enough for what was before the agent;
/// the rest is read as it is written.
pub(super) fn kill_of(log: LogKill) -> OomKill {
    let LogKill { time_usec, is_old, victim, path, decision } = log;
    let (time, source) = if is_old {
        (wall_time(Duration::from_micros(time_usec)), Source::Recovered)
    } else {
        (SystemTime::now(), Source::Kmsg)
    };
    OomKill { time, source, cgroup: None, path, victim, decision }
}
