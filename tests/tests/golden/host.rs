//! An agent on a recorded host.

use std::fs;
use std::path::{Path, PathBuf};

use cgtap_tests::agent::Agent;
use tempfile::TempDir;

use crate::archive::unpack;

/// Metrics that depend on the moment or on the temporary folder, not on the recorded files.
const OF_THE_MOMENT: [&str; 5] = [
    "cgtap_",
    "process_",
    "container_last_seen",
    "container_start_time_seconds",
    "container_creation_time_seconds",
];

/// Sets that are off by default. A set without a metric changes nothing.
const SETS: &str = "cpu,percpu,memory,diskIO,network,oom_event,pressure,process";

/// A recorded host in a folder, which is removed on drop.
pub struct Host(TempDir);

impl Host {
    /// Unpacks `tests/fixtures/NAME.txt`.
    pub fn recorded(name: &str) -> Self {
        let file = folder("fixtures").join(format!("{name}.txt"));
        let archive = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let root = tempfile::Builder::new().prefix("cgtap-host-").tempdir().unwrap();
        unpack(&archive, root.path()).unwrap_or_else(|e| panic!("{}: {e:#}", file.display()));
        Self(root)
    }

    /// The folder that is the host's root.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// A file of the host.
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// The flags that make `cgtap serve` read only this host, and nothing of the one that it runs on.
    pub fn flags(&self) -> [&str; 8] {
        let root = self.root().to_str().unwrap();
        ["--host-root", root, "--lifecycle-source", "walk", "--oom-source", "none", "--enable", SETS]
    }

    /// An agent that serves it.
    pub fn serve(&self) -> Agent {
        Agent::start(&self.flags()).unwrap()
    }
}

/// A folder of this package.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// `/metrics` without the samples that depend on the moment.
pub fn lasting_text(agent: &Agent) -> String {
    let answer = agent.get("/metrics").unwrap();
    assert_eq!(answer.status, 200, "{}", agent.log());
    let mut text = String::new();
    for line in answer.text().unwrap().lines().filter(|line| !is_of_the_moment(line)) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn is_of_the_moment(line: &str) -> bool {
    let name = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE ")).unwrap_or(line);
    OF_THE_MOMENT.iter().any(|prefix| name.starts_with(prefix))
}

#[test]
fn values_of_the_moment_are_kept_apart_from_facts_that_last() {
    assert!(is_of_the_moment("container_last_seen{id=\"/\"} 1"));
    assert!(is_of_the_moment("# HELP process_open_fds x") && is_of_the_moment("cgtap_cgroups 3"));
    assert!(!is_of_the_moment("container_memory_rss{id=\"/cgtap_x\"} 1"));
    assert!(!is_of_the_moment("# TYPE container_processes gauge"));
}
