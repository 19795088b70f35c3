//! File systems in a snapshot: the node's under the root, what containers write under each of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::CgroupToRead;
use crate::files::{
    CgroupReader, FilesError, Filesystems, HostRoot, NodeFilesystem, Usage, UsageReader, UsageSettings,
};
use crate::model::{
    CgroupPath, CgroupStats, DiskStats, FilesystemStats, IoDeviceStats, MetricSets, WrittenStats,
};
use crate::snapshot::CgroupSample;
use crate::telemetry::{Telemetry, raise};

/// Reads file systems for a [`super::Collector`].
pub struct FilesystemCollector {
    pub(super) node: Filesystems,
    written: Option<UsageReader>,
}

/// The readings, until the samples exist that they belong to.
#[derive(Default)]
pub(super) struct FilesystemReadings {
    node: Vec<NodeFilesystem>,
    written: HashMap<CgroupPath, Usage>,
    pub(super) error: Option<FilesError>,
}

impl FilesystemCollector {
    /// A collector of that host. Without `written` the files of containers are not counted.
    pub fn new(host: &HostRoot, sets: MetricSets, written: Option<UsageSettings>) -> Self {
        Self {
            node: Filesystems::new(host.clone(), sets),
            written: written.map(|settings| UsageReader::new(host.clone(), settings)),
        }
    }

    /// Reads all file systems; waits a second at most for mounts that do not answer.
    pub(super) fn read(&mut self, known: &[CgroupToRead], reader: &mut CgroupReader) -> FilesystemReadings {
        let table = match self.node.mounts() {
            Ok(table) => table,
            Err(error) => return FilesystemReadings { error: Some(error), ..FilesystemReadings::default() },
        };
        let (node, error) = self.node.read(&table);
        let written = self.written.as_mut().map(|written| {
            let containers = known.iter().filter(|cgroup| cgroup.known.identity.is_container());
            let members: HashMap<_, _> = containers.clone().map(|cgroup| (&cgroup.path, cgroup)).collect();
            let named = containers.filter_map(|c| Some((&c.path, c.known.identity.container_id.as_deref()?)));
            written.read(named, &table, |path| {
                let cgroup = members.get(path).filter(|cgroup| cgroup.known.may_run())?;
                reader.first_process(path, &cgroup.known.members)
            })
        });
        FilesystemReadings { node, written: written.unwrap_or_default(), error }
    }

    /// Copies into own metrics what the thread that looks at containers' files has counted.
    pub(super) fn copy_counts(&self, telemetry: &Telemetry) {
        let counts = self.written.as_ref().map(UsageReader::counts).unwrap_or_default();
        raise(&telemetry.container_fs_looks.with_label_values(&["quota"]), counts.quotas);
        raise(&telemetry.container_fs_looks.with_label_values(&["walk"]), counts.walks);
        raise(&telemetry.container_fs_cut_walks, counts.cut);
        raise(&telemetry.container_fs_walked_entries, counts.entries);
    }
}

impl FilesystemReadings {
    /// Puts it into the samples it belongs to.
    pub(super) fn put_into(mut self, samples: &mut [CgroupSample]) {
        let now = Instant::now();
        let sizes: HashMap<_, _> =
            self.node.iter().map(|(device, stats)| (*device, stats.limit_bytes)).collect();
        for sample in samples.iter_mut().filter(|sample| !sample.removed) {
            if sample.path.is_root() && !self.node.is_empty() {
                let node = self.node.drain(..).map(|(_, stats)| stats).collect();
                put_node(&mut sample.stats, node);
            } else if let Some(usage) = self.written.remove(&sample.path) {
                let size = sizes.get(&usage.device).copied().flatten();
                let age = now.saturating_duration_since(usage.taken);
                sample.stats.filesystems = Some(vec![written(usage, size, age)]);
            }
        }
    }
}

fn written(usage: Usage, limit_bytes: Option<u64>, age: Duration) -> FilesystemStats {
    let Usage { label, writable_bytes, logs_bytes, inodes, .. } = usage;
    FilesystemStats {
        device: label,
        limit_bytes,
        usage_bytes: Some(writable_bytes.saturating_add(logs_bytes)),
        inodes_total: Some(inodes),
        inodes_free: None,
        written: Some(WrittenStats { writable_bytes, logs_bytes, age }),
        disk: None,
    }
}

