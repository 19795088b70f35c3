//! The kernel log as a source of OOM kills, and of what other sources do not know of theirs; and the kernel's count of kills.
//!
//! One thread reads both: the kernel counts a kill before it writes its line. So the count is read after the log, and belongs to
//! a place in the log that is not beyond it.

use std::io;
use std::time::{Duration, SystemTime};

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::thread::{OnThread, Source};
use crate::files::{self, HostRoot, KernelLog, LogRead};
use crate::kernel::{Readable, wall_time};
use crate::model::{LogBatch, LoggedKill};
use crate::parse::{LogKill, OomLines, log_record};

/// Records that are taken at once, so that a chatty log does not keep the thread from everything else.
const BATCH_RECORDS: usize = 1024;
/// How often the count is read.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);

/// The thread that reads the log and the count. It can be asked nothing.
pub(crate) type LogSource = OnThread<(), LogBatch>;

/// The log where it can be read, and the count.
struct LogAndCount {
    log: Option<(Log, Readable)>,
    /// There was no log to begin with, and that is not reported yet.
    is_missing: bool,
    host: HostRoot,
    tick: Interval,
}

/// Starts the thread. Without a log it reads the count alone.
///
/// # Errors
/// When the thread cannot be started.
pub(super) fn start(host: HostRoot, log: Option<Log>) -> io::Result<LogSource> {
    OnThread::start("cgtap-kmsg", move || {
        let mut tick = interval(COUNT_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let readable = log.as_ref().map(|log| Readable::of(&log.log)).transpose()?;
        let log = log.zip(readable);
        Ok(LogAndCount { is_missing: log.is_none(), log, host, tick })
    })
}

impl LogAndCount {
    /// The count is read on.
    fn log_ended(&mut self, error: &io::Error) -> LogBatch {
        tracing::error!(%error, "the kernel log cannot be read any more");
        self.log = None;
        LogBatch { log_ended: true, ..LogBatch::default() }
    }
}

impl Source for LogAndCount {
    type Report = LogBatch;
    type Request = ();

    async fn next(&mut self) -> io::Result<LogBatch> {
        let Self { log, tick, .. } = self;
        tokio::select! {
            batch = read_when_ready(log) => Ok(batch.unwrap_or_else(|error| self.log_ended(&error))),
            _ = tick.tick() => self.drain(),
        }
    }

    fn drain(&mut self) -> io::Result<LogBatch> {
        let read = self.log.as_mut().map_or(Ok((LogBatch::default(), true)), |(log, _)| log.read());
        let (mut batch, is_at_end) = read.unwrap_or_else(|error| (self.log_ended(&error), true));
        batch.log_ended |= std::mem::take(&mut self.is_missing);
        if is_at_end {
            batch.kernel_kills = files::oom_kills(&self.host).ok().flatten();
        }
        Ok(batch)
    }

    fn serve(&mut self, (): ()) -> Option<LogBatch> {
        None
    }
}

/// Cancel-safe: it waits only before the first record is taken.
async fn read_when_ready(log: &mut Option<(Log, Readable)>) -> io::Result<LogBatch> {
    let Some((log, readable)) = log else { return std::future::pending().await };
    let mut ready = readable.ready().await?;
    let (batch, is_at_end) = log.read()?;
    if is_at_end {
        ready.clear_ready();
    }
    Ok(batch)
}

/// The log, read as it is written.
pub(super) struct Log {
    log: KernelLog,
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

impl Log {
    /// From its oldest record on, so that it is known where the agent begins. Of what was there before, only kills after the
    /// record `after` are reported: those that no agent has reported. Without `after` none of it is.
    ///
    /// # Errors
    /// When the log cannot be read or waited for.
    pub(super) fn open(host: &HostRoot, after: Option<u64>) -> io::Result<Self> {
        let open = |from_start| KernelLog::open(host, from_start).map_err(io::Error::other);
        let before = Before { end: open(false)?, first_since: None };
        let log = open(true)?;
        // Something else may be in its place, as in a container that hides it.
        drop(Readable::of(&log)?);
        let lines = OomLines::default();
        Ok(Self { log, lines, before: Some(before), extent: Extent::new(after) })
    }

    /// What there is now, up to [`BATCH_RECORDS`]; whether that was all.
    fn read(&mut self) -> io::Result<(LogBatch, bool)> {
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
                    batch.kills.extend(kill.map(|kill| logged(kill, is_old)));
                }
                LogRead::Overrun => self.extent.is_cut = true,
                LogRead::Nothing => {
                    batch.caught_up = self.before.take().map(|_| self.extent.is_whole);
                    batch.last_sequence = self.extent.last;
                    return Ok((batch, true));
                }
            }
        }
        batch.last_sequence = self.extent.last.filter(|_| self.before.is_none());
        Ok((batch, false))
    }
}

/// The log's stamp is of a clock of its own, which is good enough for what was before the agent; the rest is read as it is
/// written.
fn logged(kill: LogKill, is_old: bool) -> LoggedKill {
    let LogKill { time_usec, victim, path, decision } = kill;
    let time = if is_old { wall_time(Duration::from_micros(time_usec)) } else { SystemTime::now() };
    LoggedKill { time, is_old, victim, path, decision }
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
