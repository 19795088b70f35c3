//! OOM kills by the cgroups' own counts, where no BPF serves.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use super::thread::{OnThread, Source};
use super::until;
use crate::files::{KillCounters, Rise, Woken};
use crate::kernel::Readable;
use crate::model::{self, CgroupKey, CgroupPath, Decision, OomKill, Victim};

/// v1 wakes before the kill: the counts are read again this long after it.
const LOOKS: [Duration; 4] = [
    Duration::from_millis(2),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(200),
];

/// What the thread that follows the counts can be asked.
#[derive(Debug)]
pub(crate) enum CountRequest {
    /// A cgroup was made.
    Watch(CgroupPath, CgroupKey),
    /// A cgroup is gone.
    Forget(CgroupPath),
    /// These exist, and no others. `is_new`: those that are not followed yet were made after the agent began.
    WatchAll { cgroups: Vec<(CgroupPath, CgroupKey)>, is_new: bool },
    /// Something happened that may not have woken the thread.
    LookSoon,
}

/// The thread that follows the counts.
pub(crate) type CountSource = OnThread<CountRequest, Vec<OomKill>>;

/// The counts, and what wakes the thread to read them.
pub(super) struct Counts {
    counters: KillCounters,
    readable: Readable,
    source: model::Source,
    /// When all counts are to be read again, the last first.
    looks: Vec<Instant>,
    /// Cgroups that are watched since a moment ago: what happened in them before woke nobody.
    fresh: Vec<CgroupPath>,
    /// A cgroup could not be watched, and that was logged.
    is_partial: bool,
}

impl Counts {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the thread cannot be started, or cannot wait.
    pub(super) fn start(counters: KillCounters, source: model::Source) -> io::Result<CountSource> {
        OnThread::start("cgtap-counts", move || {
            let readable = Readable::of(&counters)?;
            Ok(Self { counters, readable, source, looks: Vec::new(), fresh: Vec::new(), is_partial: false })
        })
    }

    fn add(&mut self, path: &CgroupPath, key: CgroupKey, is_new: bool) {
        if self.counters.has(path, key) {
            return;
        }
        match self.counters.add(path, key, is_new) {
            Ok(()) if is_new => self.fresh.push(path.clone()),
            Ok(()) => {}
            // Each walk tries again, so once is enough.
            Err(error) if !self.is_partial => {
                self.is_partial = true;
                tracing::warn!(%error, "OOM kills of some cgroups are not counted");
            }
            Err(_) => {}
        }
    }

    fn look_at(&mut self, after: Duration) {
        let at = Instant::now() + after;
        let place = self.looks.partition_point(|other| *other > at);
        if self.looks.len() < 2 * LOOKS.len() {
            self.looks.insert(place, at);
        }
    }

    fn fresh(&mut self) -> Vec<OomKill> {
        let paths = std::mem::take(&mut self.fresh);
        self.kills(&Woken { paths, all: false })
    }

    fn kills(&mut self, woken: &Woken) -> Vec<OomKill> {
        let (now, source) = (SystemTime::now(), self.source);
        let rises = self.counters.rises(woken);
        let times = |rise: Rise| (0..rise.kills).map(move |_| rise.clone());
        rises.into_iter().flat_map(times).map(|rise| kill(rise, source, now)).collect()
    }
}

impl Source for Counts {
    type Report = Vec<OomKill>;
    type Request = CountRequest;

    /// It reads only when there is something to read.
    async fn next(&mut self) -> io::Result<Vec<OomKill>> {
        if !self.fresh.is_empty() {
            return Ok(self.fresh());
        }
        let due = self.looks.last().copied();
        let (woken, is_look) = tokio::select! {
            ready = self.readable.ready() => {
                let mut ready = ready?;
                let woken = self.counters.woken().map_err(io::Error::other)?;
                ready.clear_ready();
                (woken, false)
            }
            () = until(due) => {
                self.looks.pop();
                (Woken { paths: Vec::new(), all: true }, true)
            }
        };
        if !is_look && woken.all && self.counters.wakes_early() {
            for after in LOOKS {
                self.look_at(after);
            }
        }
        Ok(self.kills(&woken))
    }

    fn drain(&mut self) -> io::Result<Vec<OomKill>> {
        Ok(self.fresh())
    }

    fn serve(&mut self, request: CountRequest) -> Option<Vec<OomKill>> {
        match request {
            CountRequest::Watch(path, key) => self.add(&path, key, true),
            CountRequest::Forget(path) => self.counters.remove(&path),
            CountRequest::WatchAll { cgroups, is_new } => {
                let there: HashMap<CgroupPath, CgroupKey> = cgroups.into_iter().collect();
                self.counters.retain(|path, key| there.get(path) == Some(&key));
                for (path, key) in &there {
                    self.add(path, *key, is_new);
                }
            }
            CountRequest::LookSoon => self.look_at(Duration::ZERO),
        }
        None
    }
}

fn kill(rise: Rise, source: model::Source, time: SystemTime) -> OomKill {
    OomKill {
        time,
        source,
        cgroup: Some(rise.key),
        path: Some(rise.path),
        victim: Victim::default(),
        decision: Decision::default(),
    }
}
