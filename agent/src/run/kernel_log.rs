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
    /// While what was there before this agent is read: up to the first moment with nothing to read.
    before: Option<Before>,
    /// The last record that was read.
    last_sequence: Option<u64>,
    /// Whether nothing was overwritten between the record behind which the log is of interest and what was read.
    is_whole: bool,
}

/// What was in the log before this agent.
struct Before {
    /// It is of interest behind this record.
    after: u64,
    /// The log from where it ended when it was opened.
    end: KernelLog,
    /// The first record since then, once there is one.
    first_since: Option<u64>,
    /// Whether records were overwritten right before the next one.
    is_cut: bool,
}

impl Before {
    fn has(&mut self, sequence: u64) -> bool {
        if self.first_since.is_none()
            && let Ok(LogRead::Record(bytes)) = self.end.read()
        {
            self.first_since = log_record(bytes).ok().map(|record| record.sequence);
        }
        // A record that has come since would be there.
        self.first_since.is_none_or(|first| sequence < first)
    }
}

impl LogFeed {
    /// From its oldest record on, so that it is known where the agent begins; of what was there before only that behind the
    /// record `after` is given, for kills of which nobody has told.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(super) fn open(host: &HostRoot, after: u64) -> io::Result<Self> {
        let open = |from_start| KernelLog::open(host, from_start).map_err(io::Error::other);
        let before = Before { after, end: open(false)?, first_since: None, is_cut: false };
        let log = open(true)?;
        let readable = Readable::of(&log)?;
        let lines = OomLines::default();
        Ok(Self { log, readable, lines, before: Some(before), last_sequence: None, is_whole: true })
    }

    /// The last record that was read, once all that was there before has been.
    pub(super) fn last_sequence(&self) -> Option<u64> {
        self.last_sequence.filter(|_| self.before.is_none())
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
                    let kill = self.lines.push(&record);
                    let sequence = record.sequence;
                    let is_first = self.last_sequence.replace(sequence).is_none();
                    let Some(before) = &mut self.before else {
                        batch.kills.extend(kill);
                        continue;
                    };
                    if is_first {
                        // What is older than the oldest that is left.
                        self.is_whole &= sequence <= before.after.saturating_add(1);
                    }
                    // Of what was there before, it does not matter here what was overwritten.
                    batch.overruns += u64::from(std::mem::take(&mut before.is_cut) && !before.has(sequence));
                    if let Some(kill) = kill {
                        let is_old = before.has(sequence);
                        let is_known = is_old && sequence <= before.after;
                        batch.kills.extend((!is_known).then_some(LogKill { is_old, ..kill }));
                    }
                }
                LogRead::Overrun => {
                    self.is_whole = false;
                    match &mut self.before {
                        Some(before) => before.is_cut = true,
                        None => batch.overruns += 1,
                    }
                }
                LogRead::Nothing => {
                    batch.caught_up = self.before.take().is_some();
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
