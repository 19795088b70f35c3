//! Walks of the tree: when, and on which thread.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinHandle;

use crate::files;
use crate::identity::identify;
use crate::model::{CgroupKey, CgroupPath, Hierarchy, Source};
use crate::registry::{FinishedWalk, WalkMark, Walked};

/// The shortest pause between two walks: a flood of losses must not make the agent walk all the time.
const MIN_PAUSE: Duration = Duration::from_millis(200);
/// The pause is at least this many times as long as the last walk: walks cost at most a fifth of a core.
const PAUSE_PER_WALK: u32 = 4;

/// Records that the kernel writes when a walk ends are in the ring after this time.
const IN_FLIGHT: Duration = Duration::from_millis(50);

/// What a walk reads beside the tree.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// Which containers run.
    pub(crate) populated: bool,
    /// How many processes of each cgroup the kernel has killed for memory.
    pub(crate) kills: bool,
}

/// Decides when to walk. The caller starts and applies.
pub(crate) struct Walks {
    hierarchies: Arc<[Hierarchy]>,
    interval: Duration,
    running: Option<JoinHandle<FinishedWalk>>,
    due: Instant,
    not_before: Instant,
}

impl Walks {
    /// A walk every `interval`, the first one now.
    pub(crate) fn new(hierarchies: Arc<[Hierarchy]>, interval: Duration) -> Self {
        let now = Instant::now();
        Self { hierarchies, interval, running: None, due: now, not_before: now }
    }

    /// Records were lost: walk as soon as the pause allows.
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
    /// `source` is that of the changes which the walk finds, `look` what else it reads.
    pub(crate) fn start_if_due(
        &mut self,
        source: Option<Source>,
        look: Look,
        begin: impl FnOnce() -> WalkMark,
    ) {
        if self.running.is_some() || Instant::now() < self.due.max(self.not_before) {
            return;
        }
        let mark = begin();
        let hierarchies = self.hierarchies.clone();
        self.due = Instant::now() + self.interval;
        self.running = Some(tokio::task::spawn_blocking(move || walk_all(mark, &hierarchies, source, look)));
    }

    /// When to start the next one; `None` while one runs.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.running.is_none().then(|| self.due.max(self.not_before))
    }

    /// Waits for the running walk; for ever when none runs. Cancel-safe.
    pub(crate) async fn finished(&mut self) -> Option<FinishedWalk> {
        let Some(task) = &mut self.running else { return std::future::pending().await };
        let done = task.await;
        self.running = None;
        let took = done.as_ref().map_or(Duration::ZERO, |walk| walk.duration);
        self.not_before = Instant::now() + MIN_PAUSE.max(took * PAUSE_PER_WALK);
        if let Err(error) = &done {
            tracing::error!(%error, "a walk of the cgroup tree failed; it is tried again");
            self.want();
        }
        done.ok()
    }
}

fn walk_all(mark: WalkMark, hierarchies: &[Hierarchy], source: Option<Source>, look: Look) -> FinishedWalk {
    let began = Instant::now();
    let (mut complete, mut found) = (Vec::new(), Vec::new());
    for hierarchy in hierarchies {
        let walk = files::walk(hierarchy);
        // A directory that could not be listed hides what is below it; that must not look like a removal.
        if walk.errors.is_empty() {
            complete.push(hierarchy.id);
        }
        for error in &walk.errors {
            tracing::warn!(%error, "a cgroup directory cannot be listed");
        }
        found.extend(walk.cgroups);
    }
    if source.is_some() {
        // A directory can be gone before its record is in the ring: the process that removes it may have to wait for a processor.
        std::thread::sleep(IN_FLIGHT);
    }
    let populated = look.populated.then(|| populated(hierarchies, &found));
    let time = SystemTime::now();
    let kills = if look.kills { kill_counts(hierarchies, &found) } else { HashMap::new() };
    let walked = Walked { time, hierarchies: complete, found, source, populated };
    FinishedWalk { mark, walked, duration: began.elapsed(), kills }
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
