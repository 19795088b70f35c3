//! Whole cgroups of both versions in a folder, and what happens when they change under the reader.

mod passed_over;
mod sets;

use std::fs;

use super::*;
use crate::files::fixture::{Fixture, key_of, members};
use crate::files::hierarchies;
use crate::model::{CpuStats, IoDeviceStats, Limit, MemoryStat, MemoryStats, PidsStats};

const STAT_V1: &str =
    "cache 1\nrss 2\npgfault 3\ntotal_cache 10\ntotal_rss 20\ntotal_swap 30\ntotal_pgfault 40\n";
const STALL: &str = "some avg10=0.50 avg60=0.00 avg300=0.00 total=7\n";

struct Host {
    fixture: Fixture,
    hierarchies: Arc<[Hierarchy]>,
}

impl Host {
    fn new(fixture: Fixture) -> Self {
        let hierarchies = hierarchies(&fixture.host()).unwrap().into();
        Self { fixture, hierarchies }
    }

    fn reader(&self, max_open_files: usize) -> CgroupReader {
        CgroupReader::new(self.fixture.host(), self.hierarchies.clone(), ReadSets::ALL, max_open_files)
    }

    fn members(&self, cgroup: &str) -> Vec<CgroupKey> {
        members(&self.hierarchies, &CgroupPath::from(cgroup))
    }

    fn read(&self, reader: &mut CgroupReader, cgroup: &str) -> CgroupReading {
        reader.read(&CgroupPath::from(cgroup), &self.members(cgroup)).unwrap()
    }
}

fn v1() -> Host {
    let fixture = Fixture::v1();
    for (file, text) in [
        ("cpuacct.usage", "1000\n"),
        ("cpuacct.usage_percpu", "400 600 \n"),
        ("cpuacct.stat", "user 2\nsystem 1\n"),
        ("cpu.stat", "nr_periods 5\nnr_throttled 4\nthrottled_time 3\n"),
        ("cpu.cfs_quota_us", "50000\n"),
        ("cpu.cfs_period_us", "100000\n"),
        ("cpu.shares", "1024\n"),
    ] {
        fixture.file(&format!("sys/fs/cgroup/cpu,cpuacct/a/{file}"), text);
    }
    for (file, text) in [
        ("memory.usage_in_bytes", "100\n"),
        ("memory.stat", STAT_V1),
        ("memory.limit_in_bytes", "200\n"),
        ("memory.max_usage_in_bytes", "150\n"),
        ("memory.failcnt", "9\n"),
        ("memory.soft_limit_in_bytes", "9223372036854771712\n"),
        ("memory.memsw.limit_in_bytes", "300\n"),
        ("memory.kmem.usage_in_bytes", "50\n"),
    ] {
        fixture.file(&format!("sys/fs/cgroup/memory/a/{file}"), text);
    }
    Host::new(fixture)
}

fn v2() -> Host {
    let fixture = Fixture::v2();
    for (file, text) in [
        (
            "cpu.stat",
            "usage_usec 3\nuser_usec 2\nsystem_usec 1\nnr_periods 5\nnr_throttled 4\nthrottled_usec 3\n",
        ),
        ("cpu.max", "50000 100000\n"),
        ("cpu.weight", "100\n"),
        ("memory.current", "100\n"),
        ("memory.stat", "anon 20\nfile 10\nkernel 5\npgfault 40\n"),
        ("memory.peak", "150\n"),
        ("memory.max", "200\n"),
        ("memory.low", "0\n"),
        ("memory.events", "low 0\nhigh 1\nmax 2\noom 3\noom_kill 6\noom_group_kill 0\n"),
        ("memory.swap.current", "30\n"),
        ("memory.swap.max", "max\n"),
        ("pids.current", "7\n"),
        ("pids.max", "max\n"),
        ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n"),
        ("cpu.pressure", STALL),
    ] {
        fixture.file(&format!("sys/fs/cgroup/a/{file}"), text);
    }
    fixture.file("sys/dev/block/8:0/uevent", "DEVNAME=sda\n");
    Host::new(fixture)
}

