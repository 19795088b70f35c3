//! Cgroup events by watching the directories, where no BPF serves.

use std::io;
use std::sync::Arc;

use super::cgroups::{CgroupBatch, WatchMissing};
use super::thread::{OnThread, ThreadedSource};
use crate::files::{FilesError, TreeEvents, TreeWatch};
use crate::kernel::Readable;
use crate::model::Hierarchy;

/// The watched directories.
pub(super) struct Tree {
    watch: TreeWatch,
    readable: Readable,
    /// A directory could not be watched: only walks find what happens in it.
    is_partial: bool,
}

impl Tree {
    /// Watches every directory; this must come before the first walk. Starts the thread that follows them.
    ///
    /// # Errors
    /// When directories cannot be watched.
    pub(super) fn start(hierarchies: Arc<[Hierarchy]>) -> io::Result<OnThread<WatchMissing, CgroupBatch>> {
        OnThread::start("cgtap-tree", move || {
            let mut watch = TreeWatch::open(&hierarchies).map_err(io::Error::other)?;
            let found = watch.add_all();
            let readable = Readable::of(&watch)?;
            let mut tree = Self { watch, readable, is_partial: false };
            tree.note(&found.errors);
            Ok(tree)
        })
    }

    fn batch(&mut self, found: TreeEvents) -> CgroupBatch {
        self.note(&found.errors);
        CgroupBatch { events: found.seen, is_partial: self.is_partial, ..CgroupBatch::default() }
    }

    fn note(&mut self, errors: &[FilesError]) {
        if let Some(error) = errors.first().filter(|_| !self.is_partial) {
            self.is_partial = true;
            tracing::warn!(
                %error,
                "not every cgroup can be watched (fs.inotify.max_user_watches?): the others are found by walking"
            );
        }
    }
}

impl ThreadedSource for Tree {
    type Report = CgroupBatch;
    type Request = WatchMissing;

    /// It waits only before the first event is taken.
    async fn next(&mut self) -> io::Result<CgroupBatch> {
        let found = {
            let mut ready = self.readable.ready().await?;
            let found = self.watch.read().map_err(io::Error::other)?;
            ready.clear_ready();
            found
        };
        Ok(self.batch(found))
    }

    async fn drain(&mut self) -> io::Result<CgroupBatch> {
        let found = self.watch.read().map_err(io::Error::other)?;
        Ok(self.batch(found))
    }

    fn serve(&mut self, _request: WatchMissing) -> Option<CgroupBatch> {
        let found = self.watch.add_all();
        Some(self.batch(found))
    }
}
