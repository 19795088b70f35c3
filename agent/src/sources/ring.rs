//! Lifecycle events on their way to the registry: from the ring, or from the watched tree.
//!
//! Where the kernel lets no program read a path, it is found here. Under `lockdown=confidentiality` a record tells a
//! directory's id and that of the one above. The path of a directory that is still there is found by its id; this is the
//! one look at a file system on the way of an event, and only this rung takes it. Of a directory that is gone already only
//! the path above is known.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use crate::kernel::{Batch, LifecycleRing, Paths};
use crate::model::{CgroupKey, CgroupPath, LifecycleEvent, LifecycleKind};

/// The kernel tells of a directory before it can be opened: it is there when `mkdir` returns, which is microseconds later
/// unless that process has to wait for a processor.
const PATIENCE: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(1);
/// So many records are held at most; the ring keeps the rest.
const MAX_HELD: usize = 16_384;

use super::tree::TreeFeed;

/// What was heard.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Events in the kernel's order.
    pub(crate) batch: Batch<LifecycleEvent>,
    /// Times that the kernel dropped events on the way, without telling how many.
    pub(crate) overflows: u64,
    /// Directories that were gone before anything but their name could be told.
    pub(crate) unseen: u64,
}

impl From<Batch<LifecycleEvent>> for Heard {
    fn from(batch: Batch<LifecycleEvent>) -> Self {
        Self { batch, overflows: 0, unseen: 0 }
    }
}

/// Where lifecycle events come from.
pub(crate) enum LifecycleFeed {
    /// BPF.
    Ring(Box<RingFeed>),
    /// inotify.
    Tree(TreeFeed),
}

impl LifecycleFeed {
    /// The next events. Cancel-safe.
    ///
    /// # Errors
    /// When the source cannot be waited for or read any more.
    pub(crate) async fn next(&mut self) -> io::Result<Heard> {
        match self {
            Self::Ring(ring) => ring.next().await.map(Heard::from),
            Self::Tree(tree) => tree.next().await,
        }
    }

    /// All that was told before this call, without waiting; empty when that is nothing.
    pub(crate) fn drain(&mut self) -> Heard {
        match self {
            Self::Ring(ring) => ring.drain().into(),
            Self::Tree(tree) => tree.drain(),
        }
    }
}

/// The ring, and what finds the paths that it lacks.
pub(crate) struct RingFeed {
    ring: LifecycleRing,
    paths: Option<Paths>,
    /// Records whose directories cannot be seen yet, and until when they are waited for.
    held: Option<(Batch<LifecycleEvent>, Instant)>,
}

impl RingFeed {
    /// Without `paths` the records are handed on as they are.
    pub(crate) fn new(ring: LifecycleRing, paths: Option<Paths>) -> Self {
        Self { ring, paths, held: None }
    }

    /// The next records, in the kernel's order. Cancel-safe: what is waited for stays here.
    ///
    /// # Errors
    /// When the runtime cannot wait for the ring.
    pub(crate) async fn next(&mut self) -> io::Result<Batch<LifecycleEvent>> {
        let Some(paths) = &self.paths else { return self.ring.next().await };
        loop {
            let (mut batch, until) = match self.held.take() {
                Some(held) => held,
                None => (self.ring.next().await?, Instant::now() + PATIENCE),
            };
            if batch.events.len() < MAX_HELD {
                // A directory that is gone by now is not waited for.
                append(&mut batch, self.ring.more());
            }
            if fill(&mut batch.events, |key| paths.of(key)) == 0 || Instant::now() >= until {
                return Ok(batch);
            }
            self.held = Some((batch, until));
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// All that was told before this call, without waiting; empty when that is nothing.
    pub(crate) fn drain(&mut self) -> Batch<LifecycleEvent> {
        let mut batch = self.ring.drain();
        if let Some((mut held, _)) = self.held.take() {
            append(&mut held, batch);
            batch = held;
        }
        if let Some(paths) = &self.paths {
            fill(&mut batch.events, |key| paths.of(key));
        }
        batch
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
