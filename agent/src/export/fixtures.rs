//! Snapshots for the tests of this folder: every field that a version can fill is filled, each with its own number.

mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::{
    Cache, CacheDomain, CgroupPath, CgroupStats, ContainerNames, ContainerTitle, Core, CpuStats, Descendants,
    Dimms, DiskStats, FilesystemStats, HardwareStats, Health, HugetlbStats, Identity, InterfaceStats,
    IoDeviceStats, Limit, LoadAverages, Machine, NamesSource, NumaNode, PerfCounts, PidsStats, PodNames,
    Pressure, PressureLine, PressureStats, ProcessStats, QosClass, Role, Runtime, Scaled, SchedStats,
    SocketStats, TaskStates, TaskStats, TcpStates, Topology, TransferStats, UdpStats, UncoreCount,
    WrittenStats,
};
use crate::snapshot::{CgroupSample, NodeSnapshot, Reading};

pub(super) const CONTAINER: &str = "4f1b6a0d9e8c7b6a5f4e3d2c1b0a99887766554433221100ffeeddccbbaa9988";
pub(super) const POD: &str = "0b8e3c1a-11d4-4d66-9f62-5b7a2c1d0e9f";

/// 2026-11-22, with nanoseconds that a float could not hold.
pub(super) fn moment(offset_msec: u64) -> SystemTime {
    UNIX_EPOCH + Duration::new(1_795_305_600, 123_456_789) + Duration::from_millis(offset_msec)
}

pub(super) fn machine() -> Machine {
    Machine {
        machine_id: Some("0f0e0d0c0b0a09080706050403020100".to_owned()),
        system_uuid: Some("11111111-2222-3333-4444-555555555555".to_owned()),
        boot_id: Some("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee".to_owned()),
        logical_cpus: Some(8),
        physical_cores: Some(4),
        sockets: Some(1),
        memory_bytes: Some(16_000_000_000),
        swap_bytes: Some(2_000_000_000),
        kernel_release: Some("6.18.44".to_owned()),
        os_name: Some("Debian GNU/Linux 12 (bookworm)".to_owned()),
        books: Some(1),
        drawers: Some(1),
        dimms: vec![Dimms { kind: "Unbuffered-DDR4".to_owned(), count: 2, capacity_bytes: 17_179_869_184 }],
        topology: topology(),
    }
}

fn topology() -> Topology {
    let cache = |level, kind: &str, bytes| Cache { id: 0, kind: kind.to_owned(), level, bytes };
    let core = Core {
        threads: vec![0, 1],
        caches: vec![cache(1, "Data", 32_768), cache(2, "Unified", 1_048_576)],
        ..Core::default()
    };
    let node = NumaNode {
        id: 0,
        memory_bytes: Some(16_000_000_000),
        hugepages: vec![(2_048, 7)],
        distances: vec![10],
        caches: vec![cache(3, "Unified", 16_777_216)],
    };
    Topology { cores: vec![core], nodes: vec![node] }
}

pub(super) fn sample(path: &[u8], identity: Identity, stats: CgroupStats) -> CgroupSample {
    CgroupSample {
        path: CgroupPath::from_bytes(path),
        identity: Arc::new(identity),
        names: None,
        pod: None,
        unit_description: None,
        stats,
        oom_kills: 0,
        last_seen: moment(0),
        removed: false,
    }
}

pub(super) fn snapshot(cgroups: Vec<CgroupSample>) -> NodeSnapshot {
    NodeSnapshot { taken: moment(0), machine: Arc::new(machine()), cgroups, reading: Reading::default() }
}

pub(super) fn container(runtime: Runtime, unit: Option<&str>) -> Identity {
    Identity {
        role: Role::Container,
        container_id: Some(CONTAINER.to_owned()),
        runtime: Some(runtime),
        pod_uid: Some(POD.to_owned()),
        qos: Some(QosClass::Burstable),
        unit: unit.map(str::to_owned),
    }
}

