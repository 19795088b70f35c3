//! The ring of cgroup events under lockdown: its records have ids, and their paths are looked up here.
//!
//! Under `lockdown=confidentiality` a record has the id of a directory and of the one above. The path of a directory that
//! exists still is found by its id. Of a directory that is gone already only the path above is known.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use super::cgroups::{CgroupBatch, WatchMissing};
use super::thread::{OnThread, ThreadedSource};
use crate::kernel::{Batch, LifecycleRing, Paths};
use crate::model::{CgroupKey, CgroupPath, LifecycleEvent, LifecycleKind};

/// The kernel reports a directory before it can be opened: it exists when `mkdir` returns, which is microseconds later unless
/// that process has to wait for a processor.
const PATIENCE: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(1);
/// Records that are held at most; the ring keeps the rest.
const MAX_HELD: usize = 16_384;

/// The ring, and what finds the paths that it lacks.
pub(super) struct RingWithPaths {
    ring: LifecycleRing,
    paths: Paths,
    /// Records whose directories cannot be seen yet, and until when they wait.
    held: Option<(Batch<LifecycleEvent>, Instant)>,
}

impl RingWithPaths {
    /// Starts the thread that reads the ring.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(
        ring: LifecycleRing,
        paths: Paths,
    ) -> io::Result<OnThread<WatchMissing, CgroupBatch>> {
        OnThread::start("cgtap-paths", move || Ok(Self { ring: ring.reregister()?, paths, held: None }))
    }
}

impl RingWithPaths {
    fn hold(&mut self, more: Batch<LifecycleEvent>) {
        match &mut self.held {
            Some((batch, _)) => append(batch, more),
            None => self.held = Some((more, Instant::now() + PATIENCE)),
        }
    }

    /// What is held, when no path is lacking or it has waited.
    fn take_held(&mut self) -> Option<CgroupBatch> {
        let (batch, until) = self.held.as_mut()?;
        let lacking = fill(&mut batch.events, |key| self.paths.of(key));
        let is_due = lacking == 0 || Instant::now() >= *until;
        self.held.take_if(|_| is_due).map(|(batch, _)| batch.into())
    }
}

impl ThreadedSource for RingWithPaths {
    type Report = CgroupBatch;
    type Request = WatchMissing;

    /// What is waited for stays here when this is cancelled.
    async fn next(&mut self) -> io::Result<CgroupBatch> {
        if self.held.is_none() {
            let first = self.ring.next().await?;
            self.hold(first);
        }
        loop {
            if self.held.as_ref().is_some_and(|(batch, _)| batch.events.len() < MAX_HELD) {
                // A directory that is gone by now is not waited for.
                let more = self.ring.more();
                self.hold(more);
            }
            if let Some(batch) = self.take_held() {
                return Ok(batch);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn drain(&mut self) -> io::Result<CgroupBatch> {
        let last = self.ring.drain();
        self.hold(last);
        if let Some((_, until)) = &mut self.held {
            *until = Instant::now() + PATIENCE;
        }
        loop {
            if let Some(batch) = self.take_held() {
                return Ok(batch);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn append(batch: &mut Batch<LifecycleEvent>, more: Batch<LifecycleEvent>) {
    batch.events.extend(more.events);
    batch.missing += more.missing;
    batch.broken.extend(more.broken);
}

/// Finds the paths that are lacking; how many are still to come.
fn fill<F>(events: &mut [LifecycleEvent], find: F) -> usize
where
    F: Fn(CgroupKey) -> Option<CgroupPath>,
{
    let gone: HashSet<CgroupKey> =
        events.iter().filter(|event| event.kind == LifecycleKind::Removed).map(|event| event.key).collect();
    let mut lacking = 0;
    for event in events.iter_mut() {
        let named = matches!(event.kind, LifecycleKind::Created | LifecycleKind::Renamed);
        if !named || event.parent.is_none() || gone.contains(&event.key) {
            continue;
        }
        match find(event.key) {
            Some(path) => (event.path, event.path_cut, event.parent) = (path, false, None),
            None => lacking += 1,
        }
    }
    lacking
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::model::{HierarchyId, Source};

    fn key(id: u64) -> CgroupKey {
        CgroupKey { hierarchy: HierarchyId::V2, id }
    }

    fn event(id: u64, kind: LifecycleKind) -> LifecycleEvent {
        LifecycleEvent {
            time: UNIX_EPOCH,
            source: Source::TpBtf,
            key: key(id),
            parent: Some(key(1)),
            level: 1,
            path: CgroupPath::root(),
            path_cut: true,
            kind,
        }
    }

    #[test]
    fn only_what_is_there_gets_its_path() {
        use LifecycleKind::{Created, Populated, Removed};
        let mut events = [
            event(5, Created),
            event(6, Created),
            event(5, Removed),
            event(7, Created),
            event(7, Populated(true)),
        ];
        let find = |of: CgroupKey| (of.id != 7).then(|| CgroupPath::from("/found"));
        assert_eq!(fill(&mut events, find), 1, "the one that cannot be seen yet");
        let paths: Vec<(bool, &[u8])> =
            events.iter().map(|event| (event.path_cut, event.path.as_bytes())).collect();
        let unknown = (true, b"/".as_slice());
        assert_eq!(paths, [unknown, (false, b"/found"), unknown, unknown, unknown]);
        assert_eq!(fill(&mut events, |_| Some(CgroupPath::from("/late"))), 0);
        assert_eq!(events[3].path, CgroupPath::from("/late"));
    }
}
