//! The kernel log as a source of OOM kills, and of what other sources do not know of theirs.

use std::io;
use std::time::SystemTime;

use crate::files::{HostRoot, KernelLog, LogRead};
use crate::kernel::Readable;
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
}

/// The log, read as it is written.
pub(super) struct LogFeed {
    log: KernelLog,
    readable: Readable,
    lines: OomLines,
}

impl LogFeed {
    /// From now on.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(super) fn open(host: &HostRoot) -> io::Result<Self> {
        let log = KernelLog::open(host).map_err(io::Error::other)?;
        let readable = Readable::of(&log)?;
        Ok(Self { log, readable, lines: OomLines::default() })
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
                    let record = log_record(bytes).ok();
                    batch.kills.extend(record.and_then(|record| self.lines.push(&record)));
                }
                LogRead::Overrun => batch.overruns += 1,
                LogRead::Nothing => {
                    ready.clear_ready();
                    break;
                }
            }
        }
        Ok(batch)
    }
}

/// A kill that the log alone tells of. Its own stamp is of another clock; it is read as it is written.
pub(super) fn kill_of(log: LogKill) -> OomKill {
    let LogKill { victim, path, decision, .. } = log;
    OomKill { time: SystemTime::now(), source: Source::Kmsg, cgroup: None, path, victim, decision }
}
