//! Names from a real Docker Engine and from Podman, by Docker's API.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cgtap_tests::agent::Agent;
use cgtap_tests::exposition::Sample;
use cgtap_tests::host::{find_program, skip_unless};
use tempfile::TempDir;

use crate::image::{IMAGE, Parent, runtime, stop, write_image};
use crate::inside::{add_eth0, process_of, wait_for_network, write_and_wait_for_usage};

/// A busy machine takes some seconds to start an engine.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// The promise: within this time after its start a container has its names.
const NAMED_WITHIN: Duration = Duration::from_secs(2);

/// An engine of the test's own. The container `web` is removed on drop, and then the engine is stopped by its id.
struct Engine {
    folder: TempDir,
    child: Option<Child>,
    /// Its client, with the words before a command.
    client: Vec<String>,
    parent: Parent,
}

impl Engine {
    fn docker() -> Self {
        let folder = tempfile::Builder::new().prefix("cgtap-test-").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut command = Command::new(find_program("dockerd").unwrap());
        command.args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver", "vfs"]);
        command.args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")]);
        command.args(["--host", &format!("unix://{}", at("s"))]);
        let client = ["docker", "--host", &format!("unix://{}", at("s"))].map(str::to_owned).into();
        Self::start(command, client, folder, Parent::new("docker"))
    }