/// Puts the node's file systems into the root. Its disks also fill the root's I/O where the controller lacks them: the
/// controller has no partitions.
fn put_node(stats: &mut CgroupStats, filesystems: Vec<FilesystemStats>) {
    for disk in filesystems.iter().filter_map(|filesystem| filesystem.disk.as_ref()) {
        let devices = stats.io.get_or_insert_default();
        let at = devices.iter().position(|device| is_same(device, disk)).unwrap_or_else(|| {
            devices.push(device_of(disk));
            devices.len() - 1
        });
        if let Some(device) = devices.get_mut(at) {
            device.reads = device.reads.or(Some(disk.reads));
            device.writes = device.writes.or(Some(disk.writes));
        }
    }
    stats.filesystems = Some(filesystems);
}

fn is_same(device: &IoDeviceStats, disk: &DiskStats) -> bool {
    (device.major, device.minor) == (disk.major, disk.minor)
        || device.device.as_ref().is_some_and(|name| *name == disk.name)
}

fn device_of(disk: &DiskStats) -> IoDeviceStats {
    let DiskStats { major, minor, name, .. } = disk;
    IoDeviceStats { major: *major, minor: *minor, device: Some(name.clone()), ..IoDeviceStats::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(minor: u32, name: &str) -> FilesystemStats {
        let disk =
            DiskStats { major: 8, minor, name: name.to_owned(), reads: 5, writes: 6, ..DiskStats::default() };
        FilesystemStats { disk: Some(disk), ..FilesystemStats::default() }
    }

    #[test]
    fn the_controllers_own_counts_come_first_and_no_device_comes_twice() {
        let whole = IoDeviceStats {
            major: 8,
            device: Some("/dev/sda".to_owned()),
            reads: Some(1),
            ..IoDeviceStats::default()
        };
        let mut stats = CgroupStats { io: Some(vec![whole]), ..CgroupStats::default() };
        put_node(&mut stats, vec![disk(0, "/dev/sda"), disk(1, "/dev/sda1")]);
        let found: Vec<_> =
            stats.io.unwrap().into_iter().map(|d| (d.device.unwrap(), d.reads, d.writes)).collect();
        let wanted = [("/dev/sda".to_owned(), Some(1), Some(6)), ("/dev/sda1".to_owned(), Some(5), Some(6))];
        assert_eq!(found, wanted);
        assert_eq!(stats.filesystems.unwrap().len(), 2);
    }

    #[test]
    fn a_container_has_its_layer_and_logs_and_the_size_of_what_they_are_on() {
        let device = (254, 0);
        let usage = Usage {
            label: "/dev/vda".to_owned(),
            device,
            writable_bytes: 4_096,
            logs_bytes: 512,
            inodes: 3,
            taken: Instant::now(),
        };
        let size = FilesystemStats { limit_bytes: Some(1 << 30), ..FilesystemStats::default() };
        let path = CgroupPath::from("/a");
        let found = FilesystemReadings {
            node: vec![(device, size)],
            written: HashMap::from([(path.clone(), usage)]),
            error: None,
        };
        let sample = |path: &str| CgroupSample {
            path: CgroupPath::from(path),
            names: None,
            pod: None,
            unit_description: None,
            identity: std::sync::Arc::default(),
            stats: CgroupStats::default(),
            oom_kills: 0,
            last_seen: std::time::SystemTime::UNIX_EPOCH,
            removed: false,
        };
        let mut samples = [sample("/"), sample("/a"), sample("/b")];
        found.put_into(&mut samples);
        let of = |at: usize| samples[at].stats.filesystems.as_deref();
        assert_eq!(of(0).unwrap().len(), 1);
        assert_eq!(of(2), None);
        let container = &of(1).unwrap()[0];
        assert_eq!((container.limit_bytes, container.usage_bytes), (Some(1 << 30), Some(4_608)));
        assert_eq!((container.inodes_total, container.inodes_free), (Some(3), None));
    }
}
