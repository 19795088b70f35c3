//! The cgroups of the comparison, their load, and the two programs.

use std::io::BufRead;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cgtap_tests::agent::{Agent, free_address};
use cgtap_tests::cgroup::{TestCgroup, remove_tree};
use cgtap_tests::exposition::Exposition;
use cgtap_tests::hierarchies::{Hierarchies, enable_controllers};
use cgtap_tests::http;
use cgtap_tests::log::QUIET;

use crate::support;

/// cAdvisor with nothing turned off.
pub const ALL_METRICS: &[&str] = &["-disable_metrics="];
/// The agent's sets; `cpuLoad` has values only with the load reader.
const SETS: &str = "advtcp,app,cadvisor_version,cgroup_detail,cpu,cpuLoad,cpu_topology,cpuset,disk,diskIO,hugetlb,memory,\
                    memory_detail,memory_events,memory_numa,network,oom_event,percpu,perf_event,pressure,process,\
                    referenced_memory,resctrl,sched,tcp,udp";

/// An agent with all sets and timestamps.
pub fn agent_with_all_sets() -> Agent {
    Agent::start(&["--min-interval", "1ms", "--timestamps", "--enable", SETS]).unwrap()
}

/// Containers in pods in cgroups of our own, in every hierarchy.
pub struct Rig {
    load: Vec<Running>,
    /// Directories in hierarchies where no [`TestCgroup`] is made.
    more: Vec<PathBuf>,
    roots: Vec<PathBuf>,
    top: TestCgroup,
    /// A container without a process.
    pub quiet: String,
    /// One whose process sleeps and holds memory.
    pub held: String,
    /// One that is throttled by its quota.
    pub busy: String,
    folder: tempfile::TempDir,
}

/// A process of the load, killed by its id on drop.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.load.clear();
        self.more.iter().for_each(|dir| remove_tree(dir));
    }
}

impl Rig {
    /// Makes the cgroups and starts the load.
    ///
    /// # Errors
    /// The kernel refuses a cgroup, a limit or a process.
    pub fn start() -> Result<Self> {
        let top = TestCgroup::new()?;
        let name = top.path();
        let hierarchies = Hierarchies::of_this_host()?;
        let roots: Vec<PathBuf> = hierarchies.all().iter().map(|h| h.mount.clone()).collect();
        let have: Vec<&Path> = top.dirs().iter().filter_map(|dir| dir.parent()).collect();
        let more = roots.iter().filter(|root| !have.contains(&root.as_path()));
        let more = more.map(|root| root.join(name.trim_start_matches('/'))).collect();
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let container = |number: u32| {
            format!("{name}/kubepods/burstable/pod0000000{number}-c67a-4000-8000-000000000000/{number:064x}")
        };
        let [quiet, held, busy, disk, network] = [1, 2, 3, 4, 5].map(container);
        let file = folder.path().join("written");
        let mut rig = Self { load: Vec::new(), more, roots, top, quiet, held, busy, folder };
        for path in [&rig.quiet, &rig.held, &rig.busy, &disk, &network] {
            rig.make(path)?;
        }
        rig.limit(&hierarchies);
        rig.have_disk_counted(&hierarchies, &disk)?;
        rig.run(&["hold"], &rig.held.clone(), &["24"])?;
        rig.run(&["burn", "100000000", "2"], &rig.busy.clone(), &[])?;
        rig.run(&["disk", &file.display().to_string()], &disk, &[])?;
        rig.in_own_network(&network)?;
        Ok(rig)
    }

    /// Whether a cgroup is ours.
    pub fn is_ours(&self, id: &str) -> bool {
        id == self.top.path() || id.starts_with(&format!("{}/", self.top.path()))
    }

    /// Whether a cgroup is idle.
    pub fn is_still(&self, id: &str) -> bool {
        id.starts_with(pod(&self.quiet)) || id.starts_with(pod(&self.held))
    }

    fn make(&self, path: &str) -> Result<()> {
        for root in &self.roots {
            let mut dir = root.clone();
            for name in path.split('/').filter(|name| !name.is_empty()) {
                enable_controllers(&dir);
                dir.push(name);
                if !dir.exists() {
                    std::fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
                    fill_cpuset(&dir)?;
                }
            }
        }
        Ok(())
    }

    /// Leaves out a file that the host does not have.
    fn limit(&self, hierarchies: &Hierarchies) {
        for (path, controller, file, value) in [
            (&self.quiet, "memory", "memory.soft_limit_in_bytes", "134217728"),
            (&self.quiet, "memory", "memory.limit_in_bytes", "268435456"),
            (&self.quiet, "memory", "memory.memsw.limit_in_bytes", "536870912"),
            (&self.quiet, "pids", "pids.max", "100"),
            (&self.quiet, "cpu", "cpu.shares", "512"),
            (&self.held, "memory", "memory.limit_in_bytes", "268435456"),
            (&self.busy, "cpu", "cpu.cfs_quota_us", "20000"),
        ] {
            let file = hierarchies.file(controller, path, file).filter(|file| file.exists());
            if let Some(file) = file {
                std::fs::write(&file, value).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            }
        }
    }

