//! Whose limit is met, and by whom. Each case asserts that kills reported are the kills that the kernel counted and the
//! processes that were seen to die.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::hierarchies::enable_controllers;
use cgtap_tests::host::{Rung, machine_of_ours};
use cgtap_tests::load::{self, Killed, Member};
use cgtap_tests::member::given_child_is_killed;
use cgtap_tests::time::unix_seconds;
use serde_json::Value;

use super::OOM_RUNGS;
use super::wanted::{Wanted, id_of, note_fields};
use super::watch::{HOG_MIB, LIMIT_MIB, Ours, Watch, kills_of, victim};
use crate::support::{load as program, path};

/// What the event's clock may differ from ours: it is the kernel's, turned into wall time by the agent.
const CLOCK_SECONDS: f64 = 0.05;
/// Soon met, for many kills.
const SMALL_LIMIT_MIB: u64 = 4;
/// By then the agent has compared its reports with the kernel's count.
const CROSS_CHECK: Duration = Duration::from_secs(3);

fn limited() -> (TestCgroup, PathBuf) {
    let cgroup = TestCgroup::new().unwrap();
    cgroup.limit_memory(LIMIT_MIB << 20).unwrap();
    let dir = cgroup.memory_dir().unwrap().to_owned();
    (cgroup, dir)
}

/// The events about the processes that died, one each, after comparing their number with the kernel's.
fn reported(watch: &Watch, cgroup: &TestCgroup, died: &[u32], dir: &Path) -> Vec<Value> {
    let counted = kills_of(dir);
    assert_eq!(counted, died.len() as u64, "the kernel's count against the processes that were seen to die");
    reported_for(watch, cgroup, died)
}

/// The same for a group that goes together. The kernel kills the one that it chose and then each of the group, and
/// counts the first again if it still has its memory then: one more than there were processes. A rung that has the
/// counts alone reports as many.
fn reported_together(watch: &Watch, cgroup: &TestCgroup, died: &[u32], dir: &Path) -> Vec<Value> {
    let (counted, processes) = (kills_of(dir), died.len() as u64);
    assert!((processes..=processes + 1).contains(&counted), "{counted} counted, {processes} seen to die");
    if watch.rung == Rung::MemoryEvents {
        return watch.reported(&Ours::new(died.iter().copied(), cgroup), counted);
    }
    reported_for(watch, cgroup, died)
}

