//! The kernel log, which reports OOM kills or adds to those of other sources, and the kernel's count of kills.
//!
//! One thread reads both, the log first. The kernel counts a kill before it writes its line, so the count has each kill of the log.

use std::io;
use std::time::{Duration, SystemTime};

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::thread::{OnThread, ThreadedSource};
use crate::files::{self, HostRoot, KernelLog, LogRead};
use crate::kernel::{Readable, wall_time};
use crate::model::{Checkpoint, LogBatch, OomKill, Source};
use crate::parse::{LogKill, OomLines, log_record};

/// Records that are taken at once: a busy log must not keep the thread from its other work.
const BATCH_RECORDS: usize = 1024;
/// More than the kernel's memory has of a log.
const MAX_RECORDS: usize = 1 << 20;
/// How often the count is read.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);

/// The thread that reads the log and the count. It serves no requests.
pub(crate) type LogSource = OnThread<(), LogBatch>;

/// The log where it can be read, and the count.
struct LogAndCount {
    log: Option<(Log, Readable)>,
    /// There was no log at the start, and that is not reported yet.
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
    /// The log is left; the count is still read.
    fn log_ended(&mut self, error: &io::Error) -> LogBatch {
        tracing::error!(%error, "the kernel log cannot be read any more");
        self.log = None;
        LogBatch { log_ended: true, ..LogBatch::default() }
    }
}

impl ThreadedSource for LogAndCount {
    type Report = LogBatch;
    type Request = ();

    async fn next(&mut self) -> io::Result<LogBatch> {
        let Self { log, tick, .. } = self;
        tokio::select! {
            batch = read_when_ready(log) => Ok(batch.unwrap_or_else(|error| self.log_ended(&error))),
            _ = tick.tick() => self.drain().await,
        }
    }

    async fn drain(&mut self) -> io::Result<LogBatch> {
        let read = self.log.as_mut().map_or(Ok((LogBatch::default(), true)), |(log, _)| log.read());
        let (mut batch, is_at_end) = read.unwrap_or_else(|error| (self.log_ended(&error), true));
        batch.log_ended |= std::mem::take(&mut self.is_missing);
        if is_at_end {
            batch.kernel_kills = files::oom_kills(&self.host).ok().flatten();
        }
        Ok(batch)
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

/// Up to where the kernel has counted and logged now. The log is read first: the kernel counts a kill before it logs it, and no
/// line of a later kill may be skipped. Blocks: it reads all of the log.
pub(crate) fn checkpoint_now(host: &HostRoot) -> Option<Checkpoint> {
    let log_sequence = last_sequence(host);
    let kernel_kills = files::oom_kills(host).ok().flatten()?;
    Some(Checkpoint { kernel_kills, log_sequence })
}

/// The newest record. There is none in a file that is no log, nor in a log that is written faster than it is read.
fn last_sequence(host: &HostRoot) -> Option<u64> {
    let mut log = KernelLog::open(host, true).ok()?;
    let mut last = None;
    for _ in 0..MAX_RECORDS {
        match log.read().ok()? {
            LogRead::Record([]) => return None,
            LogRead::Record(bytes) => last = log_record(bytes).ok().map(|record| record.sequence).or(last),
            LogRead::Overrun => {}
            LogRead::Nothing => return last,
        }
    }
    None
}

/// The log, read as it is written.
pub(super) struct Log {
    log: KernelLog,
    lines: OomLines,
    /// Until all records from before this agent have been read.
    before: Option<Before>,
    extent: Extent,
}

/// Which of the wanted records were read.
#[derive(Debug)]
struct Extent {
    /// Records after this one are wanted. Without it none from before this agent are.
    after: Option<u64>,
    /// The last record that was read.
    last: Option<u64>,
    /// Whether records were overwritten right before the next one.
    is_cut: bool,
    /// Whether no wanted record was overwritten.
    is_uncut: bool,
}

impl Extent {
    fn new(after: Option<u64>) -> Self {
        Self { after, last: None, is_cut: false, is_uncut: after.is_some() }
    }

    /// The next record was read; whether some before it were overwritten meanwhile.
    fn record(&mut self, sequence: u64) -> bool {
        let is_cut = std::mem::take(&mut self.is_cut);
        // Only records older than this one were overwritten. That does not matter if those are not wanted. In a full log the
        // oldest record may go while it is read.
        if is_cut || self.last.is_none() {
            self.is_uncut &= self.after.is_some_and(|after| sequence <= after.saturating_add(1));
        }
        self.last = Some(sequence);
        is_cut
    }

    /// Whether each wanted record was read. A machine that went back to a snapshot has not written the record `after`.
    fn is_whole(&self) -> bool {
        self.is_uncut && self.last.is_none_or(|last| Some(last) >= self.after)
    }
}

/// Where the part of the log ends that was there before this agent.
struct Before {
    /// A reader that began at the end of the log when it was opened.
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
        // A record that came since would have been read.
        self.first_since.is_none_or(|first| sequence < first)
    }
}

impl Log {
    /// Begins with the oldest record. Of the kills from before this agent only those after the record `after` are reported: no
    /// agent has reported them. Without `after` none of them are.
    ///
    /// # Errors
    /// When the log cannot be read or waited for.
    pub(super) fn open(host: &HostRoot, after: Option<u64>) -> io::Result<Self> {
        let open = |from_start| KernelLog::open(host, from_start).map_err(io::Error::other);
        let before = Before { end: open(false)?, first_since: None };
        let log = open(true)?;
        // In a container another file may be in its place.
        drop(Readable::of(&log)?);
        let lines = OomLines::default();
        Ok(Self { log, lines, before: Some(before), extent: Extent::new(after) })
    }