#[test]
fn all_of_a_v1_cgroup() {
    let host = v1();
    let reading = host.read(&mut host.reader(100), "/a");
    assert!(reading.errors.is_empty(), "{:?}", reading.errors);
    let cpu = CpuStats {
        usage_nsec: Some(1000),
        user_nsec: Some(20_000_000),
        system_nsec: Some(10_000_000),
        per_cpu_nsec: Some(vec![400, 600]),
        periods: Some(5),
        throttled_periods: Some(4),
        throttled_nsec: Some(3),
        quota_usec: Some(Limit::Value(50_000)),
        period_usec: Some(100_000),
        shares: Some(1024),
        ..CpuStats::default()
    };
    assert_eq!(reading.stats.cpu, Some(cpu));
    let memory = MemoryStats {
        usage_bytes: Some(100),
        peak_bytes: Some(150),
        limit: Some(Limit::Value(200)),
        reservation: Some(Limit::Max),
        memory_and_swap_limit: Some(Limit::Value(300)),
        swap_bytes: Some(30),
        failcnt: Some(9),
        kernel_bytes: Some(50),
        stat: MemoryStat {
            anon_bytes: Some(20),
            file_bytes: Some(10),
            swap_bytes: Some(30),
            pgfault: Some(3),
            hierarchical_pgfault: Some(40),
            ..MemoryStat::default()
        },
        detail: Some(Box::default()),
        ..MemoryStats::default()
    };
    assert_eq!(reading.stats.memory, Some(memory));
    assert_eq!((reading.stats.pids, reading.stats.io), (None, None), "no such hierarchy");
    assert!(reading.stats.created.is_some());
}

#[test]
fn all_of_a_v2_cgroup() {
    let host = v2();
    let stats = host.read(&mut host.reader(100), "/a").stats;
    let cpu = CpuStats {
        usage_nsec: Some(3000),
        user_nsec: Some(2000),
        system_nsec: Some(1000),
        periods: Some(5),
        throttled_periods: Some(4),
        throttled_nsec: Some(3000),
        quota_usec: Some(Limit::Value(50_000)),
        period_usec: Some(100_000),
        weight: Some(100),
        ..CpuStats::default()
    };
    assert_eq!(stats.cpu, Some(cpu));
    let memory = stats.memory.unwrap();
    assert_eq!((memory.usage_bytes, memory.peak_bytes, memory.swap_bytes), (Some(100), Some(150), Some(30)));
    assert_eq!(
        (memory.limit, memory.reservation, memory.swap_limit),
        (Some(Limit::Value(200)), Some(Limit::Value(0)), Some(Limit::Max))
    );
    assert_eq!((memory.kernel_bytes, memory.events.oom_kill, memory.failcnt), (Some(5), Some(6), None));
    assert_eq!(
        stats.pids,
        Some(PidsStats { current: Some(7), limit: Some(Limit::Max), ..PidsStats::default() })
    );
    let io = IoDeviceStats {
        major: 8,
        device: Some("/dev/sda".to_owned()),
        read_bytes: Some(1),
        write_bytes: Some(2),
        reads: Some(3),
        writes: Some(4),
        discard_bytes: Some(5),
        discards: Some(6),
        ..IoDeviceStats::default()
    };
    assert_eq!(stats.io, Some(vec![io]));
    assert_eq!(stats.pressure.cpu.unwrap().some.unwrap().total_usec, 7);
    assert_eq!(stats.pressure.memory, None, "no such file");
}

#[test]
fn blkio_takes_the_best_file_and_joins_both() {
    let fixture = Fixture::v1();
    let dir = "sys/fs/cgroup/blkio/a";
    fixture.file("proc/1/mountinfo", "38 31 0:35 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n");
    fixture.file("proc/1/cgroup", "7:blkio:/\n");
    fixture.file(&format!("{dir}/blkio.throttle.io_service_bytes"), "8:0 Read 1\nTotal 1\n");
    fixture.file(
        &format!("{dir}/blkio.throttle.io_service_bytes_recursive"),
        "8:0 Read 5\n8:0 Total 5\nTotal 5\n",
    );
    fixture.file(&format!("{dir}/blkio.throttle.io_serviced"), "8:0 Read 2\n8:16 Write 3\nTotal 5\n");
    let host = Host::new(fixture);
    let io = host.read(&mut host.reader(100), "/a").stats.io.unwrap();
    let found: Vec<_> =
        io.iter().map(|d| (d.minor, d.read_bytes, d.reads, d.writes, d.total_bytes)).collect();
    assert_eq!(found, [(0, Some(5), Some(2), None, Some(5)), (16, None, None, Some(3), None)]);
}

#[test]
fn the_budget_changes_nothing_but_what_stays_open() {
    for host in [v1(), v2()] {
        let wanted = host.read(&mut host.reader(0), "/a").stats;
        for budget in [0, 1, 4, 7, 100] {
            let mut reader = host.reader(budget);
            for _ in 0..3 {
                assert_eq!(host.read(&mut reader, "/a").stats, wanted, "budget {budget}");
                assert!(reader.open_files() <= budget);
            }
            assert!(reader.open_files() > 0 || budget == 0);
            reader.forget(&CgroupPath::from("/a"));
            assert_eq!(reader.open_files(), 0);
        }
    }
}

