//! The node's file systems agree with statfs, and a container's usage with `du`.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cgtap_tests::agent::Agent;
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::exposition::Exposition;
use cgtap_tests::host::{memory_cgroups, mounts, program, skip_unless};
use cgtap_tests::log::QUIET;

use crate::containers::{container, enter};

/// Time for a walk each second, on a machine under full load.
const SOON: Duration = Duration::from_secs(30);

const FLAGS: [&str; 4] = ["--min-interval", "1ms", "--fs-walk-interval", "1s"];

/// `id -> mount point, source` of the host's mounts that have a disk.
fn disks() -> Vec<(PathBuf, String)> {
    let text = std::fs::read_to_string("/proc/1/mountinfo").unwrap();
    let fields = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let on_disk = fields.filter_map(|f| {
        let dash = f.iter().position(|field| *field == "-")?;
        let (kind, source) = (f[dash + 1], f[dash + 2]);
        let wanted = kind.starts_with("ext") || kind == "xfs";
        (wanted && f[3] == "/" && source != "/dev/root").then(|| (f[4].into(), source.to_owned()))
    });
    on_disk.collect()
}

/// Size, used bytes, inodes, free inodes.
fn statvfs(at: &Path) -> [f64; 4] {
    let now = rustix::fs::statvfs(at).unwrap();
    let used = (now.f_blocks - now.f_bfree) * now.f_frsize;
    [now.f_blocks * now.f_frsize, used, now.f_files, now.f_ffree].map(|value| value as f64)
}

const NODE: [&str; 4] = [
    "container_fs_limit_bytes",
    "container_fs_usage_bytes",
    "container_fs_inodes_total",
    "container_fs_inodes_free",
];

#[test]
fn the_nodes_file_systems_are_what_statfs_says() {
    let name = "filesystem::the_nodes_file_systems_are_what_statfs_says";
    let disks = disks();
    let found = if disks.is_empty() { Err("needs an ext4 or xfs".to_owned()) } else { Ok(()) };
    if skip_unless(name, found) {
        return;
    }
    let agent = Agent::start(&FLAGS).unwrap();
    for (at, device) in &disks {
        let labels = [("id", "/"), ("device", device.as_str())];
        let deadline = Instant::now() + QUIET;
        loop {
            let before = statvfs(at);
            let metrics = agent.metrics().unwrap();
            let shown = NODE.map(|name| metrics.one(name, &labels).unwrap());
            // Other processes write to it. On a busy machine it may not answer in time; then it is absent.
            if before == statvfs(at) && shown == before.map(Some) {
                break;
            }
            assert!(Instant::now() < deadline, "{device}: {shown:?}, the kernel says {before:?}");
        }
    }
    let metrics = agent.metrics().unwrap();
    assert_eq!(metrics.one("cgtap_hung_filesystems", &[]).unwrap(), Some(0.0));
}

/// A tmpfs that is unmounted on drop.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("cgtap-test-").tempdir().unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("cgtap-test", folder.path(), "tmpfs", flags, Some(c"size=1m")).unwrap();
        Self(folder)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn a_mount_is_seen_when_it_comes_and_when_it_goes() {
    let name = "filesystem::a_mount_is_seen_when_it_comes_and_when_it_goes";
    let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/mnt")).ok();
    let own = namespace("1") == namespace("self");
    let same = if own { Ok(()) } else { Err("needs the mount namespace of process 1".to_owned()) };
    if skip_unless(name, mounts().and(same)) {
        return;
    }
    let agent = Agent::start(&FLAGS).unwrap();
    let mounted = Mounted::new();
    let device = mounted.0.path().to_str().unwrap().to_owned();
    let size = || {
        let labels = [("id", "/"), ("device", device.as_str())];
        agent.metrics().unwrap().one("container_fs_limit_bytes", &labels).unwrap()
    };
    assert_eq!(size(), Some(1_048_576.0));
    drop(mounted);
    assert_eq!(size(), None);
}

