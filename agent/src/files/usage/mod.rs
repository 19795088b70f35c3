//! What containers have written: their writable layers and their logs.
//!
//! A scrape finds a container's layer once, by one of its processes, and then takes what is known of it. One thread of
//! the lowest priority looks at layers: by project quota where there is one, else by walking, within a budget. It looks
//! only at what a scrape has asked for since it looked last.

mod layer;
mod logs;
mod look;
mod pace;
mod walk;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use self::layer::{Layer, layer};
use self::look::Looker;
use super::{HostRoot, MountTable};
use crate::kernel::go_last;
use crate::model::{Backoff, CgroupPath};

/// Between two attempts to find a container's layer: doubled up to the last.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// How often and how fast layers are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageSettings {
    /// Between two looks at one container.
    pub interval: Duration,
    /// The budget of all walks.
    pub entries_per_second: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The name of the file system that its layer is on.
    pub label: String,
    pub device: (u32, u32),
    pub writable_bytes: u64,
    pub logs_bytes: u64,
    /// Inodes of both.
    pub inodes: u64,
    /// When that was read.
    pub taken: Instant,
}

/// What the thread has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageCounts {
    /// Containers that were looked at by their project quota.
    pub quotas: u64,
    /// Containers that were walked.
    pub walks: u64,
    /// Of the walks, those that left something out.
    pub cut: u64,
    /// Files and directories that were walked over.
    pub entries: u64,
}

/// Knows what containers use.
pub struct UsageReader {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Containers whose layer is not known yet: attempts, and when to try again.
    unknown: HashMap<CgroupPath, (Backoff, Instant)>,
    round: u64,
}

struct Shared {
    settings: UsageSettings,
    host: HostRoot,
    state: Mutex<State>,
    wake: Condvar,
    ended: AtomicBool,
}

#[derive(Default)]
struct State {
    containers: HashMap<CgroupPath, Container>,
    counts: UsageCounts,
}

/// A container whose layer is known.
struct Container {
    id: Arc<str>,
    layer: Arc<Layer>,
    usage: Option<Usage>,
    /// When to look again.
    due: Instant,
    /// A scrape has asked since the last look.
    asked: bool,
    /// The last scrape that knew it.
    round: u64,
}

impl UsageReader {
    /// A reader of containers of that host. No thread is started before there is a container.
    pub fn new(host: HostRoot, settings: UsageSettings) -> Self {
        let shared = Shared {
            settings,
            host,
            state: Mutex::default(),
            wake: Condvar::new(),
            ended: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), thread: None, unknown: HashMap::new(), round: 0 }
    }

    /// What is known of each of these containers (cgroup and id), and of no other from now on. `process` gives a live
    /// process of a container whose layer is not known yet. Waits for nothing.
    pub fn read<'a>(
        &mut self,
        containers: impl Iterator<Item = (&'a CgroupPath, &'a str)>,
        table: &MountTable,
        mut process: impl FnMut(&CgroupPath) -> Option<u32>,
    ) -> HashMap<CgroupPath, Usage> {
        self.round += 1;
        let (round, now) = (self.round, Instant::now());
        let mut found = HashMap::new();
        let mut new = Vec::new();
        let mut still_unknown = HashMap::new();
        let mut state = self.shared.state.lock();
        for (path, id) in containers {
            match state.containers.get_mut(path).filter(|container| *container.id == *id) {
                Some(container) => {
                    (container.round, container.asked) = (round, true);
                    found.extend(container.usage.clone().map(|usage| (path.clone(), usage)));
                }
                None => new.push((path, id)),
            }
        }
        state.containers.retain(|_, container| container.round == round);
        drop(state);
        for (path, id) in new {
            let first = || (Backoff::new(RETRY[0], RETRY[1]), now);
            let (mut backoff, due) = self.unknown.remove(path).unwrap_or_else(first);
            let layer = if due <= now {
                process(path).and_then(|pid| layer(&self.shared.host, table, pid))
            } else {
                None
            };
            if let Some(layer) = layer {
                let (id, layer) = (Arc::from(id), Arc::new(layer));
                let container = Container { id, layer, usage: None, due: now, asked: true, round };
                self.shared.state.lock().containers.insert(path.clone(), container);
            } else {
                let due = if due <= now { now + backoff.pause() } else { due };
                still_unknown.insert(path.clone(), (backoff, due));
            }
        }
        self.unknown = still_unknown;
        self.start();
        found
    }

    /// What the thread has done.
    pub fn counts(&self) -> UsageCounts {
        self.shared.state.lock().counts
    }

    /// Wakes the thread; starts it when there is something to do for the first time.
    fn start(&mut self) {
        if self.shared.state.lock().containers.is_empty() {
            return;
        }
        if self.thread.is_some() {
            self.shared.wake.notify_one();
            return;
        }
        let shared = self.shared.clone();
        match Builder::new().name("cgtap-fs-walk".to_owned()).spawn(move || shared.serve()) {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => tracing::warn!(%error, "no thread to look at what containers write"),
        }
    }
}

impl Drop for UsageReader {
    fn drop(&mut self) {
        // Not joined: a disk that hangs would hold up the end.
        self.shared.ended.store(true, Ordering::Relaxed);
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn serve(&self) {
        if let Err(error) = go_last() {
            tracing::debug!(%error, "walks have the priority of other threads");
        }
        let mut looker = Looker::new(self.host.clone(), self.settings.entries_per_second);
        let mut state = self.state.lock();
        while !self.ended.load(Ordering::Relaxed) {
            let now = Instant::now();
            let asked = state.containers.iter().filter(|(_, container)| container.asked);
            let next = asked.min_by_key(|(_, container)| container.due);
            let Some((path, container)) = next else {
                self.wake.wait(&mut state);
                continue;
            };
            if container.due > now {
                let wait = container.due - now;
                self.wake.wait_for(&mut state, wait);
                continue;
            }
            let (path, id, layer) = (path.clone(), container.id.clone(), container.layer.clone());
            drop(state);
            let usage = looker.look(&id, &layer, &self.ended);
            state = self.state.lock();
            state.counts = looker.counts;
            if let Some(container) = state.containers.get_mut(&path).filter(|found| found.id == id) {
                (container.due, container.asked) = (Instant::now() + self.settings.interval, false);
                // After a failed read the last value stays; its age shows that it is old.
                container.usage = usage.or(container.usage.take());
            }
        }
    }
}

#[cfg(test)]
mod tests;