/// A container of the pod `shop/web-1`, healthy.
pub(super) fn names(container: &str) -> Arc<ContainerNames> {
    let title = ContainerTitle {
        name: Some(format!("k8s_{container}")),
        container: Some(container.to_owned()),
        image: Some("shop/web:1".to_owned()),
    };
    let pod = PodNames {
        name: Some("web-1".to_owned()),
        namespace: Some("shop".to_owned()),
        uid: Some(POD.to_owned()),
    };
    Arc::new(ContainerNames {
        title: Arc::new(title),
        pod: Some(Arc::new(pod)),
        labels: BTreeMap::new(),
        envs: BTreeMap::new(),
        started: Some(moment(5)),
        created: Some(moment(4)),
        restart_count: Some(3),
        is_sandbox: false,
        health: Some(Health::Healthy),
        runtime: Some(Runtime::Docker),
        source: NamesSource::Docker,
    })
}

fn cpu_common() -> CpuStats {
    CpuStats {
        usage_nsec: Some(12_345_678_901_234),
        user_nsec: Some(12_000_010_000_000),
        system_nsec: Some(340_000_000_000),
        periods: Some(500),
        throttled_periods: Some(50),
        throttled_nsec: Some(5_000_000_007),
        burst_periods: Some(5),
        burst_nsec: Some(70_000_000),
        quota_usec: Some(Limit::Value(150_000)),
        period_usec: Some(100_000),
        ..CpuStats::default()
    }
}

fn device_common(major: u32, minor: u32, device: Option<&str>) -> IoDeviceStats {
    IoDeviceStats {
        major,
        minor,
        device: device.map(str::to_owned),
        read_bytes: Some(1_048_576),
        write_bytes: Some(2_097_152),
        reads: Some(256),
        writes: Some(512),
        discard_bytes: Some(0),
        discards: Some(0),
        ..IoDeviceStats::default()
    }
}

fn devices_v1() -> Vec<IoDeviceStats> {
    let named = IoDeviceStats {
        sync_bytes: Some(3_000_000),
        async_bytes: Some(145_728),
        total_bytes: Some(3_145_728),
        ..device_common(8, 0, Some("/dev/sda"))
    };
    vec![named, device_common(8, 16, None), device_common(8, 32, None)]
}

fn devices_v2() -> Vec<IoDeviceStats> {
    let with_cost = IoDeviceStats {
        cost_usage_usec: Some(1_000_001),
        cost_wait_usec: Some(250),
        cost_indebt_usec: Some(0),
        cost_indelay_usec: Some(30_000_000),
        ..device_common(259, 0, Some("/dev/nvme0n1"))
    };
    vec![with_cost]
}

fn pids(limit: Limit) -> PidsStats {
    PidsStats { current: Some(12), limit: Some(limit), peak: Some(40), limit_events: Some(2) }
}

fn hugetlb(max_usage_bytes: Option<u64>) -> Option<Vec<HugetlbStats>> {
    let (usage_bytes, failcnt) = (Some(4_194_304), Some(1));
    Some(vec![HugetlbStats { page_size: "2MB", usage_bytes, max_usage_bytes, failcnt }])
}

fn interfaces() -> Vec<InterfaceStats> {
    let receive = TransferStats { bytes: 9_000, packets: 90, errors: 1, dropped: 2 };
    let transmit = TransferStats { bytes: 8_000, packets: 80, errors: 3, dropped: 4 };
    vec![InterfaceStats { name: "eth0".to_owned(), receive, transmit }]
}

fn filesystems() -> Vec<FilesystemStats> {
    let disk = DiskStats {
        major: 259,
        minor: 1,
        name: "nvme0n1p1".to_owned(),
        reads: 11,
        reads_merged: 12,
        sectors_read: 13,
        read_msec: 14,
        writes: 15,
        writes_merged: 16,
        sectors_written: 17,
        write_msec: 18,
        in_progress: 19,
        busy_msec: 20,
        weighted_msec: 21,
    };
    vec![FilesystemStats {
        device: "/dev/mapper/vg-root".to_owned(),
        limit_bytes: Some(50_000_003_072),
        usage_bytes: Some(20_004_864),
        inodes_total: Some(3_000_001),
        inodes_free: Some(2_000_001),
        written: Some(WrittenStats {
            writable_bytes: 20_000_768,
            logs_bytes: 4_096,
            age: Duration::from_millis(30_500),
        }),
        disk: Some(disk),
    }]
}

