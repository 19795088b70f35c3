//! The node's file systems: which are mounted, how full they are, and what their disks have transferred.

mod mounts;
mod statfs;

pub use mounts::MountTable;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::mounts::{MountWatch, Served};
use self::statfs::{Pool, Space, Target, space};
use super::{FilesError, HostRoot};
use crate::model::{DiskStats, FilesystemStats, MetricSet, MetricSets};
use crate::parse;

/// How long a scrape waits for all of them. An answer is a matter of microseconds, of a network a few milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Threads for disks, and for what is on a network: as many mounts may be dead before others are held up by them.
const THREADS: [usize; 2] = [4, 8];

/// A file system of the node: major and minor number of its device, as mounts have them, and what is known of it.
pub type NodeFilesystem = ((u32, u32), FilesystemStats);

/// Reads the node's file systems.
pub struct Filesystems {
    host: HostRoot,
    sets: MetricSets,
    watch: MountWatch,
    /// For disks and for networks.
    pools: [Pool; 2],
}

impl Filesystems {
    /// Those of that host: how full they are for [`MetricSet::Disk`], what their disks have transferred for
    /// [`MetricSet::DiskIo`]. No thread is started before sizes are first asked for.
    pub fn new(host: HostRoot, sets: MetricSets) -> Self {
        let root = host.clone();
        let ask = Arc::new(move |target: &Target| space(&root, target));
        let pools = THREADS.map(|threads| Pool::new(threads, ask.clone()));
        Self { watch: MountWatch::new(host.clone()), host, sets, pools }
    }

    /// What is mounted now.
    ///
    /// # Errors
    /// When the list of mounts was never readable.
    pub fn mounts(&mut self) -> Result<Arc<MountTable>, FilesError> {
        self.watch.now()
    }

    /// Every file system of the table, with the sizes that arrive within a second.
    ///
    /// # Errors
    /// When the disks' counters cannot be read or understood; they are left out.
    pub fn read(&mut self, table: &MountTable) -> (Vec<NodeFilesystem>, Option<FilesError>) {
        let spaces = if self.sets.has(MetricSet::Disk) { self.spaces(table) } else { HashMap::new() };
        let wanted = self.sets.has(MetricSet::DiskIo);
        let read = wanted.then(|| self.host.parse("/proc/diskstats", parse::diskstats)).transpose();
        let (mut disks, error) =
            read.map_or_else(|error| (Vec::new(), Some(error)), |disks| (disks.unwrap_or_default(), None));
        let found = table.served.iter().map(|served| {
            let space = spaces.get(&served.target.device);
            let disk = disk_of(&self.host, served, &disks).map(|index| disks.swap_remove(index));
            (served.target.device, stats(served, space, disk))
        });
        (found.collect(), error)
    }

    /// Mounts that were asked and have not answered yet.
    pub fn hung(&self) -> u64 {
        self.pools.iter().map(Pool::hung).sum()
    }

    fn spaces(&self, table: &MountTable) -> HashMap<(u32, u32), Space> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        for (pool, network) in self.pools.iter().zip([false, true]) {
            let targets = table.served.iter().filter(|served| served.network == network);
            pool.ask(targets.map(|served| served.target.clone()));
        }
        self.pools.iter().flat_map(|pool| pool.answers(deadline)).collect()
    }
}

fn stats(served: &Served, space: Option<&Space>, disk: Option<DiskStats>) -> FilesystemStats {
    FilesystemStats {
        device: served.label.clone(),
        limit_bytes: space.map(|space| space.size_bytes),
        usage_bytes: space.map(|space| space.size_bytes.saturating_sub(space.free_bytes)),
        inodes_total: space.and_then(|space| space.inodes),
        inodes_free: space.and_then(|space| space.inodes.map(|_| space.inodes_free)),
        written: None,
        disk: disk.map(|disk| DiskStats { name: format!("/dev/{}", disk.name), ..disk }),
    }
}

/// The disk by its number, or by its name where a file system has a number of its own (btrfs).
fn disk_of(host: &HostRoot, served: &Served, disks: &[DiskStats]) -> Option<usize> {
    let by_number = disks.iter().position(|disk| (disk.major, disk.minor) == served.target.device);
    by_number.or_else(|| {
        let source = Path::new(OsStr::from_bytes(&served.source));
        if served.target.device.0 != 0 || !source.starts_with("/dev") {
            return None;
        }
        let link = std::fs::read_link(host.join(source)).ok();
        let name = link.as_deref().unwrap_or(source).file_name()?.as_bytes();
        disks.iter().position(|disk| disk.name.as_bytes() == name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;

    fn read(fixture: &Fixture) -> (Vec<NodeFilesystem>, Option<FilesError>) {
        let mut filesystems = Filesystems::new(fixture.host(), MetricSets::none().with(MetricSet::DiskIo));
        let table = filesystems.mounts().unwrap();
        filesystems.read(&table)
    }

    const LINE: &str = "1 2 3 4 5 6 7 8 9 10 11";

    #[test]
    fn disks_by_number_and_by_name() {
        let fixture = Fixture::new();
        fixture.file(
            "proc/1/mountinfo",
            "27 1 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n28 27 0:40 /@a /a rw - btrfs /dev/mapper/vg-a rw\n\
             29 27 0:41 / /b rw - btrfs /dev/vdb rw\n30 27 0:42 / /c rw - tmpfs vdb rw\n",
        );
        fixture.link("dev/mapper/vg-a", "../dm-3");
        fixture.file(
            "proc/diskstats",
            format!("259 1 nvme0n1p1 {LINE}\n253 3 dm-3 {LINE}\n252 16 vdb {LINE}\n7 0 loop0 {LINE}\n"),
        );
        let (found, error) = read(&fixture);
        assert!(error.is_none());
        let disks: Vec<_> =
            found.iter().map(|(_, stats)| stats.disk.as_ref().map(|d| d.name.as_str())).collect();
        assert_eq!(disks, [Some("/dev/nvme0n1p1"), Some("/dev/dm-3"), Some("/dev/vdb"), None]);
        assert!(found.iter().all(|(_, stats)| stats.limit_bytes.is_none()), "sizes were not asked for");
    }

    #[test]
    fn bad_counters_are_an_error_and_hide_no_file_system() {
        let fixture = Fixture::new();
        fixture.file("proc/1/mountinfo", "27 1 259:1 / / rw - ext4 /dev/sda rw\n");
        fixture.file("proc/diskstats", "x\n");
        let (found, error) = read(&fixture);
        assert_eq!(found.len(), 1);
        assert!(error.unwrap().path.ends_with("proc/diskstats"));
    }

    #[test]
    fn this_host_says_what_statfs_says() {
        let mut filesystems = Filesystems::new(HostRoot::default(), MetricSets::all());
        let table = filesystems.mounts().unwrap();
        let (found, _) = filesystems.read(&table);
        for (device, stats) in &found {
            let Some(limit) = stats.limit_bytes else { continue };
            let served = table.served.iter().find(|s| s.target.device == *device).unwrap();
            let now = rustix::fs::statvfs(&served.target.path).unwrap();
            assert_eq!(limit, now.f_blocks * now.f_frsize, "{served:?}");
        }
        assert_eq!(filesystems.hung(), 0);
    }
}