#[test]
fn kept_files_tell_new_values() {
    let host = v2();
    let mut reader = host.reader(100);
    host.read(&mut reader, "/a");
    fs::write(host.fixture.path("sys/fs/cgroup/a/pids.current"), "8\n").unwrap();
    assert_eq!(host.read(&mut reader, "/a").stats.pids.unwrap().current, Some(8));
}

#[test]
fn hybrid_prefers_v1_for_processor_time_and_v2_where_v1_has_none() {
    let fixture = Fixture::v1();
    let mounts = fs::read_to_string(fixture.path("proc/1/mountinfo")).unwrap();
    fixture
        .file("proc/1/mountinfo", mounts + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    fixture.file("proc/1/cgroup", "4:memory:/\n2:cpu,cpuacct:/\n0::/\n");
    fixture.file("sys/fs/cgroup/unified/both/cpu.stat", "usage_usec 3\n");
    fixture.file("sys/fs/cgroup/unified/alone/cpu.stat", "usage_usec 3\n");
    fixture.file("sys/fs/cgroup/cpu,cpuacct/both/cpuacct.usage", "4001\n");
    let host = Host::new(fixture);
    let mut reader = host.reader(100);
    assert_eq!(host.members("/both").len(), 2);
    assert_eq!(host.read(&mut reader, "/both").stats.cpu.unwrap().usage_nsec, Some(4001));
    assert_eq!(host.read(&mut reader, "/alone").stats.cpu.unwrap().usage_nsec, Some(3000));
}

#[test]
fn odd_names_are_read_like_any_other() {
    for name in [&b"a b"[..], b"\"q\"", b"x\xff\\y", b"a:b"] {
        let host = v2();
        host.fixture.dir(&[b"sys/fs/cgroup/", name].concat());
        let path = CgroupPath::from_bytes(name);
        let dir = host.hierarchies[0].dir(&path);
        fs::write(dir.join("pids.current"), "5\n").unwrap();
        let reading = host.reader(100).read(&path, &[key_of(&host.hierarchies[0], &path)]).unwrap();
        assert_eq!(reading.stats.pids.unwrap().current, Some(5), "{path}");
    }
}

#[test]
fn one_broken_file_hides_only_itself() {
    let host = v2();
    fs::write(host.fixture.path("sys/fs/cgroup/a/memory.stat"), "anon 20\nfile what\n").unwrap();
    fs::write(host.fixture.path("sys/fs/cgroup/a/pids.current"), "").unwrap();
    let reading = host.read(&mut host.reader(100), "/a");
    assert_eq!(reading.errors.len(), 2);
    let found = reading.errors[0].to_string();
    assert!(
        found.contains("a/memory.stat") && found.contains("line 2") && found.contains("file what"),
        "{found}"
    );
    let memory = reading.stats.memory.unwrap();
    assert_eq!(
        (memory.usage_bytes, memory.stat),
        (Some(100), MemoryStat::default()),
        "no part of a refused file"
    );
    assert_eq!(reading.stats.pids.unwrap().current, None);
}

#[test]
fn a_missing_file_is_remembered_and_looked_for_again() {
    let host = v2();
    let peak = host.fixture.path("sys/fs/cgroup/a/memory.peak");
    fs::remove_file(&peak).unwrap();
    let mut reader = host.reader(100);
    let mut peak_now = || host.read(&mut reader, "/a").stats.memory.unwrap().peak_bytes;
    assert_eq!(peak_now(), None);
    fs::write(&peak, "150\n").unwrap();
    assert_eq!(peak_now(), None, "not looked for in each pass");
    assert_eq!((0..64).filter_map(|_| peak_now()).last(), Some(150), "but it is in the end");
}

#[test]
fn a_kept_file_never_reads_a_later_cgroup() {
    let host = v2();
    let mut reader = host.reader(100);
    let path = CgroupPath::from("/a");
    let old = host.members("/a");
    host.read(&mut reader, "/a");
    fs::rename(host.fixture.path("sys/fs/cgroup/a"), host.fixture.path("old")).unwrap();
    host.fixture.file("sys/fs/cgroup/a/pids.current", "1\n");
    let new = host.members("/a");
    assert_ne!(old, new);
    let reading = reader.read(&path, &new).unwrap();
    assert_eq!(reading.stats.pids, Some(PidsStats { current: Some(1), ..PidsStats::default() }));
    assert_eq!(reading.stats.memory, None, "nothing of the old cgroup");
    assert_eq!(reader.read(&path, &old).unwrap_err(), Vanished);
    assert_eq!(reader.open_files(), 0);
}

#[test]
fn a_cgroup_that_is_gone_from_one_hierarchy_is_read_from_the_others() {
    let host = v1();
    let all = host.members("/a");
    assert_eq!(all.len(), 2);
    fs::remove_dir_all(host.fixture.path("sys/fs/cgroup/memory/a")).unwrap();
    let mut reader = host.reader(100);
    let reading = reader.read(&CgroupPath::from("/a"), &all).unwrap();
    assert_eq!((reading.stats.memory, reading.stats.cpu.is_some()), (None, true));
    fs::remove_dir_all(host.fixture.path("sys/fs/cgroup/cpu,cpuacct/a")).unwrap();
    reader.forget(&CgroupPath::from("/a"));
    assert_eq!(reader.read(&CgroupPath::from("/a"), &all).unwrap_err(), Vanished);
}

#[test]
fn a_cgroup_without_files_vanishes_too() {
    let host = Host::new(Fixture::v1());
    host.fixture.dir(b"sys/fs/cgroup/systemd/s");
    let (path, all) = (CgroupPath::from("/s"), host.members("/s"));
    let mut reader = host.reader(100);
    assert_eq!(reader.read(&path, &all).unwrap().stats.cpu, None);
    fs::remove_dir_all(host.fixture.path("sys/fs/cgroup/systemd/s")).unwrap();
    assert_eq!(reader.read(&path, &all).unwrap_err(), Vanished);
    assert_eq!(reader.read(&path, &[]).unwrap_err(), Vanished, "no hierarchy is no cgroup");
}

#[test]
fn the_root_of_v2_is_filled_from_proc() {
    let host = v2();
    host.fixture.file("sys/fs/cgroup/memory.stat", "anon 20\nfile 10\n");
    host.fixture.file("proc/stat", "cpu  1 2 3 4 5 6 7 8 0 0\nbtime 1\n");
    host.fixture.file("proc/meminfo", "SwapTotal: 8 kB\nSwapFree: 5 kB\n");
    host.fixture.file("proc/pressure/io", STALL);
    let reading = host.read(&mut host.reader(100), "/");
    assert!(reading.errors.is_empty(), "{:?}", reading.errors);
    let memory = reading.stats.memory.unwrap();
    assert_eq!((memory.usage_bytes, memory.swap_bytes, memory.limit), (Some(30), Some(3072), None));
    let cpu = reading.stats.cpu.unwrap();
    assert_eq!(
        (cpu.user_nsec, cpu.system_nsec, cpu.usage_nsec),
        (Some(30_000_000), Some(160_000_000), Some(190_000_000))
    );
    assert!(reading.stats.pressure.io.is_some() && reading.stats.pressure.cpu.is_none());
    host.fixture.file("sys/fs/cgroup/cpu.stat", "usage_usec 9\n");
    assert_eq!(
        host.read(&mut host.reader(100), "/").stats.cpu.unwrap().usage_nsec,
        Some(9000),
        "its own file wins"
    );
}

#[test]
fn no_cgroup_is_older_than_the_boot() {
    let host = v2();
    host.fixture.file("proc/stat", "cpu  1 2 3 4 5 6 7 8 0 0\nbtime 4000000000\n");
    let boot = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    assert_eq!(host.read(&mut host.reader(100), "/a").stats.created, Some(boot));
}

#[test]
fn the_first_process_may_be_deeper() {
    let host = v2();
    let mut reader = host.reader(0);
    let mut first = || reader.first_process(&CgroupPath::from("/a"), &host.members("/a"));
    assert_eq!(first(), None);
    host.fixture.file("sys/fs/cgroup/a/cgroup.procs", "0\n");
    host.fixture.file("sys/fs/cgroup/a/b/c/cgroup.procs", "30\n");
    assert_eq!(first(), Some(30));
    host.fixture.file("sys/fs/cgroup/a/init.scope/cgroup.procs", "20\n");
    assert_eq!(first(), Some(20), "the nearer one");
    host.fixture.file("sys/fs/cgroup/a/cgroup.procs", "10\n");
    assert_eq!(first(), Some(10));
}

#[test]
fn when_descriptors_run_out_less_is_kept() {
    let host = v2();
    let mut reader = host.reader(100);
    let wanted = host.read(&mut reader, "/a").stats;
    let open = reader.open_files();
    reader.context.budget.is_starved = true;
    assert_eq!(host.read(&mut reader, "/a").stats, wanted);
    assert_eq!(reader.open_files(), 0, "all is given back at once");
    assert_eq!(host.read(&mut reader, "/a").stats, wanted);
    assert!(reader.open_files() <= open / 2, "and half is kept from then on");
}
