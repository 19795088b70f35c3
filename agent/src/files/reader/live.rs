//! The reader on this kernel's own cgroups. Needs root and a v1 memory hierarchy or v2 with the memory controller.

use std::path::PathBuf;

use super::*;
use crate::files::fixture::key_of;
use crate::files::{hierarchies, walk};
use crate::model::{Limit, MemoryStats};

/// A cgroup for one test, removed with the value.
struct Made {
    hierarchies: Arc<[Hierarchy]>,
    place: usize,
    path: CgroupPath,
}

impl Made {
    /// `None`, with the reason on its own line, where no cgroup can be made.
    fn new(name: &str) -> Option<Self> {
        let made = || -> Result<Self, String> {
            let hierarchies: Arc<[Hierarchy]> =
                hierarchies(&HostRoot::default()).map_err(|error| error.to_string())?.into();
            let place = hierarchies.iter().position(|h| h.has("memory")).ok_or("no memory hierarchy")?;
            let path = CgroupPath::from(format!("/cgtap-test-{}-{name}", std::process::id()).as_str());
            let made = Self { hierarchies, place, path };
            std::fs::create_dir(made.dir()).map_err(|error| format!("{}: {error}", made.dir().display()))?;
            Ok(made)
        };
        made().map_err(|why| println!("skipped: {why}")).ok()
    }

    fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchies[self.place]
    }

    fn dir(&self) -> PathBuf {
        self.hierarchy().dir(&self.path)
    }

    fn key(&self) -> CgroupKey {
        key_of(self.hierarchy(), &self.path)
    }

    fn reader(&self, max_open_files: usize) -> CgroupReader {
        CgroupReader::new(HostRoot::default(), self.hierarchies.clone(), ReadSets::ALL, max_open_files)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(self.dir());
    }
}

#[test]
fn a_removed_cgroup_vanishes_whole_and_its_successor_is_another() {
    for budget in [0, 100] {
        let Some(made) = Made::new(&format!("vanish{budget}")) else { return };
        let mut reader = made.reader(budget);
        let old = [made.key()];
        let reading = reader.read(&made.path, &old).unwrap();
        assert!(reading.errors.is_empty(), "{:?}", reading.errors);
        assert!(reading.stats.memory.unwrap().usage_bytes.is_some());
        assert_eq!(reader.open_files() > 0, budget > 0);
        std::fs::remove_dir(made.dir()).unwrap();
        assert_eq!(reader.read(&made.path, &old).unwrap_err(), Vanished);
        assert_eq!(reader.open_files(), 0);
        std::fs::create_dir(made.dir()).unwrap();
        let new = [made.key()];
        assert_ne!(old, new);
        assert_eq!(reader.read(&made.path, &old).unwrap_err(), Vanished);
        assert!(reader.read(&made.path, &new).unwrap().stats.memory.is_some());
        std::fs::remove_dir(made.dir()).unwrap();
        std::fs::create_dir(made.dir()).unwrap();
        assert!(
            reader.read(&made.path, &[made.key()]).unwrap().stats.memory.is_some(),
            "in place of a kept one"
        );
    }
}

/// Which values are there: the same for every whole reading of a cgroup on one host.
fn shape(memory: &MemoryStats) -> [bool; 8] {
    [
        memory.usage_bytes.is_some(),
        memory.stat.hierarchical_pgfault.is_some(),
        memory.peak_bytes.is_some(),
        memory.failcnt.is_some(),
        memory.kernel_bytes.is_some(),
        memory.events.oom_kill.is_some(),
        memory.limit.is_some(),
        memory.reservation.is_some(),
    ]
}

