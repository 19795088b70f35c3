//! OOM kills by the cgroups' own counts, where no BPF serves.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use crate::files::{KillCounters, Rise, Woken};
use crate::kernel::Readable;
use crate::model::{CgroupKey, CgroupPath, Decision, OomKill, Source, Victim};

/// v1 wakes before the kill: so long after it the counts are read again.
const LOOKS: [Duration; 4] = [
    Duration::from_millis(2),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(200),
];

/// The counts, and what wakes the agent to read them.
pub(crate) struct CountedKills {
    counters: KillCounters,
    readable: Readable,
    source: Source,
    /// When all counts are to be read again, the last first.
    looks: Vec<Instant>,
    /// Cgroups that are watched since a moment ago: what happened in them before woke nobody.
    fresh: Vec<CgroupPath>,
    /// A cgroup could not be watched, and that was said.
    is_partial: bool,
}

impl CountedKills {
    /// # Errors
    /// When the runtime cannot wait for it.
    pub(crate) fn new(counters: KillCounters, source: Source) -> io::Result<Self> {
        let readable = Readable::of(&counters)?;
        Ok(Self { counters, readable, source, looks: Vec::new(), fresh: Vec::new(), is_partial: false })
    }

    /// A cgroup is there; nothing happens when it is counted already. `is_new`: it was made after the agent began.
    pub(crate) fn add(&mut self, path: &CgroupPath, key: CgroupKey, is_new: bool) {
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

    /// Only these are there, as a walk has found.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&CgroupPath, CgroupKey) -> bool) {
        self.counters.retain(is_there);
    }

    /// A cgroup is gone.
    pub(crate) fn remove(&mut self, path: &CgroupPath) {
        self.counters.remove(path);
    }

    /// Something happened that may not have woken this.
    pub(crate) fn look_soon(&mut self) {
        self.look_at(Duration::ZERO);
    }

    fn look_at(&mut self, after: Duration) {
        let at = Instant::now() + after;
        let place = self.looks.partition_point(|other| *other > at);
        if self.looks.len() < 2 * LOOKS.len() {
            self.looks.insert(place, at);
        }
    }

    /// The next kills, perhaps none. Cancel-safe: it reads only when there is something to read.
    ///
    /// # Errors
    /// When the descriptor cannot be read any more.
    pub(crate) async fn next(&mut self) -> io::Result<Vec<OomKill>> {
        if !self.fresh.is_empty() {
            let paths = std::mem::take(&mut self.fresh);
            return Ok(self.kills(&Woken { paths, all: false }));
        }
        let due = self.looks.last().copied();
        let (woken, is_look) = tokio::select! {
            ready = self.readable.ready() => {
                let mut ready = ready?;
                let woken = self.counters.woken().map_err(io::Error::other)?;
                ready.clear_ready();
                (woken, false)
            }
            () = super::until(due) => {
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

    fn kills(&mut self, woken: &Woken) -> Vec<OomKill> {
        let (now, source) = (SystemTime::now(), self.source);
        let rises = self.counters.rises(woken);
        let times = |rise: Rise| (0..rise.kills).map(move |_| rise.clone());
        rises.into_iter().flat_map(times).map(|rise| kill(rise, source, now)).collect()
    }
}

fn kill(rise: Rise, source: Source, time: SystemTime) -> OomKill {
    OomKill {
        time,
        source,
        cgroup: Some(rise.key),
        path: Some(rise.path),
        victim: Victim::default(),
        decision: Decision::default(),
    }
}
