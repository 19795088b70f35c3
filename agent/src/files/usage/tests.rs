//! From a container's process to what it uses.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;

use rustix::fs::OFlags;

use super::*;
use crate::files::Filesystems;
use crate::files::fixture::Fixture;
use crate::model::{MetricSets, ProjectUsage};

const ID: &str = "4f1b6a0d9e8c7b6a5f4e3d2c1b0a99887766554433221100ffeeddccbbaa9988";
const LONG: Duration = Duration::from_secs(30);

/// A host with one container, whose layer has a file of 100,000 bytes and whose log one of 5,000.
fn host() -> (Fixture, CgroupPath) {
    let fixture = Fixture::new();
    fixture.file("proc/1/mountinfo", "27 1 254:0 / / rw - ext4 /dev/vda rw\n");
    fixture.file("proc/7/mountinfo", "99 98 0:50 / / rw - overlay overlay rw,upperdir=/layer\n");
    fixture.file("layer/file", vec![1; 100_000]);
    fixture.file(&format!("var/lib/docker/containers/{ID}/{ID}-json.log"), vec![1; 5_000]);
    (fixture, CgroupPath::from_bytes(format!("/docker/{ID}").as_bytes()))
}

fn reader(fixture: &Fixture) -> (UsageReader, Arc<MountTable>) {
    let settings = UsageSettings { interval: Duration::from_millis(1), entries_per_second: 100_000 };
    let table = Filesystems::new(fixture.host(), MetricSets::none()).mounts().unwrap();
    (UsageReader::new(fixture.host(), settings), table)
}

/// Scrapes until the container's usage fits.
fn until(
    reader: &mut UsageReader,
    table: &MountTable,
    path: &CgroupPath,
    fits: impl Fn(&Usage) -> bool,
) -> Usage {
    let deadline = Instant::now() + LONG;
    loop {
        let found = reader.read([(path, ID)].into_iter(), table, |_| Some(7)).remove(path);
        if let Some(usage) = found.as_ref().filter(|usage| fits(usage)) {
            return usage.clone();
        }
        assert!(Instant::now() < deadline, "{found:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_container_is_walked_and_its_layer_outlives_its_process() {
    let (fixture, path) = host();
    let (mut reader, table) = reader(&fixture);
    let first = until(&mut reader, &table, &path, |_| true);
    assert_eq!((first.label.as_str(), first.device), ("/dev/vda", (254, 0)));
    assert!((100_000..200_000).contains(&first.writable_bytes), "{first:?}");
    assert!((5_000..50_000).contains(&first.logs_bytes), "{first:?}");
    assert_eq!(first.inodes, 4);
    std::fs::remove_dir_all(fixture.path("proc/7")).unwrap();
    fixture.file("layer/other", vec![1; 1 << 20]);
    let second = until(&mut reader, &table, &path, |usage| usage.inodes == 5);
    assert!(second.writable_bytes >= first.writable_bytes + (1 << 20));
    assert!(reader.counts().walks >= 2 && reader.counts().cut == 0);
    // What is gone keeps its last values while its cgroup is there.
    std::fs::rename(fixture.path("layer"), fixture.path("gone")).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(until(&mut reader, &table, &path, |_| true).inodes, 5);
    // Without its cgroup nothing is kept.
    assert!(reader.read(std::iter::empty(), &table, |_| None).is_empty());
    assert!(reader.shared.state.lock().containers.is_empty() && reader.unknown.is_empty());
}

#[test]
fn a_project_quota_saves_the_walk_of_the_layer() {
    let (fixture, _) = host();
    let path = PathBuf::from("/layer");
    let layer = Layer { path: path.clone(), label: "/dev/vda".to_owned(), device: (254, 0) };
    let dir = fixture.host().open_with(&path, OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
    let mut looker = Looker::new(fixture.host(), 100_000);
    let quota = Some(ProjectUsage { bytes: 77, inodes: 7 });
    let usage = looker.count(ID, &layer, &dir, quota, &AtomicBool::new(false)).unwrap();
    assert_eq!((usage.writable_bytes, usage.inodes), (77, 9));
    assert!(usage.logs_bytes >= 5_000);
    let counts = looker.counts;
    assert_eq!((counts.quotas, counts.walks), (1, 0));
}

#[test]
fn nothing_is_looked_at_that_no_scrape_asked_for() {
    let (fixture, path) = host();
    let (mut reader, table) = reader(&fixture);
    until(&mut reader, &table, &path, |_| true);
    std::thread::sleep(Duration::from_millis(50));
    let looks = reader.counts().walks;
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(reader.counts().walks, looks);
}

#[test]
fn no_thread_without_a_container_and_attempts_are_spaced() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let (fixture, path) = host();
    let (mut reader, table) = reader(&fixture);
    for _ in 0..100 {
        let found = reader.read([(&path, ID)].into_iter(), &table, |_| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            None
        });
        assert!(found.is_empty());
    }
    assert!(reader.thread.is_none());
    assert_eq!(ASKED.load(Ordering::Relaxed), 1);
}

#[test]
fn a_container_of_the_same_name_is_another_one() {
    let (fixture, path) = host();
    let (mut reader, table) = reader(&fixture);
    until(&mut reader, &table, &path, |_| true);
    fixture.file("second/file", b"");
    fixture.file("proc/8/mountinfo", "99 98 0:50 / / rw - overlay overlay rw,upperdir=/second\n");
    let other = ID.replace('4', "5");
    reader.read([(&path, other.as_str())].into_iter(), &table, |_| Some(8));
    let layer = reader.shared.state.lock().containers.get(&path).map(|found| found.layer.path.clone());
    assert_eq!(layer.as_deref(), Some(Path::new("/second")));
}