#[test]
fn a_reading_is_whole_or_not_at_all_while_the_cgroup_comes_and_goes() {
    let Some(made) = Made::new("race") else { return };
    let whole = shape(&made.reader(0).read(&made.path, &[made.key()]).unwrap().stats.memory.unwrap());
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (mut read, mut vanished) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = std::fs::remove_dir(made.dir());
                let _ = std::fs::create_dir(made.dir());
            }
        });
        let mut readers = [made.reader(0), made.reader(4), made.reader(100)];
        for attempt in 0..200_000 {
            let Ok(found) = std::fs::metadata(made.dir()) else { continue };
            let key =
                CgroupKey { hierarchy: made.hierarchy().id, id: std::os::unix::fs::MetadataExt::ino(&found) };
            match readers[attempt % 3].read(&made.path, &[key]) {
                Ok(reading) if shape(&reading.stats.memory.clone().unwrap_or_default()) == whole => read += 1,
                Ok(reading) => {
                    stop.store(true, std::sync::atomic::Ordering::Relaxed);
                    panic!("a part was read: {reading:?}");
                }
                Err(Vanished) => vanished += 1,
            }
            if read > 50 && vanished > 50 {
                break;
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    println!("{read} whole, {vanished} vanished");
    assert!(read > 0 && vanished > 0, "{read} whole, {vanished} vanished: nothing was compared");
}

#[test]
fn the_walk_finds_a_cgroup_with_its_id() {
    let Some(made) = Made::new("walk") else { return };
    let found = walk(made.hierarchy());
    assert!(found.errors.is_empty(), "{:?}", found.errors);
    assert!(found.cgroups.contains(&(made.key(), made.path.clone())));
    assert_eq!(found.cgroups[0], (key_of(made.hierarchy(), &CgroupPath::root()), CgroupPath::root()));
}

#[test]
fn a_counter_lies_between_two_readings_of_its_file() {
    let Some(made) = Made::new("between") else { return };
    let mut reader = made.reader(100);
    let root = CgroupPath::root();
    let key = [key_of(made.hierarchy(), &root)];
    let key_name = if made.hierarchy().id == HierarchyId::V2 { "pgfault " } else { "total_pgfault " };
    let printed = || {
        let text = std::fs::read_to_string(made.hierarchy().mount.join("memory.stat")).unwrap();
        text.lines().find_map(|line| line.strip_prefix(key_name)).unwrap().parse::<u64>().unwrap()
    };
    for pass in 0..3 {
        let before = printed();
        let read = reader.read(&root, &key).unwrap().stats.memory.unwrap().stat.hierarchical_pgfault.unwrap();
        let after = printed();
        assert!(before > 0 && before <= read && read <= after, "pass {pass}: {before} {read} {after}");
    }
}

/// The sum of v1's counters of each CPU, taken for `cpuacct.usage`.
#[test]
fn processor_time_lies_between_two_readings_of_its_file() {
    let Some(made) = Made::new("usage") else { return };
    let v1 = made.hierarchies.iter().find(|h| h.id != HierarchyId::V2 && h.has("cpuacct"));
    let Some(cpuacct) = v1 else { return println!("skipped: no v1 cpuacct hierarchy") };
    let mut reader = made.reader(100);
    let (root, key) = (CgroupPath::root(), [key_of(cpuacct, &CgroupPath::root())]);
    let file = cpuacct.mount.join("cpuacct.usage");
    let printed = || std::fs::read_to_string(&file).unwrap().trim_end().parse::<u64>().unwrap();
    for pass in 0..3 {
        let before = printed();
        let cpu = reader.read(&root, &key).unwrap().stats.cpu.unwrap();
        let (read, after) = (cpu.usage_nsec.unwrap(), printed());
        assert!(before > 0 && before <= read && read <= after, "pass {pass}: {before} {read} {after}");
        assert_eq!(cpu.per_cpu_nsec.unwrap().iter().sum::<u64>(), read);
    }
}

/// `hierarchical_memory_limit`, from which a missing limit is concluded.
#[test]
fn limits_are_those_of_their_files() {
    let Some(made) = Made::new("limits") else { return };
    if made.hierarchy().id == HierarchyId::V2 {
        return println!("skipped: no v1 memory hierarchy");
    }
    let child = made.path.join(b"child");
    let child_dir = made.hierarchy().dir(&child);
    std::fs::create_dir(&child_dir).unwrap();
    let mut reader = made.reader(100);
    let mut limit = |dir: &std::path::Path, path: &CgroupPath| {
        let found = reader.read(path, &[key_of(made.hierarchy(), path)]).unwrap().stats.memory.unwrap();
        let text = std::fs::read(dir.join("memory.limit_in_bytes")).unwrap();
        assert_eq!(found.limit, crate::parse::limit_v1(&text).ok());
        found.limit
    };
    let mut found = Vec::new();
    for (own, of_child) in [("-1", "-1"), ("64M", "-1"), ("64M", "32M"), ("64M", "-1"), ("-1", "-1")] {
        std::fs::write(child_dir.join("memory.limit_in_bytes"), of_child).unwrap();
        std::fs::write(made.dir().join("memory.limit_in_bytes"), own).unwrap();
        found.push([limit(&made.dir(), &made.path), limit(&child_dir, &child)]);
    }
    std::fs::remove_dir(child_dir).unwrap();
    let (none, mib) = (Some(Limit::Max), |mib: u64| Some(Limit::Value(mib << 20)));
    assert_eq!(found, [[none, none], [mib(64), none], [mib(64), mib(32)], [mib(64), none], [none, none]]);
}

#[test]
fn the_root_is_read_without_errors() {
    let Some(made) = Made::new("root") else { return };
    let root = CgroupPath::root();
    let keys: Vec<_> = made.hierarchies.iter().map(|hierarchy| key_of(hierarchy, &root)).collect();
    let reading = made.reader(100).read(&root, &keys).unwrap();
    assert!(reading.errors.is_empty(), "{:?}", reading.errors);
    let (cpu, memory) = (reading.stats.cpu.unwrap(), reading.stats.memory.unwrap());
    assert!(cpu.usage_nsec > Some(0) && cpu.user_nsec > Some(0), "{cpu:?}");
    assert!(memory.usage_bytes > Some(0) && memory.working_set_bytes() <= memory.usage_bytes, "{memory:?}");
    assert!(memory.swap_bytes.is_some(), "{memory:?}");
}

#[test]
fn created_is_about_now() {
    let before = SystemTime::now() - Duration::from_secs(2);
    let Some(made) = Made::new("created") else { return };
    let created = made.reader(0).read(&made.path, &[made.key()]).unwrap().stats.created.unwrap();
    assert!(created > before && created < SystemTime::now() + Duration::from_secs(2), "{created:?}");
}

/// Not a test of time: prints what a pass costs. `cargo test --release -p cgtap --lib -- --ignored --nocapture cost`
#[test]
#[ignore = "a measurement"]
fn cost_of_a_pass() {
    const CGROUPS: u32 = 500;
    let Some(parent) = Made::new("cost") else { return };
    let children: Vec<_> = (0..CGROUPS).map(|n| parent.path.join(format!("c{n}").as_bytes())).collect();
    let hierarchy = parent.hierarchy().clone();
    for child in &children {
        std::fs::create_dir(hierarchy.dir(child)).unwrap();
    }
    for pass in 0..3 {
        let started = std::time::Instant::now();
        let found = walk(&hierarchy).cgroups.len();
        println!("walk: pass {pass}: {found} cgroups in {:?}", started.elapsed());
    }
    let keys: Vec<_> = children.iter().map(|child| [key_of(&hierarchy, child)]).collect();
    floor(&hierarchy, &children);
    for (name, budget) in [("kept", 20_000), ("partly kept", 2000), ("opened each time", 0)] {
        let mut reader = parent.reader(budget);
        let slab = slab_kib();
        for pass in 0..6 {
            let started = std::time::Instant::now();
            for (child, key) in children.iter().zip(&keys) {
                let reading = reader.read(child, key).unwrap();
                assert!(reading.stats.memory.is_some() && reading.errors.is_empty());
            }
            let each = started.elapsed() / CGROUPS;
            println!("{name}: pass {pass}: {each:?} per cgroup, {} open", reader.open_files());
        }
        println!("{name}: slab grew by {} KiB", slab_kib() - slab);
    }
    for child in &children {
        std::fs::remove_dir(hierarchy.dir(child)).unwrap();
    }
}

/// The same files, kept open and read, but not parsed.
fn floor(hierarchy: &Hierarchy, cgroups: &[CgroupPath]) {
    let files = plan(hierarchy, ReadSets::ALL, &[]);
    let names: Vec<_> = files.iter().map(|file| file.names[0].to_str().unwrap()).collect();
    let files = cgroups.iter().flat_map(|cgroup| names.iter().map(|name| hierarchy.dir(cgroup).join(name)));
    let files: Vec<_> = files.map(|path| std::fs::File::open(path).unwrap()).collect();
    let mut buffer = Buffer::new();
    for pass in 0..3 {
        let started = std::time::Instant::now();
        for file in &files {
            buffer.fill(file).unwrap();
        }
        let each = started.elapsed() / u32::try_from(cgroups.len()).unwrap();
        println!("floor, pread alone: pass {pass}: {each:?} per cgroup, {} files each", names.len());
    }
}

/// Memory of the kernel itself: a kept file holds the buffer into which the kernel printed it.
fn slab_kib() -> i64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Slab:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
