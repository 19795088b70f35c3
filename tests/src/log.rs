//! Helpers that read and wait for an agent's log of events.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::agent::Agent;
use crate::http::Lines;

/// The longest wait, for a machine with ten other jobs. A test goes on as soon as the awaited thing is there.
pub const QUIET: Duration = Duration::from_secs(120);

/// An event's type.
#[must_use]
pub fn kind(event: &Value) -> &str {
    event["type"].as_str().unwrap_or_default()
}

/// The whole log of an agent.
///
/// # Panics
/// The agent does not answer.
#[must_use]
pub fn whole_log(agent: &Agent) -> Vec<Value> {
    let lines = Lines::open(agent.address, "/events?since_seq=0");
    lines.and_then(|lines| lines.until(QUIET, |_| false)).unwrap_or_else(|err| panic!("{err:#}"))
}

/// Asserts that the numbers begin at 1 without a gap or a repeat, and that there is no `lost`.
///
/// # Panics
/// They do not.
pub fn assert_unbroken_from_1(events: &[Value]) {
    for (number, event) in (1..).zip(events) {
        assert_eq!(event["seq"].as_u64(), Some(number), "{event}");
        assert_ne!(kind(event), "lost", "{event}");
    }
}

/// How many kills were reported of each process id.
///
/// # Panics
/// A kill has no process.
#[must_use]
pub fn kills(events: &[Value]) -> BTreeMap<u64, u32> {
    let mut kills = BTreeMap::new();
    for event in events.iter().filter(|event| kind(event) == "oom_kill") {
        let pid = event
            .pointer("/victim/tgid")
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("no process: {event}"));
        *kills.entry(pid).or_default() += 1;
    }
    kills
}

/// Waits until `done` returns true; calls it every few milliseconds.
///
/// # Panics
/// It takes too long.
pub fn wait_for(what: &str, within: Duration, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < within, "{what} has not happened in {within:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Prints a figure of this run, also for a test that passes: the test runner captures nothing here.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
