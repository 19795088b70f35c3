//! A short run of every fuzz target on stable: sound text with some bytes changed, cut out and put in.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const FORMAT: &str = "name: cgroup_notify_populated\nID: 544\nformat:\n\
    \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
    \tfield:int root;\toffset:8;\tsize:4;\tsigned:1;\n\tfield:int level;\toffset:12;\tsize:4;\tsigned:1;\n\
    \tfield:u64 id;\toffset:16;\tsize:8;\tsigned:0;\n\
    \tfield:__data_loc char[] path;\toffset:24;\tsize:4;\tsigned:0;\n\
    \tfield:int val;\toffset:28;\tsize:4;\tsigned:1;\n";
const MOUNTS: &str = "32 24 0:28 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw\n\
    33 24 0:29 /a\\040b /sys/fs/cgroup/cpu\\134,acct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
    90 24 0:52 / / rw - overlay overlay rw,lowerdir=/l1:/l2,upperdir=/var/a\\054b/diff\n";
const CGROUPS: &str = "4:memory:/kubepods/burstable/pod12345678-1234-1234-1234-123456789abc/\
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n1:name=systemd:/a b\n\
    0::/system.slice/docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope\n";
const RECORD: &str = r#"{"seq":7,"time":"2026-11-24T06:12:44.000000001Z","type":"oom_kill","cgroup":{"path":"/a","id":1},
    "container":{"id":"c","pod":{"uid":"u"}},"victim":{"pid":7,"comm":"a\"b"},"last_sample":{"age_seconds":1.5},"later":[{}]}"#;
const LOG: &str = "4,600,2915426,-;hog invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n\
    6,601,2915430,-;CPU: 0 UID: 0 PID: 100 Comm: hog Not tainted 6.12.95 #1\n\
    6,640,2915450,-;memory: usage 10240kB, limit 10240kB, failcnt 20\n\
    6,660,2915470,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/pod,\
    task_memcg=/pod/leaf,task=hog,pid=100,uid=0\n\
    3,661,2915480,-;Memory cgroup out of memory: Killed process 100 (hog) total-vm:12144kB, anon-rss:10200kB, \
    file-rss:4kB, shmem-rss:1284kB, UID:0 pgtables:60kB oom_score_adj:0\n";
const FILES: &str = "cache 4096\nanon 8192\nusage_usec 5\n8:0 rbytes=1 wbytes=2 rios=3 wios=4\n8:0 Read 7\nTotal 9\n\
    some avg10=0.00 avg60=0.00 avg300=0.00 total=11\ncpu  1 2 3 4 5 6 7 8 9 10\nMemTotal: 16 kB\nTgid:\t7\n\
    max 3\nfile=7 N0=4 N1=3\nhierarchical_anon=1 N0=1\nanon N0=8192\nnr_dying_descendants 2\nhigh 1\nfail 2\n\
    1 2 3\n7 (a) b) S 1\nMax open files 1024 4096 files\nReferenced: 4 kB\nTcp: A B\nTcp: 1 -1\n\
    sl local_address\n0: 0:1 0:0 0A 1:2 00:0 0 0 0 17 2 0 5\n\
    eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\nmax 100000\n254 0 vda 1 2 3 4 5 6 7 8 9 10 11\n";

const INSPECT: &str = r#"{"Name":"/web","Created":"2026-01-02T03:04:05Z","RestartCount":2,"State":{"Running":true,
    "StartedAt":"2026-01-02T03:04:06.5+02:00","Health":{"Status":"healthy"}},"Config":{"Image":"web:1","Labels":{"a":"b"},
    "Env":["A=b"]},"image":"pause","runtimeSpec":{"process":{"env":["A=b"]}}}"#;

/// `seed` with up to eight pieces replaced by other bytes.
fn damaged(seed: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), proptest::sample::select(b"0129 \t\n:;,=/-[]()\\\xff\0".to_vec())];
    let piece = (any::<proptest::sample::Index>(), 0usize..12, vec(byte, 0..12));
    vec(piece, 1..8).prop_map(move |pieces| {
        let mut bytes = seed.to_vec();
        for (at, length, with) in pieces {
            let from = at.index(bytes.len() + 1);
            let to = (from + length).min(bytes.len());
            bytes.splice(from..to, with);
        }
        bytes
    })
}

fn ring_seed() -> &'static [u8] {
    let mut bytes = vec![0; size_of::<cgtap_abi::OomRecord>()];
    bytes[0] = 4; // mark_victim
    bytes.leak()
}

/// One socket with its memory.
fn diag_seed() -> &'static [u8] {
    let mut bytes = vec![0; 16 + 72 + 40];
    for (at, value) in [(0, 128), (4, 20), (17, 10), (88, 40), (90, 7)] {
        bytes[at] = value;
    }
    bytes.leak()
}

proptest! {
    #[test]
    fn damaged_sock_diag(input in damaged(diag_seed())) {
        sock_diag(&input);
    }

    #[test]
    fn damaged_format(input in damaged(FORMAT.as_bytes())) {
        format(&input);
    }

    #[test]
    fn damaged_btf(input in damaged(crate::kernel::btf::sample().leak())) {
        btf(&input);
    }

    #[test]
    fn damaged_ring_record(input in damaged(ring_seed())) {
        ring_record(&input);
    }

    #[test]
    fn damaged_files(input in damaged(FILES.as_bytes())) {
        cgroup_files(&input);
        machine_files(&input);
    }

    #[test]
    fn damaged_mountinfo(input in damaged(MOUNTS.as_bytes())) {
        mountinfo(&input);
    }

    #[test]
    fn damaged_proc_cgroup_and_path(input in damaged(CGROUPS.as_bytes())) {
        proc_cgroup(&input);
        path(&input);
    }

    #[test]
    fn damaged_runtime_answers(input in damaged(INSPECT.as_bytes())) {
        runtime_answers(&input);
    }

    #[test]
    fn damaged_event_record(input in damaged(RECORD.as_bytes())) {
        event_record(&input);
    }

    #[test]
    fn damaged_kernel_log(input in damaged(LOG.as_bytes())) {
        kernel_log(&input);
    }
}

/// The seeds are worth damaging only while they are sound.
#[test]
fn the_seeds_are_sound() {
    let format = Format::parse("x", FORMAT).unwrap();
    offsets::add_populated_format(&mut TraceLayout::UNKNOWN.clone(), &format).unwrap();
    probe::read_btf(crate::kernel::btf::sample()).unwrap();
    assert!(decode::oom(ring_seed(), Clock::now(), Source::TpBtf).unwrap().1.is_some());
    assert!(parse::mounts(MOUNTS.as_bytes()).unwrap()[2].option(b"upperdir").is_some());
    assert_eq!(parse::proc_cgroup(CGROUPS.as_bytes()).unwrap().len(), 3);
    assert_eq!(WireEvent::read(RECORD.as_bytes()).unwrap().seq, Some(7));
    let mut lines = OomLines::default();
    let kills = LOG.lines().filter_map(|line| lines.push(&parse::log_record(line.as_bytes()).unwrap()));
    assert_eq!(kills.count(), 1);
}