fn pressure(total_usec: u64) -> Option<Pressure> {
    let line = |total_usec| PressureLine { avg10_percent: 1.5, total_usec, ..PressureLine::default() };
    Some(Pressure { some: Some(line(total_usec)), full: Some(line(total_usec / 2)) })
}

/// The values that are the same on v1 and v2.
fn common() -> CgroupStats {
    let sched = SchedStats { run_nsec: 4_000_000_001, runqueue_nsec: 500_000_000, run_periods: 77 };
    CgroupStats {
        network: Some(interfaces()),
        filesystems: Some(filesystems()),
        host_network: true,
        sockets: Some(sockets()),
        tasks: TaskStats {
            processes: Some(ProcessStats {
                count: Some(3),
                file_descriptors: Some(30),
                sockets: Some(4),
                open_files_limit: Some(Limit::Max),
            }),
            sched: Some(sched),
            states: Some(TaskStates { running: 1, sleeping: 10, uninterruptible: 2, stopped: 0 }),
            load: Some(LoadAverages { running_milli: 1_250, uninterruptible_milli: 2_000 }),
            referenced_bytes: Some(1_179_648),
        },
        hardware: Some(Box::new(hardware())),
        created: Some(moment(0) - Duration::from_secs(3_600)),
        ..CgroupStats::default()
    }
}

fn hardware() -> HardwareStats {
    let scaled = |count, running_ratio| Scaled { count, running_ratio };
    let cpus = vec![(0, scaled(1_234_567, 1.0)), (2, scaled(3, 0.5))];
    let domain = CacheDomain {
        id: 0,
        occupancy_bytes: Some(4_718_592),
        bandwidth_bytes: Some(9_437_184),
        local_bandwidth_bytes: Some(8_388_608),
    };
    HardwareStats {
        perf: vec![PerfCounts { event: "instructions".into(), cpus }],
        uncore: vec![UncoreCount {
            event: "cas_count_read".into(),
            pmu: "uncore_imc_0".into(),
            socket: 0,
            count: scaled(11_000, 0.25),
        }],
        cache_domains: vec![domain],
    }
}

fn sockets() -> SocketStats {
    let mut tcp = TcpStates::default();
    [1, 1, 10].into_iter().for_each(|state| tcp.add(state));
    let udp = UdpStats { sockets: 2, dropped: 1, receive_queued_bytes: 512, transmit_queued_bytes: 0 };
    let advanced_tcp = Some(vec![("activeopens".to_owned(), 9), ("tw".to_owned(), 8)]);
    SocketStats { tcp: Some(tcp), tcp6: Some(tcp), udp: Some(udp), udp6: Some(udp), advanced_tcp }
}

/// All values that v1 has.
pub(super) fn stats_v1() -> CgroupStats {
    CgroupStats {
        cpu: Some(CpuStats {
            per_cpu_nsec: Some(vec![6_000_000_000_001, 0, 6_345_678_901_233]),
            shares: Some(512),
            ..cpu_common()
        }),
        memory: Some(memory::memory_v1()),
        pids: Some(pids(Limit::Value(1_000))),
        io: Some(devices_v1()),
        hugetlb: hugetlb(Some(8_388_608)),
        memory_migrate: Some(true),
        ..common()
    }
}

/// All values that v2 has.
pub(super) fn stats_v2() -> CgroupStats {
    CgroupStats {
        cpu: Some(CpuStats { weight: Some(20), nice_nsec: Some(1_000), ..cpu_common() }),
        memory: Some(memory::memory_v2()),
        pids: Some(pids(Limit::Max)),
        io: Some(devices_v2()),
        pressure: PressureStats {
            cpu: pressure(1_000_002),
            memory: pressure(2_000_004),
            io: pressure(3_000_000),
            irq: pressure(4_000_000),
        },
        hugetlb: hugetlb(None),
        descendants: Some(Descendants { living: Some(12), dying: Some(3) }),
        ..common()
    }
}
