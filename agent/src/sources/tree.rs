//! Lifecycle events by watching the directories, where no BPF serves.

use std::io;
use std::time::SystemTime;

use super::ring::Heard;
use crate::files::{FilesError, TreeEvent, TreeEvents, TreeWatch};
use crate::kernel::{Batch, Readable};
use crate::model::{Hierarchy, LifecycleEvent, Source};

/// The watched tree.
pub(crate) struct TreeFeed {
    watch: TreeWatch,
    readable: Readable,
    /// A directory could not be watched: only walks tell what is below it.
    is_partial: bool,
}

impl TreeFeed {
    /// Watches every directory. Must come before the first walk, and be called inside a tokio runtime.
    ///
    /// # Errors
    /// When directories cannot be watched.
    pub(crate) fn open(hierarchies: &[Hierarchy]) -> Result<Self, String> {
        let mut watch = TreeWatch::open(hierarchies).map_err(|error| error.to_string())?;
        let found = watch.add_all();
        let readable = Readable::of(&watch).map_err(|error| error.to_string())?;
        let mut feed = Self { watch, readable, is_partial: false };
        feed.note(&found.errors);
        Ok(feed)
    }

    /// Whether walks must come as often as if nothing were watched.
    pub(crate) fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// The next events. Cancel-safe: it waits only before the first is taken.
    ///
    /// # Errors
    /// When inotify cannot be read any more.
    pub(crate) async fn next(&mut self) -> io::Result<Heard> {
        let found = {
            let mut ready = self.readable.ready().await?;
            let found = self.watch.read().map_err(io::Error::other)?;
            ready.clear_ready();
            found
        };
        Ok(self.heard(found))
    }

    /// What is there now, without waiting.
    pub(crate) fn drain(&mut self) -> Heard {
        let found = self.watch.read().unwrap_or_default();
        self.heard(found)
    }

    /// Watches what a walk may have found and nobody told of.
    pub(crate) fn watch_missing(&mut self) -> Heard {
        let found = self.watch.add_all();
        self.heard(found)
    }

    fn heard(&mut self, found: TreeEvents) -> Heard {
        self.note(&found.errors);
        let time = SystemTime::now();
        let events = found.events.into_iter().map(|event| lifecycle(event, time)).collect();
        Heard {
            batch: Batch { events, missing: 0, broken: Vec::new() },
            overflows: found.overflows,
            unseen: found.unseen,
        }
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

fn lifecycle(event: TreeEvent, time: SystemTime) -> LifecycleEvent {
    let level = u32::try_from(event.path.components().count()).unwrap_or(u32::MAX);
    LifecycleEvent {
        time,
        source: Source::Inotify,
        key: event.key,
        parent: None,
        level,
        path: event.path,
        path_cut: false,
        kind: event.kind,
    }
}
