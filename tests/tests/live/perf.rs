//! Performance events of a container count only its own processes.

use std::path::{Path, PathBuf};
use std::time::Instant;

use cgtap_tests::agent::{Agent, run_to_end};
use cgtap_tests::hierarchies::Hierarchies;
use cgtap_tests::host::{Check, root, skip_unless};
use cgtap_tests::load::Member;
use cgtap_tests::log::QUIET;

use crate::support::load;

const FAULTS: &str = "container_perf_events_total";

/// Root, and a kernel that counts by cgroup.
fn counts_by_cgroup() -> Check {
    root()?;
    let cgroups = std::fs::read_to_string("/proc/cgroups").map_err(|error| error.to_string())?;
    let controller = cgroups.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let controller = controller.into_iter().find(|fields| fields.first() == Some(&"perf_event"));
    let found = Hierarchies::of_this_host().map_err(|error| error.to_string())?;
    match controller.as_deref() {
        // Hierarchy 0 is the unified one. A hierarchy of v1 may exist without a mount.
        Some([_, "0", _, "1"]) => dir().map(|_| ()),
        Some([_, _, _, "1"]) if found.with("perf_event").is_some() => Ok(()),
        Some([_, _, _, "1"]) => {
            Err("needs the v1 hierarchy of perf_event, which is not mounted here".to_owned())
        }
        _ => Err("needs a kernel with CONFIG_CGROUP_PERF".to_owned()),
    }
}

/// The root of the hierarchy that counts performance events.
fn dir() -> Result<PathBuf, String> {
    let found = Hierarchies::of_this_host().map_err(|error| error.to_string())?;
    let counted = found.with("perf_event").or_else(|| found.unified());
    Ok(counted.ok_or("no hierarchy has perf_event, and there is no unified one")?.mount.clone())
}

/// A container's cgroup, only in this hierarchy. It is removed on drop.
struct Container {
    parent: PathBuf,
    dir: PathBuf,
    path: String,
}

impl Container {
    fn new() -> Self {
        let name = format!("cgtap-test-{}-perf", std::process::id());
        let parent = dir().unwrap().join(&name);
        let id = format!("{:064x}", std::process::id());
        let dir = parent.join(&id);
        std::fs::create_dir_all(&dir).unwrap();
        Self { parent, dir, path: format!("/{name}/{id}") }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let deadline = Instant::now() + QUIET;
        while std::fs::remove_dir(&self.dir).is_err() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        let _ = std::fs::remove_dir(&self.parent);
    }
}

/// `minflt` and `majflt` of `/proc/<pid>/stat`.
fn faults(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[7].parse::<f64>().unwrap() + fields[9].parse::<f64>().unwrap()
}

fn config(folder: &Path, text: &str) -> String {
    let file = folder.join("perf.json");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn page_faults_of_a_container_are_those_of_its_processes() {
    if skip_unless("perf::page_faults_of_a_container_are_those_of_its_processes", counts_by_cgroup()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = config(folder.path(), r#"{"core": {"events": [["page-faults", "task-clock"]]}}"#);
    let agent =
        Agent::start(&["--min-interval", "1ms", "--disable", "percpu", "--perf-events-config", &file])
            .unwrap();
    let container = Container::new();
    let labels = [("id", container.path.as_str()), ("event", "page-faults")];
    let deadline = Instant::now() + QUIET;
    // Its counters begin with the first reading after its start.
    let before = loop {
        let found = agent.metrics().unwrap().one(FAULTS, &labels).unwrap();
        assert!(found.is_some() || Instant::now() < deadline, "not counted: {}", agent.log());
        if let Some(found) = found {
            break found;
        }
    };
    assert!(before.abs() < f64::EPSILON, "{before} in an empty cgroup");
    let member = Member::with(load(), &["hold"], &container.dir, &["16"]).unwrap().0;
    let all = faults(member.pid());
    let metrics = agent.metrics().unwrap();
    let counted = metrics.one(FAULTS, &labels).unwrap().unwrap();
    let started = Member::start(load(), "sleep", &container.dir).unwrap();
    let startup = faults(started.pid());
    // Faults from before it entered are not counted, and the kernel tries some faults twice.
    assert!(counted > 0.0 && counted >= all - 2.0 * startup, "{counted} of {all}, {startup} to start");
    assert!(counted <= all * 1.1 + 16.0, "{counted} of {all}");
    let ratio = metrics.one("container_perf_events_scaling_ratio", &labels).unwrap();
    assert_eq!(ratio, Some(1.0), "software events are never set aside");
    let clock = metrics.one(FAULTS, &[("id", &container.path), ("event", "task-clock")]).unwrap();
    assert!(clock.is_some_and(|nsec| nsec > 0.0), "{clock:?}");
    let node = metrics.one(FAULTS, &[("id", "/"), ("event", "page-faults")]).unwrap();
    assert!(node.is_some_and(|node| node >= counted), "{node:?}");
    drop((member, started));
}

#[test]
fn an_unknown_event_ends_with_2_and_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    for (text, wanted) in [
        (r#"{"core": {"events": ["cyclez"]}}"#, &["cyclez", "cycles", "perf.json"][..]),
        (r#"{"core": {"event": ["cycles"]}}"#, &["`event`", "`events`", "perf.json"]),
    ] {
        let file = config(folder.path(), text);
        let args = ["serve", "--perf-events-config", &file, "--state-dir", state.to_str().unwrap()];
        let output = run_to_end(&args).unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(wanted.iter().all(|part| message.contains(part)), "{message}");
    }
}