    /// Since Linux 6.10 transfers of a disk are counted only after a limit was set. This limit is above the speed of any disk.
    fn have_disk_counted(&self, hierarchies: &Hierarchies, path: &str) -> Result<()> {
        let device = std::fs::metadata(self.folder.path())?.dev();
        let limit = format!("{}:{} 1000000000000", rustix::fs::major(device), rustix::fs::minor(device));
        if let Some(file) = hierarchies.file("blkio", path, "blkio.throttle.write_bps_device") {
            // A part of a disk has no limits. Then nothing is counted or compared.
            let _ = std::fs::write(file, limit);
        }
        Ok(())
    }

    /// The directories of a cgroup.
    fn dirs(&self, path: &str) -> Vec<PathBuf> {
        self.roots.iter().map(|root| root.join(path.trim_start_matches('/'))).collect()
    }

    fn run(&mut self, mode: &[&str], path: &str, rest: &[&str]) -> Result<()> {
        let (dirs, mut command) = (self.dirs(path), Command::new(support::load()));
        command.args(mode);
        // `hold` enters one hierarchy. Its memory is charged to the cgroup where it was allocated.
        let memory = dirs.iter().find(|dir| dir.join("memory.stat").exists()).context("no memory")?;
        match mode.first() {
            Some(&"hold") => command.arg(memory).args(rest),
            _ => command.args(&dirs),
        };
        let waits = !mode.contains(&"burn");
        self.spawn(&mut command, waits, &dirs)
    }

    fn spawn(&mut self, command: &mut Command, waits: bool, dirs: &[PathBuf]) -> Result<()> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().context("no pipe")?;
        let id = child.id().to_string();
        self.load.push(Running(child));
        if waits {
            let mut line = String::new();
            std::io::BufReader::new(out).read_line(&mut line)?;
            if line.trim() != "ready" {
                bail!("{command:?} said {line:?}");
            }
        }
        for dir in dirs {
            std::fs::write(dir.join("cgroup.procs"), &id).with_context(|| dir.display().to_string())?;
        }
        Ok(())
    }

    fn in_own_network(&mut self, path: &str) -> Result<()> {
        let script = "ip link add eth0 type veth peer name peer0 && ip link set eth0 up && ip link set peer0 up && \
                      echo ready && exec sleep 1000";
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", script]);
        let dirs = self.dirs(path);
        self.spawn(&mut command, true, &dirs)
    }
}

/// Fills a cpuset of v1. A new one is empty: no process may enter it, and cAdvisor 0.38.7 then shows no container at all.
fn fill_cpuset(dir: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let above = dir.parent().context("no parent")?.join(file);
        if dir.join(file).exists() && above.exists() {
            std::fs::write(dir.join(file), std::fs::read(above)?)?;
        }
    }
    Ok(())
}

/// A container's pod.
fn pod(container: &str) -> &str {
    container.rsplit_once('/').map_or(container, |(pod, _)| pod)
}

/// A running cAdvisor on loopback, killed by its id on drop.
pub struct Cadvisor {
    _process: Running,
    address: SocketAddr,
    log: tempfile::NamedTempFile,
}

impl Cadvisor {
    /// Starts it with these flags. It takes each sample anew, also of idle containers.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(binary: &Path, flags: &[&str]) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(binary);
        command.arg(format!("-port={}", address.port())).args(["-listen_ip=127.0.0.1", "-logtostderr"]);
        command.args(["-housekeeping_interval=1s", "-allow_dynamic_housekeeping=false"]).args(flags);
        let log = tempfile::NamedTempFile::new()?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.reopen()?);
        Ok(Self { _process: Running(command.spawn()?), address, log })
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    /// No good answer.
    pub fn text(&self) -> Result<String> {
        let answer = http::get(self.address, "/metrics")?;
        if answer.status != 200 {
            bail!("cAdvisor answered {}", answer.status);
        }
        Ok(answer.text()?.to_owned())
    }

    /// `/metrics`, parsed.
    ///
    /// # Errors
    /// No good answer, or a line that is no sample.
    pub fn metrics(&self) -> Result<Exposition> {
        Exposition::parse(&self.text()?)
    }

    /// Waits until it shows this cgroup.
    ///
    /// # Errors
    /// It does not.
    pub fn wait_for(&self, id: &str) -> Result<()> {
        let (begun, wanted) = (Instant::now(), format!("container_memory_usage_bytes{{id=\"{id}\"}}"));
        while begun.elapsed() < QUIET {
            if self.text().is_ok_and(|text| text.contains(&wanted)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        let log = std::fs::read_to_string(self.log.path())?;
        bail!("cAdvisor did not show {id} within {QUIET:?}\n{log}")
    }
}
