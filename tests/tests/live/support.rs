//! Helpers of several of these tests.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use cgtap_tests::agent::Agent;
use cgtap_tests::host::machine_of_ours;
use cgtap_tests::load::BINARY;
use serde_json::Value;

/// The load program of this package, or the one of the environment: a virtual machine has no cargo.
pub fn load() -> &'static Path {
    static FOUND: LazyLock<PathBuf> = LazyLock::new(|| match std::env::var_os(BINARY) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_BIN_EXE_cgtap-load")),
    });
    &FOUND
}

/// A file of the repository.
pub fn repository(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(file)
}

/// Held by a test that makes cgroups as fast as it can. Only one does so at a time, because each agent of this machine sees the
/// cgroups of all tests.
pub fn alone() -> MutexGuard<'static, ()> {
    static FLOOD: Mutex<()> = Mutex::new(());
    FLOOD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An agent that the next test with the same flags reuses. In a virtual machine one test runs at a time, and an emulated processor
/// takes a second to start an agent. There it is kept until a test wants other flags or fails.
pub struct Lent {
    agent: Option<Agent>,
    flags: Vec<String>,
}

/// The one that is kept.
static KEPT: Mutex<Option<(Vec<String>, Agent)>> = Mutex::new(None);

impl Lent {
    /// With the defaults, except that each scrape reads anew.
    pub fn of_defaults() -> Self {
        Self::with(&["--min-interval", "1ms"])
    }

    pub fn with(flags: &[&str]) -> Self {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).take();
        let same = kept.filter(|(with, agent)| {
            *with == flags && agent.get("/healthz").is_ok_and(|answer| answer.status == 200)
        });
        let agent = same.map_or_else(
            || Agent::start(&flags.iter().map(String::as_str).collect::<Vec<_>>()).unwrap(),
            |(_, agent)| agent,
        );
        Self { agent: Some(agent), flags }
    }
}

impl Deref for Lent {
    type Target = Agent;

    fn deref(&self) -> &Agent {
        self.agent.as_ref().unwrap()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !std::thread::panicking() && machine_of_ours().is_ok() {
            let kept = self.agent.take().map(|agent| (std::mem::take(&mut self.flags), agent));
            *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        }
    }
}

/// An event's type.
pub fn kind(event: &Value) -> &str {
    event["type"].as_str().unwrap_or_default()
}

/// The path of the cgroup that an event is about.
pub fn path(event: &Value) -> &str {
    event["cgroup"]["path"].as_str().unwrap_or_default()
}

/// Identifies a cgroup below `parent` in an event: by its path, or by its id where the path could not be read before the cgroup was
/// gone. Then the event has the parent's path and `path_cut`.
pub fn name_below(event: &Value, parent: &str) -> Option<String> {
    match path(event).strip_prefix(parent)? {
        "" if event["cgroup"]["path_cut"] == true => Some(format!("#{}", event["cgroup"]["id"])),
        "" => None,
        below => Some(below.to_owned()),
    }
}

/// Asserts that a followed stream has no gap and no `lost`.
pub fn assert_unbroken(events: &[Value]) {
    let numbers: Vec<u64> =
        events.iter().map(|e| e["seq"].as_u64().unwrap_or_else(|| panic!("no seq: {e}"))).collect();
    for (pair, event) in numbers.windows(2).zip(events.iter().skip(1)) {
        assert_eq!(pair[1], pair[0] + 1, "a gap before {event}");
    }
    let lost: Vec<&Value> = events.iter().filter(|e| kind(e) == "lost").collect();
    assert!(lost.is_empty(), "{lost:?}");
}
