//! An agent that starts, runs and ends while cgroups come and go.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cgtap_tests::agent::{Agent, Options};
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::host::{Check, Rung, cpu_limit, machine_of_ours};
use cgtap_tests::load;
use cgtap_tests::log::QUIET;
use serde_json::Value;

use super::{flags, here};
use crate::support::{kind, path};
use crate::tree::assert_becomes_the_tree;

/// Cgroups that are there when the agent starts.
const BEFORE: u32 = 1_000;
/// Changes to see before they end.
const ENOUGH: usize = 50;
/// So little of a processor that cgroups come and go faster than the agent can report.
const SLOW_PERCENT: u32 = 20;

/// Ends the changes, also when a test fails, because the scope waits for them.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) fn start(rung: Rung) {
    let parent = TestCgroup::new().unwrap();
    let (top, dir) = (parent.path(), parent.memory_dir().unwrap());
    let before = here(BEFORE);
    (0..before).for_each(|number| std::fs::create_dir(dir.join(format!("before{number}"))).unwrap());
    let stop = AtomicBool::new(false);
    let agent = std::thread::scope(|scope| {
        scope.spawn(|| change(dir, before, &stop));
        let stop = StopOnDrop(&stop);
        let agent = Agent::start(&flags(rung)).unwrap();
        if rung.reports_each() {
            let follower = agent.follow(&format!("&since_seq=0&cgroup={top}")).unwrap();
            (0..ENOUGH)
                .for_each(|_| assert!(follower.next(QUIET).unwrap().is_some(), "no change is reported"));
        } else {
            std::thread::sleep(Duration::from_millis(200));
        }
        drop(stop);
        agent
    });
    let follower = agent.follow(&format!("&since_seq=0&cgroup={top}")).unwrap();
    std::fs::create_dir(dir.join("last")).unwrap();
    assert_becomes_the_tree(&agent, dir, &top);
    if rung.reports_each() {
        let last = format!("{top}/last");
        assert_alternates(&follower.until(QUIET, |event| path(event) == last).unwrap(), &parent);
    }
}

/// Makes cgroups until it must stop. It removes two of three again, and with every third one of the `before` cgroups.
fn change(dir: &Path, before: u32, stop: &AtomicBool) {
    for number in 0.. {
        std::fs::create_dir(dir.join(format!("meanwhile{number}"))).unwrap();
        if number % 3 != 0 {
            std::fs::remove_dir(dir.join(format!("meanwhile{number}"))).unwrap();
        } else if number < before {
            std::fs::remove_dir(dir.join(format!("before{number}"))).unwrap();
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Creations and removals of a path alternate. No cgroup is created that existed before, and each that was created and not removed
/// exists. No walk had to find an unreported cgroup.
fn assert_alternates(events: &[Value], parent: &TestCgroup) {
    let mut standing = BTreeSet::new();
    for event in events {
        let path = path(event).to_owned();
        assert_ne!(event["source"], "walk", "{event}");
        match kind(event) {
            "cgroup_created" => {
                assert!(!path.contains("/before"), "{event}");
                assert!(standing.insert(path), "twice: {event}");
            }
            // Cgroups of the first walk have no event of their creation.
            "cgroup_removed" => drop(standing.remove(&path)),
            other => panic!("{other}: {event}"),
        }
    }
    let below = format!("{}/", parent.path());
    let dir = |path: &String| parent.memory_dir().unwrap().join(path.strip_prefix(&below).unwrap());
    let gone: Vec<&String> = standing.iter().filter(|path| !dir(path).exists()).collect();
    assert!(gone.is_empty(), "no removal was reported of: {gone:?}");
}

/// Needs a rung that reports each cgroup or directory, and cgroups that limit processor time.
pub(super) fn can_be_slow(rung: Rung) -> Check {
    match rung {
        Rung::Walk => Err("a walk has no queue of changes that it could be late with".to_owned()),
        _ if machine_of_ours().is_ok() => Err("an emulated processor is slow in every test".to_owned()),
        _ => cpu_limit(),
    }
}

/// The agent starts, reports and ends, even with many unread records.
pub(super) fn slow_in_a_flood(rung: Rung) {
    let (parent, slow) = (TestCgroup::new().unwrap(), TestCgroup::new().unwrap());
    let dir = parent.memory_dir().unwrap();
    (0..BEFORE / 10).for_each(|number| std::fs::create_dir(dir.join(format!("before{number}"))).unwrap());
    let mut options = Options::new(&flags(rung)).unwrap();
    let enter =
        format!("echo 0 > {}/cgroup.procs; exec \"$@\"", slow.limit_cpu(SLOW_PERCENT).unwrap().display());
    options.wrapper = ["sh", "-c", &enter, "sh"].map(str::to_owned).to_vec();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                load::burst(dir, 100).unwrap();
            }
        });
        let _stop = StopOnDrop(&stop);
        let mut agent = Agent::start_with(&options).unwrap();
        let stream = agent.follow("").unwrap();
        stream.until(QUIET, |event| path(event).starts_with(&parent.path())).unwrap();
        agent.terminate(QUIET).unwrap();
    });
}
