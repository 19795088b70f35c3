//! Killed at any moment, the agent goes on without a gap or a repeat, and every OOM kill is reported once.
//!
//! The live tests of machines contain this file too, so it uses only what both `support` modules have.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cgtap_tests::agent::{Agent, Options, Signal};
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::churn::Churn;
use cgtap_tests::host::{Rung, machine_of_ours, memory_cgroups, mounts, program, skip_unless};
use cgtap_tests::load;
use cgtap_tests::log::{QUIET, assert_unbroken_from_1, kills, kind, say, wait_for, whole_log};
use cgtap_tests::soak::rounds;
use serde_json::Value;

use crate::support;

/// Random pauses: different in each run, and the same for one seed.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
        say(&format!("seed {seed}"));
        Self(u64::from(seed) | 1)
    }

    fn next(&mut self, below_msec: u64) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((self.0 >> 33) % below_msec)
    }
}

/// Follows the events until the agent is killed. Returns them by number.
fn follow_until_killed(agent: Agent, after: Duration, seen: &mut BTreeMap<u64, Value>) {
    let follower = agent.follow("&since_seq=0").ok();
    std::thread::sleep(after);
    // The agent must not have died by itself.
    agent.signal(Signal::KILL).unwrap();
    drop(agent);
    let Some(follower) = follower else { return };
    while let Ok(Some(event)) = follower.next(QUIET) {
        let Some(seq) = event["seq"].as_u64() else { panic!("lost: {event}") };
        if let Some(before) = seen.insert(seq, event.clone()) {
            assert_eq!(before, event, "two events have one number");
        }
    }
}

/// The kernel's count of the cgroup's own kills.
fn counted_kills(dir: &Path) -> usize {
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).ok();
    let text = read("memory.events.local").or_else(|| read("memory.oom_control")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).unwrap().parse().unwrap()
}