    /// Up to [`BATCH_RECORDS`] records; true if those were all.
    fn read(&mut self) -> io::Result<(LogBatch, bool)> {
        let mut batch = LogBatch::default();
        for _ in 0..BATCH_RECORDS {
            match self.log.read().map_err(io::Error::other)? {
                LogRead::Record(bytes) => {
                    // A record without the form is not the kernel's.
                    let Ok(record) = log_record(bytes) else { continue };
                    let kill = self.lines.push(&record);
                    let sequence = record.sequence;
                    let is_cut = self.extent.record(sequence);
                    if !is_cut && kill.is_none() {
                        continue;
                    }
                    let is_old = self.before.as_mut().is_some_and(|before| before.has(sequence));
                    // Overwritten records from before this agent are judged by `extent`.
                    batch.overruns += u64::from(is_cut && !is_old);
                    let is_known = is_old && self.extent.after.is_none_or(|after| sequence <= after);
                    let kill = kill.filter(|_| !is_known);
                    batch.kills.extend(kill.map(|kill| logged(kill, is_old)));
                }
                LogRead::Overrun => self.extent.is_cut = true,
                LogRead::Nothing => {
                    batch.caught_up = self.before.take().map(|_| self.extent.is_whole());
                    batch.last_sequence = self.extent.last;
                    return Ok((batch, true));
                }
            }
        }
        batch.last_sequence = self.extent.last.filter(|_| self.before.is_none());
        Ok((batch, false))
    }
}

/// The log's stamp is of a clock of its own, good enough for kills from before the agent. Later ones have the time of reading.
fn logged(kill: LogKill, is_old: bool) -> OomKill {
    let LogKill { time_usec, victim, path, decision } = kill;
    let time = if is_old { wall_time(Duration::from_micros(time_usec)) } else { SystemTime::now() };
    let source = if is_old { Source::Recovered } else { Source::Kmsg };
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
        extent.is_whole()
    }

    #[test]
    fn a_log_is_whole_when_only_what_is_known_was_overwritten() {
        for (after, read, wanted) in [
            (Some(10), &[Some(0), Some(1), Some(11)][..], true),
            (Some(10), &[Some(11), Some(12)], true),
            (Some(10), &[Some(12), Some(13)], false),
            // While the oldest was read.
            (Some(10), &[None, Some(5), Some(10)], true),
            (Some(10), &[Some(3), None, Some(11), Some(12)], true),
            (Some(10), &[Some(3), None, Some(12)], false),
            (Some(10), &[Some(11), None, Some(40)], false),
            (Some(10), &[Some(0), Some(9)], false),
            (Some(10), &[Some(0), Some(10)], true),
            // No record is wanted.
            (None, &[Some(0), Some(1)], false),
            (Some(10), &[], true),
        ] {
            assert_eq!(is_whole(after, read), wanted, "{after:?} {read:?}");
        }
    }

    #[test]
    fn an_overrun_is_counted_once() {
        let mut extent = Extent::new(Some(0));
        assert!(!extent.record(1));
        extent.is_cut = true;
        assert!(extent.record(9));
        assert!(!extent.record(10));
    }
}