    fn podman() -> Self {
        let folder = tempfile::Builder::new().prefix("cgtap-test-").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let flags = [("--root", at("root")), ("--runroot", at("run")), ("--tmpdir", at("tmp"))];
        let fixed = ["--cgroup-manager", "cgroupfs", "--storage-driver", "vfs", "--runtime", "runc"];
        let mut client = vec!["podman".to_owned()];
        client.extend(flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
        client.extend(fixed.map(str::to_owned));
        let mut command = Command::new(find_program("podman").unwrap());
        command.args(&client[1..]).args(["system", "service", "--time", "0", &format!("unix://{}", at("s"))]);
        Self::start(command, client, folder, Parent::new("podman"))
    }

    fn start(mut command: Command, client: Vec<String>, folder: TempDir, parent: Parent) -> Self {
        let log = File::create(folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = Some(command.spawn().unwrap());
        let engine = Self { folder, child, client, parent };
        let begun = Instant::now();
        while engine.try_run(&["version"]).is_err() || !engine.socket().exists() {
            let log = || std::fs::read_to_string(engine.folder.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < READY_WITHIN, "{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        let archive = engine.folder.path().join("image.tar");
        write_image(&archive).unwrap();
        engine.run(&["load", "-i", archive.to_str().unwrap()]);
        engine
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    fn try_run(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(find_program(&self.client[0]).ok_or("no client")?);
        let output =
            command.args(&self.client[1..]).args(args).output().map_err(|error| error.to_string())?;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn run(&self, args: &[&str]) -> String {
        self.try_run(args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }

    /// A container named `web`; its id.
    fn run_web(&self, flags: &[&str]) -> String {
        let parent = self.parent.path();
        let fixed = ["run", "-d", "--name", "web", "--network", "none", "--cgroup-parent", &parent];
        let labels =
            ["--label", "team=shop", "--label", "a.b=dot", "--label", "a-b=dash", "-e", "APP_MODE=test"];
        // Without these podman raises limits, which takes more rights than root of a container has.
        let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
        let args = [&fixed[..], &labels, &limits, flags, &[IMAGE]].concat();
        self.run(&args).trim().to_owned()
    }

    fn started(&self) -> f64 {
        let text = self.run(&["inspect", "--format", "{{json .State.StartedAt}}", "web"]);
        let time = text.trim().trim_matches('"');
        let local = humantime::parse_rfc3339_weak(time.get(..19).unwrap()).unwrap();
        local.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A test may have ended before the container was made.
        let _ = self.try_run(&["rm", "-f", "web"]);
        self.child.take().into_iter().for_each(stop);
    }
}

fn agent(kind: &str, socket: &Path) -> Agent {
    let socket = format!("{kind}={}", socket.display());
    let intervals = ["--min-interval", "1ms", "--walk-source-interval", "100ms", "--fs-walk-interval", "1s"];
    let names = ["--container-env-allow", "APP_", "--runtime-sockets", &socket];
    Agent::start(&[&intervals[..], &names].concat()).unwrap()
}

/// Waits until this metric of this cgroup is as wanted.
fn row(agent: &Agent, metric: &str, id: &str, within: Duration, wanted: impl Fn(&Sample) -> bool) -> Sample {
    let since = Instant::now();
    loop {
        let metrics = agent.metrics().unwrap();
        let found = metrics.samples.into_iter().find(|s| s.name == metric && s.label("id") == id);
        if let Some(sample) = found.as_ref().filter(|sample| wanted(sample)) {
            return sample.clone();
        }
        let status = agent.get("/status").unwrap();
        assert!(since.elapsed() < within, "{metric} {id}: {found:?}\n{}", status.text().unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_named(sample: &Sample) -> bool {
    sample.label("name") == "web"
}

fn assert_labels(sample: &Sample, runtime: &str) {
    for (name, wanted) in [
        ("image", IMAGE),
        ("runtime", runtime),
        ("container", ""),
        ("pod", ""),
        ("container_label_team", "shop"),
        ("container_label_made_by", "cgtap"),
        ("container_label_a_b", "dash"),
        ("container_label_restartcount", ""),
        ("container_env_app_mode", "test"),
    ] {
        assert_eq!(sample.label(name), wanted, "{name} of {sample:?}");
    }
}

/// The container has a network namespace without interfaces.
fn assert_own_network_and_files(agent: &Agent, id: &str) {
    let pid = process_of(id);
    add_eth0(pid);
    wait_for_network(agent, id, pid);
    write_and_wait_for_usage(agent, id, pid);
}

#[test]
fn docker_gives_names_starts_and_health() {
    let name = "docker::docker_gives_names_starts_and_health";
    if skip_unless(
        name,
        runtime(&[("dockerd", "docker.io"), ("docker", "docker.io"), ("runc", "runc"), ("ip", "iproute2")]),
    ) {
        return;
    }
    let engine = Engine::docker();
    let agent = agent("docker", &engine.socket());
    let web = engine.run_web(&["--health-cmd", "busybox true", "--health-interval", "1s"]);
    let id = format!("{}/{web}", engine.parent.path());
    let sample = row(&agent, "container_last_seen", &id, NAMED_WITHIN, is_named);
    assert_labels(&sample, "docker");
    assert_own_network_and_files(&agent, &id);
    row(&agent, "container_health_state", &id, READY_WITHIN, |sample| sample.value == 1.0);
    // A second start of the same container has another time.
    for _ in 0..2 {
        let started = engine.started();
        row(&agent, "container_start_time_seconds", &id, NAMED_WITHIN, |s| {
            (0.0..1.0).contains(&(s.value - started))
        });
        engine.run(&["restart", "-t", "0", "web"]);
    }
}

#[test]
fn podman_gives_names_and_starts() {
    let name = "docker::podman_gives_names_and_starts";
    if skip_unless(name, runtime(&[("podman", "podman"), ("runc", "runc"), ("ip", "iproute2")])) {
        return;
    }
    let engine = Engine::podman();
    let agent = agent("podman", &engine.socket());
    let web = engine.run_web(&[]);
    let id = format!("{}/libpod-{web}", engine.parent.path());
    let sample = row(&agent, "container_last_seen", &id, NAMED_WITHIN, is_named);
    assert_labels(&sample, "podman");
    assert_own_network_and_files(&agent, &id);
    row(&agent, "container_health_state", &id, NAMED_WITHIN, |sample| sample.value == -1.0);
    let started = engine.started();
    row(&agent, "container_start_time_seconds", &id, NAMED_WITHIN, |s| {
        (0.0..1.0).contains(&(s.value - started))
    });
}
