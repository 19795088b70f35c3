//! Walks of the tree: when, and on which thread.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinHandle;

use crate::files;
use crate::identity::identify;
use crate::model::{CgroupKey, CgroupPath, Hierarchy, Source};
use crate::registry::{FinishedWalk, WalkMark, Walked};

/// Not sooner than this after the last one, however much is lost, so that a flood cannot make the agent walk without
/// a pause.
const MIN_PAUSE: Duration = Duration::from_millis(200);
/// Nor sooner than this many times as long as the last one took: a walk costs at most a fifth of a core.
const PAUSE_PER_WALK: u32 = 4;

/// What the kernel has begun to tell when a walk ends is in the ring after this.
const IN_FLIGHT: Duration = Duration::from_millis(50);

/// What a walk looks at beside the tree.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// Which containers run.
    pub(crate) populated: bool,
    /// How many processes of each cgroup the kernel has killed for memory.
    pub(crate) kills: bool,
}

/// What a walk brings back.
struct Found {
    walked: Walked,
    duration: Duration,
    kills: HashMap<CgroupPath, u64>,
}

/// Decides when to walk. The caller starts and applies.
pub(crate) struct Walks {
    hierarchies: Arc<[Hierarchy]>,
    interval: Duration,
    running: Option<(WalkMark, JoinHandle<Found>)>,
    due: Instant,
    not_before: Instant,
}

impl Walks {
    /// A walk every `interval`, the first one now.
    pub(crate) fn new(hierarchies: Arc<[Hierarchy]>, interval: Duration) -> Self {
        let now = Instant::now();
        Self { hierarchies, interval, running: None, due: now, not_before: now }
    }

    /// Something was lost: walk as soon as it is allowed.
    pub(crate) fn want(&mut self) {
        self.due = Instant::now();
    }

    /// The pace when events stop coming.
    pub(crate) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
        self.due = self.due.min(Instant::now() + interval);
    }

    /// Starts a walk if one is due and none runs. `begin` notes its beginning in the registry.
    ///
    /// `tell` is the source under which news is told, `look` what else to look at.
    pub(crate) fn start_if_due(
        &mut self,
        tell: Option<Source>,
        look: Look,
        begin: impl FnOnce() -> WalkMark,
    ) {
        if self.running.is_some() || Instant::now() < self.due.max(self.not_before) {
            return;
        }
        let mark = begin();
        let hierarchies = self.hierarchies.clone();
        self.due = Instant::now() + self.interval;
        self.running = Some((mark, tokio::task::spawn_blocking(move || walk_all(&hierarchies, tell, look))));
    }

    /// When to start the next one; `None` while one runs.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.running.is_none().then(|| self.due.max(self.not_before))
    }

    /// Waits for the running walk; for ever when none runs. Cancel-safe.
    pub(crate) async fn finished(&mut self) -> Option<FinishedWalk> {
        let Some((mark, task)) = &mut self.running else { return std::future::pending().await };
        let (mark, done) = (*mark, task.await);
        self.running = None;
        match done {
            Ok(Found { walked, duration, kills }) => {
                self.not_before = Instant::now() + MIN_PAUSE.max(duration * PAUSE_PER_WALK);
                Some(FinishedWalk { mark, walked, duration, kills })
            }
            Err(error) => {
                tracing::error!(%error, "a walk of the cgroup tree failed; it is tried again");
                self.not_before = Instant::now() + MIN_PAUSE;
                self.want();
                None
            }
        }
    }
}

fn walk_all(hierarchies: &[Hierarchy], tell: Option<Source>, look: Look) -> Found {
    let began = Instant::now();
    let mut walked =
        Walked { time: SystemTime::now(), hierarchies: Vec::new(), found: Vec::new(), tell, populated: None };
    for hierarchy in hierarchies {
        let walk = files::walk(hierarchy);
        // A directory that could not be listed hides what is below it; that must not look like a removal.
        if walk.errors.is_empty() {
            walked.hierarchies.push(hierarchy.id);
        }
        for error in &walk.errors {
            tracing::warn!(%error, "a cgroup directory cannot be listed");
        }
        walked.found.extend(walk.cgroups);
    }
    if tell.is_some() {
        // A directory can be gone before its record is in the ring, for as long as who removes it does not get to run.
        std::thread::sleep(IN_FLIGHT);
    }
    walked.populated = look.populated.then(|| populated(hierarchies, &walked.found));
    walked.time = SystemTime::now();
    let kills = if look.kills { kill_counts(hierarchies, &walked.found) } else { HashMap::new() };
    Found { walked, duration: began.elapsed(), kills }
}

/// The containers that have processes, in them or below.
fn populated(hierarchies: &[Hierarchy], found: &[(CgroupKey, CgroupPath)]) -> HashSet<CgroupPath> {
    let mut populated = HashSet::new();
    for (key, path) in found.iter().filter(|(_, path)| identify(path).is_container()) {
        let hierarchy = hierarchies.iter().find(|hierarchy| hierarchy.id == key.hierarchy);
        if !populated.contains(path) && hierarchy.is_some_and(|one| files::has_processes(&one.dir(path))) {
            populated.insert(path.clone());
        }
    }
    populated
}

/// The counts of all cgroups of the memory hierarchy in which there was a kill.
fn kill_counts(hierarchies: &[Hierarchy], found: &[(CgroupKey, CgroupPath)]) -> HashMap<CgroupPath, u64> {
    let Some(memory) = hierarchies.iter().find(|hierarchy| hierarchy.has("memory")) else {
        return HashMap::new();
    };
    let of_memory = found.iter().filter(|(key, path)| key.hierarchy == memory.id && !path.is_root());
    let count = |path: &CgroupPath| files::kill_count(memory, path).ok().flatten().filter(|kills| *kills > 0);
    of_memory.filter_map(|(_, path)| Some((path.clone(), count(path)?))).collect()
}
