//! One reading for all who ask at the same time.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::{Collector, LastMemory, NodeSnapshot};

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The reading thread ended without one: a fault of the agent.
    #[error("reading the node failed: {0}")]
    Reader(#[from] tokio::task::JoinError),
}

/// Gives out snapshots. Clones share the readings.
#[derive(Clone)]
pub struct Snapshots {
    shared: Arc<Mutex<Shared>>,
    /// Apart from `shared`, which is locked as long as a reading takes.
    memory: Arc<Mutex<Option<Arc<LastMemory>>>>,
    min_interval: Duration,
}

struct Shared {
    collector: Collector,
    /// Alive for the minimum interval, and while a scrape shows it: a node that is not scraped takes no memory, and
    /// a reading does not stand beside the one before it.
    last: Option<(Instant, Weak<NodeSnapshot>)>,
}

impl Snapshots {
    /// Snapshots that are at most `min_interval` old.
    pub fn new(collector: Collector, min_interval: Duration) -> Self {
        let shared = Arc::new(Mutex::new(Shared { collector, last: None }));
        Self { shared, memory: Arc::default(), min_interval }
    }

    /// The node now. Whoever asks while a reading runs waits for it and shares it.
    ///
    /// # Errors
    /// When the reading thread ended without an answer.
    pub async fn get(&self) -> Result<Arc<NodeSnapshot>, SnapshotError> {
        let (shared, min_interval, memory) = (self.shared.clone(), self.min_interval, self.memory.clone());
        // Kernel files block; and a client that goes away does not stop a reading that others wait for.
        let task = tokio::task::spawn_blocking(move || {
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.collector.copy_agent();
            if let Some((taken, last)) = &shared.last
                && taken.elapsed() < min_interval
                && let Some(last) = last.upgrade()
            {
                return last;
            }
            let snapshot = Arc::new(shared.collector.collect());
            let kept = Arc::new(LastMemory::of(&snapshot));
            *memory.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
            shared.last = Some((Instant::now(), Arc::downgrade(&snapshot)));
            tokio::spawn(keep(snapshot.clone(), min_interval));
            snapshot
        });
        Ok(task.await?)
    }

    /// The memory of each cgroup at the last reading, if there was one.
    pub fn last_memory(&self) -> Option<Arc<LastMemory>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Keeps a snapshot alive for those who ask within the interval.
async fn keep(snapshot: Arc<NodeSnapshot>, interval: Duration) {
    tokio::time::sleep(interval).await;
    drop(snapshot);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EventLog;
    use crate::files::{CgroupReader, HostRoot, ReadSets};
    use crate::registry::Registry;
    use crate::snapshot::{AgentView, CollectOptions};
    use crate::telemetry::Telemetry;

    fn snapshots(min_interval: Duration) -> (Snapshots, Arc<Telemetry>) {
        let host = HostRoot::new(std::path::Path::new("/nowhere"));
        let reader = CgroupReader::new(host.clone(), Arc::new([]), ReadSets::ALL, 0);
        let agent = AgentView::fixture(Registry::new(0), EventLog::new(1));
        let telemetry = agent.telemetry.clone();
        let collector = Collector::new(host, agent, reader, CollectOptions::default());
        (Snapshots::new(collector, min_interval), telemetry)
    }

    #[tokio::test]
    async fn those_who_ask_within_the_interval_share_a_reading() {
        let (snapshots, telemetry) = snapshots(Duration::from_secs(3600));
        let first = Arc::as_ptr(&snapshots.get().await.unwrap());
        for _ in 0..3 {
            assert_eq!(Arc::as_ptr(&snapshots.get().await.unwrap()), first);
        }
        assert_eq!(telemetry.snapshots.get(), 1);
    }

    #[tokio::test]
    async fn a_reading_that_nobody_may_ask_for_is_not_kept() {
        let (snapshots, telemetry) = snapshots(Duration::ZERO);
        let shown = snapshots.get().await.unwrap();
        let kept = Arc::downgrade(&shown);
        drop(shown);
        // Fails by never ending.
        while kept.upgrade().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(snapshots.get().await.unwrap());
        assert_eq!(telemetry.snapshots.get(), 2);
    }
}
