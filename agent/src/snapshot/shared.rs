//! One reading for all who ask at the same time.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinError;

use super::{Collector, NodeSnapshot};

/// Gives out snapshots. Clones share the readings.
#[derive(Clone)]
pub struct Snapshots {
    shared: Arc<Mutex<Shared>>,
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
        Self { shared, min_interval }
    }

    /// The node now. A caller that comes while a reading runs waits for it and shares it.
    ///
    /// # Errors
    /// When the reading thread ended without an answer: a fault of the agent.
    pub async fn get(&self) -> Result<Arc<NodeSnapshot>, JoinError> {
        let (shared, min_interval) = (self.shared.clone(), self.min_interval);
        // Kernel files block; and a client that goes away does not stop a reading that others wait for.
        let task = tokio::task::spawn_blocking(move || {
            let mut shared = shared.lock();
            shared.collector.copy_agent();
            if let Some((taken, last)) = &shared.last
                && taken.elapsed() < min_interval
                && let Some(last) = last.upgrade()
            {
                return last;
            }
            let snapshot = Arc::new(shared.collector.collect());
            shared.last = Some((Instant::now(), Arc::downgrade(&snapshot)));
            tokio::spawn(keep(snapshot.clone(), min_interval));
            snapshot
        });
        task.await
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
        let collector = Collector::new(host, agent, reader, None, CollectOptions::default());
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
