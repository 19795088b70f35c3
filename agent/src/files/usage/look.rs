//! One look at what a container uses: its layer by project quota or by walking, its logs by walking.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use rustix::fs::{FileType, OFlags, fstat};

use super::layer::Layer;
use super::logs::Logs;
use super::pace::Pace;
use super::walk::{DiskWalk, Ended};
use super::{Usage, UsageCounts};
use crate::files::HostRoot;
use crate::kernel::project_usage;
use crate::model::ProjectUsage;

/// What the thread keeps between two looks.
pub(super) struct Looker {
    host: HostRoot,
    logs: Logs,
    pace: Pace,
    pub(super) counts: UsageCounts,
}

impl Looker {
    pub(super) fn new(host: HostRoot, entries_per_second: u32) -> Self {
        let (logs, pace) = (Logs::new(host.clone()), Pace::new(entries_per_second));
        Self { host, logs, pace, counts: UsageCounts::default() }
    }

    /// What a container uses now; `None` when its layer cannot be opened (it may be gone) or the agent ends.
    pub(super) fn look(&mut self, id: &str, layer: &Layer, ended: &AtomicBool) -> Option<Usage> {
        let dir = self.host.open_with(&layer.path, OFlags::RDONLY | OFlags::DIRECTORY).ok()?;
        let quota = project_usage(dir.as_fd(), &self.host.join(&layer.label));
        self.count(id, layer, &dir, quota, ended)
    }

    /// Counts the open layer, by its project quota where there is one, and the logs.
    pub(super) fn count(
        &mut self,
        id: &str,
        layer: &Layer,
        dir: &OwnedFd,
        quota: Option<ProjectUsage>,
        ended: &AtomicBool,
    ) -> Option<Usage> {
        let places = self.logs.of(id, &layer.path);
        let mut step = || self.pace.step(ended);
        let mut walk = DiskWalk::new(&mut step);
        if quota.is_none() {
            walk.directory(dir).ok()?;
        }
        let walked = walk.sum;
        for place in places {
            logs(&self.host, &place, &mut walk).ok()?;
        }
        let all = walk.sum;
        self.counts.quotas += u64::from(quota.is_some());
        self.counts.walks += u64::from(quota.is_none());
        self.counts.cut += u64::from(all.cut);
        self.counts.entries = self.pace.total;
        Some(Usage {
            label: layer.label.clone(),
            device: layer.device,
            writable_bytes: quota.map_or(walked.bytes, |quota| quota.bytes),
            logs_bytes: all.bytes - walked.bytes,
            inodes: all.inodes + quota.map_or(0, |quota| quota.inodes),
            taken: Instant::now(),
        })
    }
}

/// Counts a log or a directory of logs, if it is there.
fn logs(host: &HostRoot, place: &Path, walk: &mut DiskWalk<'_>) -> Result<(), Ended> {
    // Not opened for reading, as a name may be a pipe's.
    let Ok(found) = host.open_with(place, OFlags::PATH | OFlags::NOFOLLOW) else { return Ok(()) };
    let Ok(stat) = fstat(&found) else { return Ok(()) };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => walk.directory(&found)?,
        FileType::RegularFile => walk.file(&stat),
        _ => {}
    }
    Ok(())
}
