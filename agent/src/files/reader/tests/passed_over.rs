//! Files that are passed over, as another one has their value.

use super::*;

/// What is no number: a file with this text is an error where it is read.
pub(super) const NOT_READ: &str = "not read\n";

#[test]
fn processor_time_is_the_sum_of_the_cpus() {
    let host = v1();
    host.fixture.file("sys/fs/cgroup/cpu,cpuacct/a/cpuacct.usage", NOT_READ);
    let reading = host.read(&mut host.reader(100), "/a");
    assert!(reading.errors.is_empty(), "{:?}", reading.errors);
    assert_eq!(reading.stats.cpu.unwrap().usage_nsec, Some(1000));
    host.fixture.file("sys/fs/cgroup/cpu,cpuacct/a/cpuacct.usage", "1001\n");
    let usage = |reader: &mut CgroupReader| host.read(reader, "/a").stats.cpu.unwrap().usage_nsec;
    let metrics = MetricSets::all().without(MetricSet::PerCpu);
    let sets = ReadSets { metrics, ..ReadSets::ALL };
    let mut without = CgroupReader::new(host.fixture.host(), host.hierarchies.clone(), sets, 100);
    assert_eq!(usage(&mut without), Some(1001), "each CPU is not asked for");
    host.fixture.file("sys/fs/cgroup/cpu,cpuacct/a/cpuacct.usage_percpu", NOT_READ);
    assert_eq!(usage(&mut host.reader(100)), Some(1001), "each CPU cannot be read");
}

#[test]
fn where_no_limit_lies_above_the_own_is_not_read() {
    let host = v1();
    let write = |stat: &str, own: &str, with_swap: &str| {
        host.fixture.file("sys/fs/cgroup/memory/a/memory.stat", format!("cache 1\n{stat}total_cache 1\n"));
        host.fixture.file("sys/fs/cgroup/memory/a/memory.limit_in_bytes", own);
        host.fixture.file("sys/fs/cgroup/memory/a/memory.memsw.limit_in_bytes", with_swap);
    };
    let mut reader = host.reader(100);
    let mut limits = || {
        let reading = host.read(&mut reader, "/a");
        assert!(reading.errors.is_empty(), "{:?}", reading.errors);
        let memory = reading.stats.memory.unwrap();
        (memory.limit, memory.memory_and_swap_limit)
    };
    const NONE: &str = "9223372036854771712\n";
    let lowest = |memory: &str, with_swap: &str| {
        format!("hierarchical_memory_limit {memory}hierarchical_memsw_limit {with_swap}")
    };
    write(&lowest(NONE, NONE), NOT_READ, NOT_READ);
    assert_eq!(limits(), (Some(Limit::Max), Some(Limit::Max)));
    write(&lowest("300\n", NONE), "500\n", NOT_READ);
    assert_eq!(limits(), (Some(Limit::Value(500)), Some(Limit::Max)), "the lowest is another's");
    write(&lowest("300\n", "400\n"), NONE, "400\n");
    assert_eq!(limits(), (Some(Limit::Max), Some(Limit::Value(400))));
    write(&lowest(NONE, NONE), NOT_READ, NOT_READ);
    assert_eq!(limits(), (Some(Limit::Max), Some(Limit::Max)), "and none again");
    write("", "500\n", "600\n");
    assert_eq!(limits(), (Some(Limit::Value(500)), Some(Limit::Value(600))), "the lowest is not read");
}

#[test]
fn where_no_device_moved_bytes_requests_are_not_read() {
    let fixture = Fixture::v1();
    let dir = "sys/fs/cgroup/blkio/a";
    fixture.file("proc/1/mountinfo", "38 31 0:35 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n");
    fixture.file("proc/1/cgroup", "7:blkio:/\n");
    fixture.file(&format!("{dir}/blkio.throttle.io_service_bytes"), "Total 0\n");
    fixture.file(&format!("{dir}/blkio.throttle.io_serviced"), NOT_READ);
    let host = Host::new(fixture);
    let mut reader = host.reader(100);
    let reading = host.read(&mut reader, "/a");
    assert!(reading.errors.is_empty(), "{:?}", reading.errors);
    assert_eq!((reading.stats.io, reader.open_files()), (Some(Vec::new()), 1));
    host.fixture.file(&format!("{dir}/blkio.throttle.io_service_bytes"), "8:0 Read 0\nTotal 0\n");
    host.fixture.file(&format!("{dir}/blkio.throttle.io_serviced"), "8:0 Read 2\nTotal 2\n");
    let io = host.read(&mut reader, "/a").stats.io.unwrap();
    assert_eq!(io.iter().map(|device| device.reads).collect::<Vec<_>>(), [Some(2)]);
}

#[test]
fn where_there_is_no_quota_its_periods_are_not_read() {
    let host = v1();
    host.fixture.file("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n");
    host.fixture.file("sys/fs/cgroup/cpu,cpuacct/a/cpu.stat", NOT_READ);
    let reading = host.read(&mut host.reader(100), "/a");
    assert!(reading.errors.is_empty(), "{:?}", reading.errors);
    let cpu = reading.stats.cpu.unwrap();
    assert_eq!((cpu.quota_usec, cpu.periods, cpu.throttled_nsec), (Some(Limit::Max), None, None));
}
