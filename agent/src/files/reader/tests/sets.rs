//! Files of the sets that are off by default. v1's hugetlb and cpuset have no hierarchy in the fixtures: `hugetlb.rs`.

use super::passed_over::NOT_READ;
use super::*;
use crate::model::{Descendants, HugetlbStats, NumaKind};

#[test]
fn v2_has_what_the_further_sets_want() {
    let host = v2();
    host.fixture.dir(b"sys/kernel/mm/hugepages/hugepages-2048kB");
    for (file, text) in [
        ("cgroup.stat", "nr_descendants 4\nnr_dying_descendants 2\n"),
        ("irq.pressure", "full avg10=0.00 avg60=0.00 avg300=0.00 total=17\n"),
        ("memory.events", "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\n"),
        ("memory.events.local", "low 0\nhigh 0\nmax 1\noom 1\noom_kill 0\n"),
        ("memory.swap.events", "high 0\nmax 5\nfail 6\n"),
        ("memory.swap.peak", "4096\n"),
        ("memory.numa_stat", "anon N0=8192 N1=4096\nfile N0=0 N1=0\n"),
        ("pids.peak", "9\n"),
        ("pids.events", "max 8\n"),
        ("hugetlb.2MB.rsvd.current", "2097152\n"),
        ("hugetlb.2MB.current", "0\n"),
        ("hugetlb.2MB.events", "max 3\n"),
        ("hugetlb.1GB.current", NOT_READ),
    ] {
        host.fixture.file(&format!("sys/fs/cgroup/a/{file}"), text);
    }
    let reading = host.read(&mut host.reader(100), "/a");
    assert!(reading.errors.is_empty(), "{:?}", reading.errors);
    let stats = reading.stats;
    assert_eq!(stats.descendants, Some(Descendants { living: Some(4), dying: Some(2) }));
    assert_eq!(stats.pressure.irq.unwrap().full.unwrap().total_usec, 17);
    let memory = stats.memory.unwrap();
    assert_eq!((memory.events.oom_kill, memory.events_local.oom), (Some(1), Some(1)));
    assert_eq!((memory.swap_events.fail, memory.swap_peak_bytes), (Some(6), Some(4096)));
    let numa = memory.numa.unwrap();
    assert_eq!((numa.len(), numa[0].kind, numa[0].node), (4, NumaKind::Anon, 0));
    let pids = stats.pids.unwrap();
    assert_eq!((pids.peak, pids.limit_events), (Some(9), Some(8)));
    let page = HugetlbStats {
        page_size: "2MB",
        usage_bytes: Some(2_097_152),
        failcnt: Some(3),
        ..HugetlbStats::default()
    };
    assert_eq!(stats.hugetlb, Some(vec![page]));
}

#[test]
fn further_lines_cost_no_second_reading() {
    let host = v2();
    let stat = "anon 1\nfile 2\nslab 3\n";
    host.fixture.file("sys/fs/cgroup/a/memory.stat", stat);
    let memory = host.read(&mut host.reader(100), "/a").stats.memory.unwrap();
    assert_eq!((memory.stat.anon_bytes, memory.detail.unwrap().slab_bytes), (Some(1), Some(3)));
    for (set, detail) in [(MetricSet::Memory, false), (MetricSet::MemoryDetail, true)] {
        let sets = ReadSets { metrics: MetricSets::none().with(set), ..ReadSets::NONE };
        let files = plan(&host.hierarchies[0], sets, &[]);
        let named = files.iter().filter(|file| file.names[0] == c"memory.stat").count();
        assert_eq!(named, 1);
        let mut reader = CgroupReader::new(host.fixture.host(), host.hierarchies.clone(), sets, 100);
        assert_eq!(host.read(&mut reader, "/a").stats.memory.unwrap().detail.is_some(), detail);
    }
}
