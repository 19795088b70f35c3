//! An agent on one rung, and the kernel's own count.

use std::collections::HashSet;
use std::path::Path;

use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::host::{Rung, machine_of_ours};
use cgtap_tests::http::Lines;
use cgtap_tests::load;
use cgtap_tests::log::QUIET;
use serde_json::Value;

use crate::support::{self, Lent, path};

/// The limit of the loads, and the memory that they ask for.
pub(super) const LIMIT_MIB: u64 = 12;
pub(super) const HOG_MIB: u64 = LIMIT_MIB * 8;

/// An agent that reports kills by one rung only.
pub(super) struct Watch {
    pub(super) agent: Lent,
    pub(super) rung: Rung,
    stream: Lines,
    kills_before: u64,
}

/// The victims that a kill may have: the ids of our processes and their threads, and their cgroups, for the rungs that have no ids.
pub(super) struct Ours {
    pub(super) ids: HashSet<u64>,
    pub(super) path: String,
}

impl Ours {
    pub(super) fn new(ids: impl IntoIterator<Item = u32>, cgroup: &TestCgroup) -> Self {
        Self { ids: ids.into_iter().map(u64::from).collect(), path: cgroup.path() }
    }

    fn has(&self, event: &Value) -> bool {
        match victim(event) {
            Some(id) => self.ids.contains(&id),
            None => path(event).starts_with(&self.path),
        }
    }
}

/// The victim's process id, or its thread's id where the kernel has no other.
pub(super) fn victim(event: &Value) -> Option<u64> {
    event.pointer("/victim/tgid").or_else(|| event.pointer("/victim/pid")).and_then(Value::as_u64)
}

impl Watch {
    pub(super) fn start(rung: Rung, lifecycle: Option<Rung>) -> Self {
        let mut flags = vec!["--oom-source", rung.flag(), "--min-interval", "1ms"];
        flags.extend(lifecycle.iter().flat_map(|rung| ["--lifecycle-source", rung.flag()]));
        let agent = Lent::with(&flags);
        let stream = agent.follow("&types=oom_kill").unwrap();
        Self { agent, rung, stream, kills_before: kills_of_the_machine() }
    }

    /// The events about these processes, of which `count` were killed. A kill elsewhere, after
    /// theirs, shows that no further one is on its way.
    pub(super) fn reported(&self, ours: &Ours, count: u64) -> Vec<Value> {
        let on_this_machine = kills_of_the_machine() - self.kills_before;
        let mut came = 0;
        let mut events = self.stream.until(QUIET, |event| {
            came += u64::from(ours.has(event));
            came >= count
        });
        let marker = TestCgroup::new().unwrap();
        marker.limit_memory(LIMIT_MIB << 20).unwrap();
        let last = load::hog(support::load(), marker.memory_dir().unwrap(), HOG_MIB).unwrap();
        let last = Ours::new([last.pid], &marker);
        if let Ok(events) = &mut events {
            events.extend(self.stream.until(QUIET, |event| last.has(event)).unwrap());
            assert!(events.iter().any(|event| last.has(event)), "no event for a kill after the others");
            events.retain(|event| !last.has(event));
        }
        let events = events.unwrap();
        if machine_of_ours().is_ok() {
            // There are no other kills there, so no other may be reported.
            assert!(on_this_machine >= count, "{on_this_machine} kills in /proc/vmstat, {count} wanted");
            assert_eq!(events.len() as u64, count, "{events:#?}");
            assert!(events.iter().all(|event| ours.has(event)), "one is of another kill: {events:#?}");
        } else {
            assert!(on_this_machine >= count, "/proc/vmstat has {on_this_machine} kills, the cgroup {count}");
        }
        events.into_iter().filter(|event| ours.has(event)).collect()
    }
}

/// `oom_kill` of `/proc/vmstat`.
fn kills_of_the_machine() -> u64 {
    value_of(Path::new("/proc/vmstat"), "oom_kill")
}

/// `oom_kill` of a cgroup: `memory.events` of v2, or `memory.oom_control` of v1.
pub(super) fn kills_of(dir: &Path) -> u64 {
    let v2 = dir.join("memory.events");
    value_of(&if v2.exists() { v2 } else { dir.join("memory.oom_control") }, "oom_kill")
}

fn value_of(file: &Path, key: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("{} has no {key}", file.display()))
}