/// The comparison with the kernel's count must not make a kill of what the kernel counted twice.
fn assert_stays(watch: &Watch, cgroup: &TestCgroup, events: &[Value]) {
    std::thread::sleep(CROSS_CHECK);
    let kept = watch.agent.get(&format!("/events?types=oom_kill&cgroup={}", cgroup.path())).unwrap();
    let named = events.iter().filter(|event| path(event).starts_with(&cgroup.path())).count();
    // Each answer has the losses too: watched directories lose much beside other tests.
    let kills = kept.text().unwrap().lines().filter(|line| line.contains(r#""type":"oom_kill""#)).count();
    assert_eq!(kills, named, "after a while: {}", kept.text().unwrap());
}

fn reported_for(watch: &Watch, cgroup: &TestCgroup, died: &[u32]) -> Vec<Value> {
    let events = watch.reported(&Ours::new(died.iter().copied(), cgroup), died.len() as u64);
    if events.iter().all(|event| victim(event).is_some()) {
        let victims: HashSet<u64> = events.iter().filter_map(victim).collect();
        assert_eq!(victims, died.iter().map(|&pid| u64::from(pid)).collect(), "{events:#?}");
    }
    assert_eq!(events.len(), died.len(), "{events:#?}");
    note_fields(watch.rung, &events);
    events
}

pub(super) fn leaf(watch: &Watch) {
    let (cgroup, dir) = limited();
    let killed: Vec<Killed> = (0..2).map(|_| load::hog(program(), &dir, HOG_MIB).unwrap()).collect();
    let died: Vec<u32> = killed.iter().map(|killed| killed.pid).collect();
    let events = reported(watch, &cgroup, &died, &dir);
    for event in &events {
        Wanted::leaf(&cgroup).assert(event, watch.rung);
        assert_memory(event);
        if let Some(killed) = killed.iter().find(|killed| victim(event) == Some(u64::from(killed.pid))) {
            assert_time(event, killed);
        }
    }
    let named = events.iter().filter(|event| event["cgroup"]["path"] == cgroup.path()).count();
    let metrics = watch.agent.metrics().unwrap();
    let count = metrics.one("container_oom_events_total", &[("id", &cgroup.path())]).unwrap();
    assert_eq!(count, Some(named as f64), "the metric has as many as the events that name the cgroup");
}

fn assert_memory(event: &Value) {
    let Some(anon) = event.pointer("/victim/anon_rss_bytes").and_then(Value::as_u64) else { return };
    // What the process had before it entered the cgroup is charged elsewhere.
    let (least, most) = ((LIMIT_MIB << 20) / 2, (LIMIT_MIB + 1) << 20);
    assert!((least..most).contains(&anon), "{anon} bytes under {LIMIT_MIB} MiB: {event}");
}

fn assert_time(event: &Value, killed: &Killed) {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let at = unix_seconds(event["time"].as_str().unwrap());
    let (from, to) = (seconds(killed.started) - CLOCK_SECONDS, seconds(killed.ended) + CLOCK_SECONDS);
    assert!(from <= at && at <= to, "{at} is not between {from} and {to}: {event}");
}

/// A limit that cgroups below meet too.
fn limited_with_those_below() -> (TestCgroup, PathBuf) {
    let (pod, above) = limited();
    // Before 5.11 a limit of v1 is for those below only when asked to be.
    if above.join("memory.use_hierarchy").exists() {
        let _ = std::fs::write(above.join("memory.use_hierarchy"), "1");
    }
    enable_controllers(&above);
    (pod, above)
}

/// The pod has the limit, the container in it has none.
pub(super) fn pod(watch: &Watch) {
    let (pod, above) = limited_with_those_below();
    let dir = above.join("container");
    std::fs::create_dir(&dir).unwrap();
    let killed = load::hog(program(), &dir, HOG_MIB).unwrap();
    let events = reported(watch, &pod, &[killed.pid], &dir);
    let place = (format!("{}/container", pod.path()), id_of(&dir));
    let wanted = Wanted { cgroup: place, ..Wanted::leaf(&pod) };
    events.iter().for_each(|event| wanted.assert(event, watch.rung));
}

/// No process can have looked at the cgroup before the kill: it is made by the process that is killed in it.
pub(super) fn newborn(watch: &Watch) {
    let (pod, above) = limited_with_those_below();
    let dirs: Vec<PathBuf> = (0..4).map(|number| above.join(format!("newborn{number}"))).collect();
    let died: Vec<u32> = dirs.iter().map(|dir| newborn_killed(dir)).collect();
    let counted: Vec<u64> = dirs.iter().map(|dir| kills_of(dir)).collect();
    assert_eq!(counted, [1; 4], "the kernel's counts");
    let events = reported_for(watch, &pod, &died);
    let mut named = HashSet::new();
    for event in &events {
        let place = |number: usize| format!("{}/newborn{number}", pod.path());
        let number = match victim(event) {
            Some(victim) => died.iter().position(|&pid| u64::from(pid) == victim),
            None => (0..dirs.len()).find(|&number| place(number) == path(event)),
        };
        let number = number.unwrap_or_else(|| panic!("of none of these: {event}"));
        assert!(named.insert(number), "two events for one kill: {events:#?}");
        let wanted = Wanted { cgroup: (place(number), id_of(&dirs[number])), ..Wanted::leaf(&pod) };
        wanted.assert(event, watch.rung);
    }
    if [Rung::MemoryEvents, Rung::OomControl].contains(&watch.rung) {
        assert_stays(watch, &pod, &events);
    }
}

fn newborn_killed(dir: &Path) -> u32 {
    load::newborn(program(), dir, HOG_MIB).unwrap().pid
}

/// No limit anywhere, and a process that the kernel likes least.
pub(super) fn machine(watch: &Watch) {
    let cgroup = TestCgroup::new().unwrap();
    let dir = cgroup.memory_dir().unwrap().to_owned();
    let (hog, _) = Member::with(program(), &["willing"], &dir, &["1048576"]).unwrap();
    let killed = hog.killed().unwrap();
    let events = reported(watch, &cgroup, &[killed.pid], &dir);
    // Any process may be the one that found no memory.
    let wanted = Wanted { owner: None, asked_itself: false, ..Wanted::leaf(&cgroup) };
    events.iter().for_each(|event| wanted.assert(event, watch.rung));
}

pub(super) fn group(watch: &Watch) {
    let (cgroup, dir) = limited();
    std::fs::write(dir.join("memory.oom.group"), "1").unwrap();
    let quiet: Vec<Member> =
        (0..4).map(|_| Member::with(program(), &["hold"], &dir, &["1"]).unwrap().0).collect();
    let hog = load::hog(program(), &dir, HOG_MIB).unwrap();
    let mut died = vec![hog.pid];
    died.extend(quiet.into_iter().map(|member| member.killed().unwrap().pid));
    let events = reported_together(watch, &cgroup, &died, &dir);
    let wanted = Wanted { group_kill: true, asked_itself: false, ..Wanted::leaf(&cgroup) };
    events.iter().for_each(|event| wanted.assert(event, watch.rung));
    if watch.rung.sees_decisions() {
        let incidents: HashSet<u64> = events.iter().filter_map(|event| event["incident"].as_u64()).collect();
        assert_eq!(incidents.len(), 1, "one decision for all five: {events:#?}");
    }
    assert_stays(watch, &cgroup, &events);
}

/// Each thread that meets the limit after the kill is marked by the kernel, and not counted.
pub(super) fn threads(watch: &Watch) {
    let (cgroup, dir) = limited();
    let each = HOG_MIB.to_string();
    let (hog, threads) = Member::with(program(), &["threads"], &dir, &[&each, "8"]).unwrap();
    let killed = hog.killed().unwrap();
    let counted = kills_of(&dir);
    assert_eq!(counted, 1, "one process died");
    let ours = Ours::new(threads.into_iter().chain([killed.pid]), &cgroup);
    let events = watch.reported(&ours, counted);
    assert_eq!(events.len(), 1, "one event for one process: {events:#?}");
    let wanted = Wanted { asked_itself: false, ..Wanted::leaf(&cgroup) };
    wanted.assert(&events[0], watch.rung);
}

/// Two processes die for one decision; the kernel counts one, and says which.
pub(super) fn shared(watch: &Watch) {
    let (cgroup, dir) = limited();
    let program = program().with_file_name("cgtap-load-shared");
    let (hog, other) = Member::with(&program, &[], &dir, &[&HOG_MIB.to_string()]).unwrap();
    let killed = hog.killed().unwrap();
    other.iter().for_each(|&pid| given_child_is_killed(pid).unwrap());
    assert_eq!(other.len(), 1);
    let counted = kills_of(&dir);
    assert_eq!(counted, 1, "one memory, one kill");
    let events = watch.reported(&Ours::new(other.into_iter().chain([killed.pid]), &cgroup), counted);
    assert_eq!(events.len(), 1, "{events:#?}");
    // The kernel chooses either of the two, which are as bad as each other.
    let wanted = Wanted { comm: "cgtap-load-shar", asked_itself: false, ..Wanted::leaf(&cgroup) };
    wanted.assert(&events[0], watch.rung);
}

pub(super) fn immune(watch: &Watch) {
    let (cgroup, dir) = limited();
    if dir.join("memory.oom.group").exists() {
        // All go together, but for this one.
        std::fs::write(dir.join("memory.oom.group"), "1").unwrap();
    }
    let (mut immune, _) = Member::with(program(), &["immune"], &dir, &["4"]).unwrap();
    let killed = load::hog(program(), &dir, HOG_MIB).unwrap();
    let events = reported_together(watch, &cgroup, &[killed.pid], &dir);
    let group_kill = dir.join("memory.oom.group").exists();
    let wanted = Wanted { group_kill, ..Wanted::leaf(&cgroup) };
    events.iter().for_each(|event| wanted.assert(event, watch.rung));
    assert!(immune.runs().unwrap(), "a process at -1000 is not killed");
}

/// As fast as processes can be started. An emulated processor takes its time, so there one rung gets many of them, and the
/// others few.
pub(super) fn hundred(watch: &Watch) {
    let cgroup = TestCgroup::new().unwrap();
    cgroup.limit_memory(SMALL_LIMIT_MIB << 20).unwrap();
    let dir = cgroup.memory_dir().unwrap().to_owned();
    let best = OOM_RUNGS.into_iter().find(|rung| rung.must_serve().is_ok());
    let kills = if machine_of_ours().is_err() {
        100
    } else if best == Some(watch.rung) {
        40
    } else {
        15
    };
    let died: Vec<u32> = (0..kills).map(|_| load::hog(program(), &dir, HOG_MIB).unwrap().pid).collect();
    let events = reported(watch, &cgroup, &died, &dir);
    let wanted = Wanted { limit_mib: SMALL_LIMIT_MIB, ..Wanted::leaf(&cgroup) };
    events.iter().for_each(|event| wanted.assert(event, watch.rung));
}