/// The agent's last saved `agent.json`.
fn saved(state: &Path) -> Value {
    let text = std::fs::read_to_string(state.join("agent.json")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn change_saved(state: &Path, change: impl FnOnce(&mut Value)) {
    let mut agent = saved(state);
    change(&mut agent);
    std::fs::write(state.join("agent.json"), agent.to_string()).unwrap();
}

/// Whether it has saved its place in the kernel log, and what it knows of cgroups.
fn has_saved_all(state: &Path) -> bool {
    saved(state)["settled"]["log_sequence"].is_u64() && state.join("cgroups.json").exists()
}

fn path_of(event: &Value) -> &str {
    event["cgroup"]["path"].as_str().unwrap_or_default()
}

#[test]
fn killed_at_any_moment_it_goes_on_without_gap_or_repeat_and_reports_every_kill_once() {
    let name = "crash::killed_at_any_moment_it_goes_on_without_gap_or_repeat_and_reports_every_kill_once";
    if skip_unless(name, memory_cgroups().and_then(|()| Rung::Kmsg.must_serve())) {
        return;
    }
    let _alone = load::the_only_kills();
    // An emulated processor takes seconds to start an agent.
    let is_machine = machine_of_ours().is_ok();
    let (rounds, early_each, rate, kill_every) =
        if is_machine { (2, 2, 100, 500) } else { (rounds(12, 200), 4, 500, 200) };
    let state = tempfile::tempdir().unwrap();
    let (mut moments, mut seen) = (Moments::new(), BTreeMap::new());
    let cgroup = TestCgroup::new().unwrap();
    // An agent that runs from the start knows where counting begins.
    let first = Agent::start_in(state.path(), &[]).unwrap();
    wait_for("the saved state", QUIET, || has_saved_all(state.path()));
    drop(first);
    let churn =
        Churn::start(support::load().to_owned(), &cgroup, rate, Duration::from_millis(kill_every)).unwrap();
    for round in 0..rounds {
        if round % early_each == early_each - 1 {
            // The kill may come before the agent is ready.
            let agent = Agent::spawn(&Options::new(&[]).unwrap().in_state_dir(state.path())).unwrap();
            follow_until_killed(agent, moments.next(250), &mut seen);
        } else {
            follow_until_killed(Agent::start_in(state.path(), &[]).unwrap(), moments.next(1500), &mut seen);
        }
        std::thread::sleep(moments.next(300));
    }
    let agent = Agent::start_in(state.path(), &[]).unwrap();
    let done = churn.finish().unwrap();
    let reported = || {
        let reported = kills(&whole_log(&agent));
        done.killed.iter().all(|pid| reported.contains_key(&u64::from(*pid)))
    };
    let begun = std::time::Instant::now();
    while !reported() && begun.elapsed() < QUIET {
        std::thread::sleep(Duration::from_millis(50));
    }
    // A repeat would come with the next reading of the kernel's count.
    std::thread::sleep(Duration::from_secs(3));
    let log = whole_log(&agent);
    assert_unbroken_from_1(&log);
    for (seq, event) in &seen {
        assert_eq!(
            &log[usize::try_from(*seq).unwrap() - 1],
            event,
            "differs from the record before the crash"
        );
    }
    let reported = kills(&log);
    let unreported: Vec<&u32> =
        done.killed.iter().filter(|pid| !reported.contains_key(&u64::from(**pid))).collect();
    assert!(
        unreported.is_empty(),
        "{unreported:?} of {:?} were not reported, these were: {reported:?}",
        done.killed
    );
    assert!(reported.values().all(|times| *times == 1), "{reported:?}");
    let counted = counted_kills(&cgroup.memory_dir().unwrap().join("victims"));
    assert_eq!(done.killed.len(), counted, "the kernel's count is the judge");
    let recovered =
        log.iter().filter(|event| kind(event) == "oom_kill" && event["source"] == "recovered").count();
    let crashes = log.iter().filter(|event| event["reason"] == "crash").count();
    assert!(crashes >= rounds as usize / 2, "{crashes} of {rounds}");
    say(&format!(
        "{rounds} rounds: {} events, {} of them seen by followers, {} kills, {recovered} recovered, {crashes} starts after a crash",
        log.len(),
        seen.len(),
        reported.len()
    ));
}

/// Where `/dev/kmsg` cannot be read, as in many containers.
#[test]
fn without_the_kernel_log_the_counts_say_how_many_and_where() {
    let name = "crash::without_the_kernel_log_the_counts_say_how_many_and_where";
    if skip_unless(
        name,
        memory_cgroups().and_then(|()| mounts()).and_then(|()| program("unshare", "util-linux")),
    ) {
        return;
    }
    let _alone = load::the_only_kills();
    let state = tempfile::tempdir().unwrap();
    let start = || {
        let mut options = Options::new(&[]).unwrap().in_state_dir(state.path());
        let script = "mount --bind /dev/null /dev/kmsg && exec \"$@\"";
        options.wrapper = ["unshare", "-m", "sh", "-c", script, "sh"].map(str::to_owned).to_vec();
        Agent::start_with(&options).unwrap()
    };
    // Its path sorts before those of the others.
    let beside = TestCgroup::new().unwrap();
    let (old, new) = (TestCgroup::new().unwrap(), TestCgroup::new().unwrap());
    let kill = |cgroup: &TestCgroup| {
        cgroup.limit_memory(8 << 20).unwrap();
        load::hog(support::load(), cgroup.memory_dir().unwrap(), 64).unwrap();
    };
    // A kill before any agent must not be reported.
    kill(&old);
    let agent = start();
    kill(&old);
    let reported_at = |agent: &Agent, path: &str| {
        let log = whole_log(agent);
        let of = |event: &&Value| kind(event) == "oom_kill" && path_of(event) == path;
        log.iter().filter(of).map(|event| event["source"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let reported = |agent: &Agent, cgroup: &TestCgroup| reported_at(agent, &cgroup.path());
    wait_for("the first kill", QUIET, || reported(&agent, &old).len() == 1);
    let log = whole_log(&agent);
    let first = log.iter().rfind(|event| kind(event) == "oom_kill" && path_of(event) == old.path()).unwrap();
    // The next agent must know which kills this one has reported.
    wait_for("that to be saved", QUIET, || {
        saved(state.path())["settled"]["seq"].as_u64() >= first["seq"].as_u64()
    });
    drop(agent);
    (0..3).for_each(|_| kill(&old));
    (0..2).for_each(|_| kill(&new));
    // Kills while an agent starts must not count as missing ones.
    let churn = Churn::start(support::load().to_owned(), &beside, 2, Duration::ZERO).unwrap();
    let agent = start();
    let killed_beside = churn.finish().unwrap().killed.len();
    // A kill at the very moment of a reading of the counts may have no certain cgroup.
    let victims = format!("{}/victims", beside.path());
    let reported_beside = || reported_at(&agent, &victims).len() + reported_at(&agent, "").len();
    wait_for("the other kills", QUIET, || {
        reported(&agent, &old).len() + reported(&agent, &new).len() >= 6 && reported_beside() >= killed_beside
    });
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(reported(&agent, &old)[1..], ["recovered"; 3]);
    assert_eq!(reported(&agent, &new), ["recovered"; 2]);
    assert_eq!(reported_beside(), killed_beside, "{} without a place", reported_at(&agent, "").len());
    let of_old = agent.metrics().unwrap().one("container_oom_events_total", &[("id", &old.path())]).unwrap();
    assert_eq!(of_old, Some(4.0), "the count goes on over the crash");
}

/// The agent has counted, and does not know yet the position of the kernel log at that time.
#[test]
fn after_a_crash_at_the_first_start_kills_are_recovered_from_the_count() {
    let name = "crash::after_a_crash_at_the_first_start_kills_are_recovered_from_the_count";
    if skip_unless(name, memory_cgroups()) {
        return;
    }
    let _alone = load::the_only_kills();
    let state = tempfile::tempdir().unwrap();
    let cgroup = TestCgroup::new().unwrap();
    cgroup.limit_memory(8 << 20).unwrap();
    let agent = Agent::start_in(state.path(), &[]).unwrap();
    wait_for("the saved state", QUIET, || state.path().join("cgroups.json").exists());
    drop(agent);
    change_saved(state.path(), |agent| agent["settled"]["log_sequence"] = Value::Null);
    load::hog(support::load(), cgroup.memory_dir().unwrap(), 64).unwrap();
    let agent = Agent::start_in(state.path(), &[]).unwrap();
    let follower = agent.follow("&since_seq=0&types=oom_kill").unwrap();
    let kill = follower.next(QUIET).unwrap().unwrap();
    assert_eq!((path_of(&kill), &kill["source"]), (cgroup.path().as_str(), &Value::from("recovered")));
    assert!(kill["victim"]["tgid"].is_null(), "the log has older kills too: {kill}");
}

/// The first save is enough: an agent may crash before it makes another.
#[test]
fn a_kill_after_a_crash_before_the_agent_was_ready_has_its_process() {
    let name = "crash::a_kill_after_a_crash_before_the_agent_was_ready_has_its_process";
    if skip_unless(name, memory_cgroups().and_then(|()| Rung::Kmsg.must_serve())) {
        return;
    }
    let _alone = load::the_only_kills();
    let state = tempfile::tempdir().unwrap();
    let cgroup = TestCgroup::new().unwrap();
    cgroup.limit_memory(8 << 20).unwrap();
    // A kill that no agent may report.
    load::hog(support::load(), cgroup.memory_dir().unwrap(), 64).unwrap();
    let agent = Agent::spawn(&Options::new(&[]).unwrap().in_state_dir(state.path())).unwrap();
    wait_for("the first save", QUIET, || state.path().join("agent.json").exists());
    agent.signal(Signal::KILL).unwrap();
    drop(agent);
    load::hog(support::load(), cgroup.memory_dir().unwrap(), 64).unwrap();
    let agent = Agent::start_in(state.path(), &[]).unwrap();
    let follower = agent.follow("&since_seq=0&types=oom_kill").unwrap();
    // Where the first agent was ready in time, it had not saved what it knew: `lost` comes before.
    let kill = follower.until(QUIET, |event| kind(event) == "oom_kill").unwrap().pop().unwrap();
    // It has its path too, unless there were many kills before: in 5 s the kernel writes the line with the path ten times.
    assert_eq!(kill["source"], "recovered", "{kill}");
    assert!(kill["victim"]["tgid"].is_u64(), "{kill}");
    assert_eq!(kills(&whole_log(&agent)).len(), 1);
}

/// The files that the last agent left are deleted while none runs.
#[test]
fn without_the_saved_state_the_stream_says_that_events_may_be_missing() {
    let name = "crash::without_the_saved_state_the_stream_says_that_events_may_be_missing";
    if skip_unless(name, memory_cgroups()) {
        return;
    }
    let _alone = load::the_only_kills();
    let state = tempfile::tempdir().unwrap();
    let cgroup = TestCgroup::new().unwrap();
    cgroup.limit_memory(8 << 20).unwrap();
    let agent = Agent::start_in(state.path(), &[]).unwrap();
    wait_for("the saved state", QUIET, || has_saved_all(state.path()));
    drop(agent);
    std::fs::write(state.path().join("agent.json"), "{").unwrap();
    load::hog(support::load(), cgroup.memory_dir().unwrap(), 64).unwrap();
    for _ in 0..2 {
        let agent = Agent::start_in(state.path(), &[]).unwrap();
        let lost: Vec<Value> = whole_log(&agent).into_iter().filter(|event| kind(event) == "lost").collect();
        assert_eq!(lost.len(), 1, "{lost:?}");
        assert_eq!((&lost[0]["source"], &lost[0]["records"]), (&Value::from("recovered"), &Value::Null));
        wait_for("the saved state", QUIET, || has_saved_all(state.path()));
    }
}

/// The agent has reported a cgroup, and has saved nothing yet.
#[test]
fn after_a_crash_at_the_first_start_removals_are_reported_and_older_cgroups_are_not() {
    let name = "crash::after_a_crash_at_the_first_start_removals_are_reported_and_older_cgroups_are_not";
    if skip_unless(name, memory_cgroups()) {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let cgroup = TestCgroup::new().unwrap();
    let agent = Agent::start_in(state.path(), &[]).unwrap();
    let went = cgroup.memory_dir().unwrap().join("went");
    std::fs::create_dir(&went).unwrap();
    let reported = |agent: &Agent| {
        let mut log = whole_log(agent);
        log.retain(|event| path_of(event).starts_with(&cgroup.path()));
        log.iter().map(|event| (kind(event).to_owned(), event["source"] == "recovered")).collect::<Vec<_>>()
    };
    let created = ("cgroup_created".to_owned(), false);
    wait_for("the cgroup", QUIET, || reported(&agent) == [created.clone()]);
    wait_for("the saved state", QUIET, || state.path().join("cgroups.json").exists());
    drop(agent);
    std::fs::remove_file(state.path().join("cgroups.json")).unwrap();
    std::fs::remove_dir(&went).unwrap();
    let agent = Agent::start_in(state.path(), &[]).unwrap();
    assert_eq!(reported(&agent), [created, ("cgroup_removed".to_owned(), true)]);
}

/// As far as a test can do it: the saved state of the last agent has another boot.
#[test]
fn after_a_reboot_what_was_there_is_gone_and_what_is_there_is_new() {
    let name = "crash::after_a_reboot_what_was_there_is_gone_and_what_is_there_is_new";
    if skip_unless(name, memory_cgroups()) {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let cgroup = TestCgroup::new().unwrap();
    let agent = Agent::start_in(state.path(), &[]).unwrap();
    // Both files are there.
    wait_for("the saved state", QUIET, || state.path().join("cgroups.json").exists());
    drop(agent);
    change_saved(state.path(), |agent| agent["boot_id"] = "another".into());
    let agent = Agent::start_in(state.path(), &[]).unwrap();
    let log = whole_log(&agent);
    let start = log.iter().rposition(|event| kind(event) == "agent_started").unwrap();
    assert_eq!(log[start]["reason"], "reboot");
    let of = |event: &&Value| path_of(event) == cgroup.path();
    let reported: Vec<(&str, &str)> =
        log[start..].iter().filter(of).map(|e| (kind(e), e["source"].as_str().unwrap())).collect();
    assert_eq!(reported, [("cgroup_removed", "recovered"), ("cgroup_created", "recovered")]);
}
