//! OOM kills by the cgroups' own counts, where no BPF serves.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant, SystemTime};

use super::thread::{OnThread, ThreadedSource};
use super::until;
use crate::files::{KillCounters, Rise, Woken};
use crate::kernel::Readable;
use crate::model::{CgroupKey, CgroupPath, CountRequest, Decision, OomKill, Source, Victim};

/// v1 wakes the thread before the kill: it reads the counts again after each of these times.
const LOOKS: [Duration; 4] = [
    Duration::from_millis(2),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(200),
];

/// The thread that follows the counts.
pub(crate) type CountSource = OnThread<CountRequest, Vec<OomKill>>;

/// The counts, and what wakes the thread to read them.
pub(super) struct Counts {
    counters: KillCounters,
    readable: Readable,
    source: Source,
    /// When all counts are to be read again, the last first.
    looks: Vec<Instant>,
    /// Cgroups whose watch is new: kills from before it did not wake the thread.
    fresh: Vec<CgroupPath>,
    /// Cgroups that could not be watched. Their kills are given up or found in the kernel log.
    unwatched: HashSet<CgroupKey>,
}

impl Counts {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the thread cannot be started, or cannot wait.
    pub(super) fn start(counters: KillCounters, source: Source) -> io::Result<CountSource> {
        OnThread::start("cgtap-counts", move || Self::new(counters, source))
    }

    fn new(counters: KillCounters, source: Source) -> io::Result<Self> {
        let readable = Readable::of(&counters)?;
        let (looks, fresh, unwatched) = (Vec::new(), Vec::new(), HashSet::new());
        Ok(Self { counters, readable, source, looks, fresh, unwatched })
    }

    /// `known`: so many of its kills count no more; without it none of those until now.
    fn add(&mut self, path: &CgroupPath, key: CgroupKey, known: Option<u64>) {
        if self.counters.has(path, key) {
            return;
        }
        let known = known.filter(|_| !self.unwatched.contains(&key));
        match self.counters.add(path, key, known) {
            Ok(()) => self.fresh.extend(known.map(|_| path.clone())),
            Err(error) => {
                // Each walk tries again, so one line is enough.
                if self.unwatched.is_empty() {
                    tracing::warn!(%error, "OOM kills of some cgroups are not counted");
                }
                self.unwatched.insert(key);
            }
        }
    }

    /// Follows these cgroups and no others. A renamed one goes on with its count.
    fn follow(&mut self, cgroups: Vec<(CgroupPath, CgroupKey)>, are_new: bool) {
        let there: HashMap<CgroupPath, CgroupKey> = cgroups.into_iter().collect();
        let before = self.counters.retain(|path, key| there.get(path) == Some(&key));
        for (path, key) in &there {
            self.add(path, *key, before.get(key).copied().or(are_new.then_some(0)));
        }
        let keys: HashSet<&CgroupKey> = there.values().collect();
        self.unwatched.retain(|key| keys.contains(key));
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

impl ThreadedSource for Counts {
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

    async fn drain(&mut self) -> io::Result<Vec<OomKill>> {
        Ok(self.fresh())
    }

    fn serve(&mut self, request: CountRequest) -> Option<Vec<OomKill>> {
        match request {
            CountRequest::Watch(path, key) => self.add(&path, key, Some(0)),
            CountRequest::Forget(path) => self.counters.remove(&path),
            CountRequest::WatchAll { cgroups, is_new } => self.follow(cgroups, is_new),
            CountRequest::LookSoon => self.look_at(Duration::ZERO),
        }
        None
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CgroupVersion, Hierarchy, HierarchyId};

    /// On an ordinary file system.
    #[tokio::test]
    async fn a_kill_is_not_reported_again_when_its_cgroup_is_renamed_or_watched_late() {
        let folder = tempfile::tempdir().unwrap();
        let dir = |name: &str| folder.path().join(name);
        let write = |name: &str, kills: u64| {
            std::fs::create_dir_all(dir(name)).unwrap();
            std::fs::write(dir(name).join("memory.events.local"), format!("oom_kill {kills}\n")).unwrap();
        };
        let hierarchy = Hierarchy {
            id: HierarchyId::V2,
            version: CgroupVersion::V2,
            controllers: vec!["memory".to_owned()],
            mount: folder.path().to_owned(),
        };
        let counters = KillCounters::open(&[hierarchy], CgroupVersion::V2).unwrap();
        let mut counts = Counts::new(counters, Source::MemoryEvents).unwrap();
        let cgroup = |name: &str, id| {
            (CgroupPath::from(format!("/{name}").as_str()), CgroupKey { hierarchy: HierarchyId::V2, id })
        };
        let follow = |names: [&str; 2]| CountRequest::WatchAll {
            cgroups: names.into_iter().zip(1..).map(|(name, id)| cgroup(name, id)).collect(),
            is_new: true,
        };
        write("old", 3);
        // No directory yet: it cannot be watched.
        std::fs::write(dir("late"), "").unwrap();
        counts.serve(follow(["old", "late"]));
        assert_eq!(counts.drain().await.unwrap().len(), 3);
        std::fs::rename(dir("old"), dir("new")).unwrap();
        write("new", 4);
        std::fs::remove_file(dir("late")).unwrap();
        write("late", 2);
        counts.serve(follow(["new", "late"]));
        let paths: Vec<_> = counts.drain().await.unwrap().into_iter().map(|kill| kill.path).collect();
        assert_eq!(paths, [Some(CgroupPath::from("/new"))]);
    }
}