/// The counters of a disk: reads, merged, sectors, milliseconds; the same of writes; under way, busy, weighted.
fn diskstats(device: &str) -> Option<Vec<f64>> {
    let text = std::fs::read_to_string("/proc/diskstats").unwrap();
    let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|fields| device == format!("/dev/{}", fields[2]))?;
    Some(line[3..14].iter().map(|field| field.parse().unwrap()).collect())
}

#[test]
fn the_nodes_disks_are_what_diskstats_says() {
    let name = "filesystem::the_nodes_disks_are_what_diskstats_says";
    let disks: Vec<_> = disks().into_iter().filter(|(_, device)| diskstats(device).is_some()).collect();
    let found = if disks.is_empty() { Err("needs an ext4 or xfs".to_owned()) } else { Ok(()) };
    if skip_unless(name, found) {
        return;
    }
    let agent = Agent::start(&FLAGS).unwrap();
    for (_, device) in &disks {
        let before = diskstats(device).unwrap();
        let metrics = agent.metrics().unwrap();
        let after = diskstats(device).unwrap();
        for (column, name, unit) in [
            (1, "container_fs_reads_merged_total", 1.0),
            (2, "container_fs_sector_reads_total", 1.0),
            (3, "container_fs_read_seconds_total", 1e-3),
            (5, "container_fs_writes_merged_total", 1.0),
            (6, "container_fs_sector_writes_total", 1.0),
            (7, "container_fs_write_seconds_total", 1e-3),
            (9, "container_fs_io_time_seconds_total", 1e-3),
            (10, "container_fs_io_time_weighted_seconds_total", 1e-3),
        ] {
            let shown = metrics.one(name, &[("id", "/"), ("device", device)]).unwrap().unwrap();
            let (low, high) = (before[column] * unit - 1e-6, after[column] * unit + 1e-6);
            assert!(low <= shown && shown <= high, "{name} {device}: {low} {shown} {high}");
        }
        // One series, from either file.
        for name in ["container_fs_reads_total", "container_fs_writes_total", "container_fs_io_current"] {
            assert!(metrics.one(name, &[("id", "/"), ("device", device)]).unwrap().is_some(), "{name}");
        }
    }
}

/// A process whose root is an overlay, mounted as by a runtime, with its log where Docker has it.
struct Overlay {
    folder: tempfile::TempDir,
    process: Child,
}

const FILE_BYTES: usize = 3_000_000;

impl Overlay {
    fn start(id: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("cgtap-test-").tempdir().unwrap();
        for dir in ["lower", "overlay2/x/diff", "work", "merged"] {
            std::fs::create_dir_all(folder.path().join(dir)).unwrap();
        }
        let log = folder.path().join("containers").join(id);
        std::fs::create_dir_all(&log).unwrap();
        std::fs::write(log.join(format!("{id}-json.log")), vec![b'x'; 50_000]).unwrap();
        let script = "mount --make-rprivate / && \
            mount -t overlay overlay -o lowerdir=lower,upperdir=$PWD/overlay2/x/diff,workdir=$PWD/work merged && \
            cd merged && mkdir old && \
            for dir in bin lib lib64 usr; do \
              if [ -d /$dir ]; then mkdir $dir && mount --rbind /$dir $dir || exit 1; fi; \
            done && \
            pivot_root . old && cd / && head -c $1 /old/dev/zero >/file && ln file again && echo ready && \
            exec sleep 1000";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh", &FILE_BYTES.to_string()]);
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let made = Self { folder, process };
        assert_eq!(line, "ready\n", "no overlay as root");
        made
    }

    fn upper(&self) -> PathBuf {
        self.folder.path().join("overlay2/x/diff")
    }

