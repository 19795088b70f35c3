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
pub(crate) struct LogBatch {
    pub(crate) kills: Vec<LogKill>,
    /// Times that records written since the log was opened were overwritten before they were read; how many is not told.
    pub(crate) overruns: u64,
    /// Whether all that was there before the agent has been read, with this.
    pub(crate) caught_up: bool,
}

/// The log, read as it is written.
pub(crate) struct LogFeed {
    log: KernelLog,
    readable: Readable,
    lines: OomLines,
    /// While what was there before this agent is read: up to the first moment with nothing to read.
    before: Option<Before>,
    extent: Extent,
}

/// How much of the log was read, of what is of interest.
#[derive(Debug)]
struct Extent {
    /// Records behind this one are of interest. Where it is not known, none of those that were there before the agent.
    after: Option<u64>,
    /// The last record that was read.
    last: Option<u64>,
    /// Whether records were overwritten right before the next one.
    is_cut: bool,
    /// Whether each of interest was read.
    is_whole: bool,
}

impl Extent {
    fn new(after: Option<u64>) -> Self {
        Self { after, last: None, is_cut: false, is_whole: after.is_some() }
    }

    /// The next record was read; whether some before it were overwritten meanwhile.
    fn record(&mut self, sequence: u64) -> bool {
        let is_cut = std::mem::take(&mut self.is_cut);
        // What was overwritten is older than this record, and does not matter where that is known. In a full log the oldest
        // record may go while it is being read.
        if is_cut || self.last.is_none() {
            self.is_whole &= self.after.is_some_and(|after| sequence <= after.saturating_add(1));
        }
        self.last = Some(sequence);
        is_cut
    }
}

/// What was in the log before this agent.
struct Before {
    /// The log from where it ended when it was opened.
    end: KernelLog,
    /// The first record since then, once there is one.
    first_since: Option<u64>,
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
    /// record `after` is given, for kills of which nobody has told. Without `after` none of it is given.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn open(host: &HostRoot, after: Option<u64>) -> io::Result<Self> {
        let open = |from_start| KernelLog::open(host, from_start).map_err(io::Error::other);
        let before = Before { end: open(false)?, first_since: None };
        let log = open(true)?;
        let readable = Readable::of(&log)?;
        let lines = OomLines::default();
        Ok(Self { log, readable, lines, before: Some(before), extent: Extent::new(after) })
    }

    /// The last record that was read, once all that was there before has been.
    pub(crate) fn last_sequence(&self) -> Option<u64> {
        self.extent.last.filter(|_| self.before.is_none())
    }

    /// Whether every line of interest was read.
    pub(crate) fn is_whole(&self) -> bool {
        self.extent.is_whole
    }

    /// The next kills, perhaps none. Cancel-safe: it waits only before the first record is taken.
    ///
    /// # Errors
    /// When the log cannot be read any more.
    pub(crate) async fn next(&mut self) -> io::Result<LogBatch> {
        let mut ready = self.readable.ready().await?;
        let mut batch = LogBatch::default();
        for _ in 0..BATCH_RECORDS {
            match self.log.read().map_err(io::Error::other)? {
                LogRead::Record(bytes) => {
                    // A record that has not the form is none of the kernel's.
                    let Ok(record) = log_record(bytes) else { continue };
                    let kill = self.lines.push(&record);
                    let sequence = record.sequence;
                    let is_cut = self.extent.record(sequence);
                    if !is_cut && kill.is_none() {
                        continue;
                    }
                    let is_old = self.before.as_mut().is_some_and(|before| before.has(sequence));
                    // Of what was there before, it does not matter here what was overwritten.
                    batch.overruns += u64::from(is_cut && !is_old);
                    let is_known = is_old && self.extent.after.is_none_or(|after| sequence <= after);
                    let kill = kill.filter(|_| !is_known);
                    batch.kills.extend(kill.map(|kill| LogKill { is_old, ..kill }));
                }
                LogRead::Overrun => self.extent.is_cut = true,
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
pub(crate) fn kill_of(log: LogKill) -> OomKill {
    let LogKill { time_usec, is_old, victim, path, decision } = log;
    let (time, source) = if is_old {
        (wall_time(Duration::from_micros(time_usec)), Source::Recovered)
    } else {
        (SystemTime::now(), Source::Kmsg)
    };
    OomKill { time, source, cgroup: None, path, victim, decision }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `None` is an overrun.
    fn is_whole(after: Option<u64>, read: &[Option<u64>]) -> bool {
        let mut extent = Extent::new(after);
        for one in read {
            if let Some(sequence) = one {
                extent.record(*sequence);
            } else {
                extent.is_cut = true;
            }
        }
        extent.is_whole
    }

    #[test]
    fn a_log_is_whole_when_only_what_is_known_was_overwritten() {
        for (after, read, wanted) in [
            (Some(10), &[Some(0), Some(1), Some(11)][..], true),
            (Some(10), &[Some(11), Some(12)], true),
            (Some(10), &[Some(12), Some(13)], false),
            // While the oldest was read.
            (Some(10), &[None, Some(5), Some(6)], true),
            (Some(10), &[Some(3), None, Some(11), Some(12)], true),
            (Some(10), &[Some(3), None, Some(12)], false),
            (Some(10), &[Some(11), None, Some(40)], false),
            // It is not known what is of interest.
            (None, &[Some(0), Some(1)], false),
            (Some(10), &[], true),
        ] {
            assert_eq!(is_whole(after, read), wanted, "{after:?} {read:?}");
        }
    }

    #[test]
    fn an_overrun_is_told_once() {
        let mut extent = Extent::new(Some(0));
        assert!(!extent.record(1));
        extent.is_cut = true;
        assert!(extent.record(9));
        assert!(!extent.record(10));
    }
}