    /// The sizes of the layer and of the logs by `du`, and the number of inodes.
    fn du(&self, id: &str) -> [f64; 3] {
        let mut seen = std::collections::HashSet::new();
        let layer = du(&self.upper(), &mut seen);
        let logs = du(&self.folder.path().join("containers").join(id), &mut seen);
        [layer as f64, logs as f64, seen.len() as f64]
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn du(path: &Path, seen: &mut std::collections::HashSet<(u64, u64)>) -> u64 {
    let found = std::fs::symlink_metadata(path).unwrap();
    if !seen.insert((found.dev(), found.ino())) {
        return 0;
    }
    let mut bytes = found.blocks() * 512;
    if found.is_dir() {
        bytes += std::fs::read_dir(path).unwrap().map(|entry| du(&entry.unwrap().path(), seen)).sum::<u64>();
    }
    bytes
}

/// Repeats until the agent agrees with `du`.
fn until_equal(agent: &Agent, cgroup: &str, id: &str, overlay: &Overlay) -> Exposition {
    let deadline = Instant::now() + QUIET;
    loop {
        let wanted = overlay.du(id);
        let metrics = agent.metrics().unwrap();
        let shown = [
            "cgtap_container_fs_writable_bytes",
            "cgtap_container_fs_logs_bytes",
            "container_fs_inodes_total",
        ]
        .map(|name| metrics.one(name, &[("id", cgroup)]).unwrap());
        if shown == wanted.map(Some) {
            let all = metrics.one("container_fs_usage_bytes", &[("id", cgroup)]).unwrap();
            assert_eq!(all, Some(wanted[0] + wanted[1]));
            return metrics;
        }
        assert!(Instant::now() < deadline, "{shown:?}, du says {wanted:?}\n{}", agent.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_container_uses_what_du_says_of_its_layer_and_logs() {
    let name = "filesystem::a_container_uses_what_du_says_of_its_layer_and_logs";
    let programs = || program("unshare", "util-linux").and(program("pivot_root", "util-linux"));
    if skip_unless(name, memory_cgroups().and_then(|()| mounts()).and_then(|()| programs())) {
        return;
    }
    let agent = Agent::start(&FLAGS).unwrap();
    let parent = TestCgroup::new().unwrap();
    let (id, dirs) = container(&parent);
    let path = format!("{}/{id}", parent.path());
    let mut overlay = Overlay::start(&id);
    enter(&dirs, overlay.process.id());
    let metrics = until_equal(&agent, &path, &id, &overlay);
    let of = |name: &str| metrics.one(name, &[("id", &path)]).unwrap();
    assert!(of("container_fs_usage_bytes").unwrap() >= FILE_BYTES as f64);
    assert_eq!(of("container_fs_limit_bytes"), Some(statvfs(&overlay.upper())[0]));
    assert_eq!(of("container_fs_inodes_free"), None, "a container has none of its own");
    assert_eq!(of("container_fs_sector_writes_total"), None, "the disk's counters are the node's");
    assert!(of("cgtap_container_fs_usage_age_seconds").unwrap() < SOON.as_secs_f64());
    // The series stays after the last process, while the cgroup exists.
    std::fs::write(overlay.upper().join("more"), vec![1; 1 << 20]).unwrap();
    until_equal(&agent, &path, &id, &overlay);
    overlay.process.kill().unwrap();
    overlay.process.wait().unwrap();
    std::fs::write(overlay.upper().join("after"), vec![1; 1 << 20]).unwrap();
    until_equal(&agent, &path, &id, &overlay);
}

#[test]
fn without_the_set_nothing_is_asked_and_no_thread_runs() {
    let agent = Agent::start(&["--min-interval", "1ms", "--disable", "disk"]).unwrap();
    let metrics = agent.metrics().unwrap();
    assert!(!metrics.samples.iter().any(|sample| sample.name == "container_fs_limit_bytes"));
    let tasks = std::fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap().flatten();
    let names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap());
    assert!(names.into_iter().all(|name| !name.contains("statfs") && !name.contains("fs-walk")));
}
