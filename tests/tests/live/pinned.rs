//! With programs and rings pinned nothing is missed while the agent is replaced, and nothing has to be recovered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cgtap_tests::agent::{Agent, Options, run_to_end};
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::churn::Churn;
use cgtap_tests::host::{Rung, bpf, machine_of_ours, memory_cgroups, mounts, skip_unless};
use cgtap_tests::log::QUIET;
use cgtap_tests::soak::rounds;
use serde_json::Value;

use crate::support::{assert_unbroken, kind, load, name_below, path};

/// A BPF file system of our own, unmounted on drop with all its pins.
struct Pins(tempfile::TempDir);

impl Pins {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("bpf", folder.path(), "bpf", flags, c"").unwrap();
        Self(folder)
    }

    fn place(&self) -> PathBuf {
        self.0.path().join("cgtap")
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

fn start(state: &Path, place: &Path) -> Agent {
    let options = Options::new(&["--pin", place.to_str().unwrap()]).unwrap().in_state_dir(state);
    Agent::start_with(&options).unwrap()
}

/// Its log with all events until now. Kills have a ring of their own, so the test waits for the ends of both.
fn all_of(agent: &Agent, cgroup: &TestCgroup, killed: &[u32]) -> Vec<Value> {
    let follower = agent.follow("&since_seq=0").unwrap();
    let last = cgroup.memory_dir().unwrap().join("last");
    std::fs::create_dir(&last).unwrap();
    let wanted = format!("{}/last", cgroup.path());
    let mut unreported: BTreeSet<u64> = killed.iter().copied().map(u64::from).collect();
    let mut is_last_told = false;
    let all = |event: &Value| {
        is_last_told |= path(event) == wanted;
        if let Some(tgid) = event["victim"]["tgid"].as_u64() {
            unreported.remove(&tgid);
        }
        is_last_told && unreported.is_empty()
    };
    let log = follower.until(QUIET, all).unwrap();
    std::fs::remove_dir(last).unwrap();
    log
}

#[test]
fn restarts_under_load_miss_nothing_and_recover_nothing() {
    let name = "pinned::restarts_under_load_miss_nothing_and_recover_nothing";
    if skip_unless(name, memory_cgroups().and_then(|()| mounts()).and_then(|()| bpf(Rung::TpBtf))) {
        return;
    }
    // An emulated processor takes a second to start an agent.
    let is_machine = machine_of_ours().is_ok();
    let (rounds, rate) = if is_machine { (3, 100) } else { (rounds(6, 20), 500) };
    let (pins, state) = (Pins::new(), tempfile::tempdir().unwrap());
    let cgroup = TestCgroup::new().unwrap();
    let mut agent = start(state.path(), &pins.place());
    let churn = Churn::start(load().to_owned(), &cgroup, rate, Duration::from_millis(300)).unwrap();
    for round in 0..rounds {
        std::thread::sleep(Duration::from_millis(300));
        agent.terminate(Duration::from_secs(10)).unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(round % 4) * 100));
        agent = start(state.path(), &pins.place());
    }
    let done = churn.finish().unwrap();
    let log = all_of(&agent, &cgroup, &done.killed);
    assert_unbroken(&log);
    assert_eq!(log[0]["seq"], 1);
    let recovered: Vec<&Value> = log.iter().filter(|event| event["source"] == "recovered").collect();
    assert!(recovered.is_empty(), "{recovered:?}");
    let started = log.iter().filter(|event| kind(event) == "agent_started");
    let reasons: Vec<&str> = started.map(|event| event["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, [&["first_start"][..], &vec!["restart"; rounds as usize]].concat());
    for wanted in ["cgroup_created", "cgroup_removed"] {
        let mut reported: BTreeMap<String, u32> = BTreeMap::new();
        for event in log.iter().filter(|event| kind(event) == wanted) {
            // Under lockdown the shortest-lived cgroups have only their ids.
            let name = name_below(event, &cgroup.path());
            let churned = |name: &String| name.starts_with("/churn") || name.starts_with('#');
            if let Some(name) = name.filter(churned) {
                *reported.entry(name).or_default() += 1;
            }
        }
        assert!(reported.values().all(|times| *times == 1), "{wanted}: {reported:?}");
        assert_eq!(reported.len() as u64, done.cgroups, "{wanted}");
    }
    let kills = |pid: &u32| {
        let of = |event: &&Value| kind(event) == "oom_kill" && event["victim"]["tgid"] == *pid;
        log.iter().filter(of).count()
    };
    for pid in &done.killed {
        assert_eq!(kills(pid), 1, "kill of {pid}");
    }
}

#[test]
fn what_others_pinned_is_refused_and_replaced_on_request() {
    let name = "pinned::what_others_pinned_is_refused_and_replaced_on_request";
    if skip_unless(name, memory_cgroups().and_then(|()| mounts()).and_then(|()| bpf(Rung::TpBtf))) {
        return;
    }
    let pins = Pins::new();
    let place = pins.place();
    let state = tempfile::tempdir().unwrap();
    drop(start(state.path(), &place));
    let with = |more: &[&str]| {
        let fixed = ["serve", "--listen", "127.0.0.1:0", "--state-dir", state.path().to_str().unwrap()];
        let output = run_to_end(&[&fixed[..], &["--pin", place.to_str().unwrap()], more].concat()).unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        message
    };
    let other_settings = with(&["--oom-source", "none"]);
    assert!(
        other_settings.contains("other settings") && other_settings.contains("--pin-replace"),
        "{other_settings}"
    );
    std::fs::create_dir(place.join("foreign")).unwrap();
    let foreign = with(&[]);
    assert!(foreign.contains("foreign") && foreign.contains("not pinned by cgtap"), "{foreign}");
    let whole = pins.0.path().to_str().unwrap();
    let fixed = ["serve", "--listen", "127.0.0.1:0", "--state-dir", state.path().to_str().unwrap()];
    let refused = run_to_end(&[&fixed[..], &["--pin", whole, "--pin-replace"]].concat()).unwrap();
    assert_eq!(refused.status.code(), Some(2), "a whole file system is never replaced");
    let args = ["--pin", place.to_str().unwrap(), "--pin-replace", "--oom-source", "none"];
    let agent = Agent::start_with(&Options::new(&args).unwrap().in_state_dir(state.path())).unwrap();
    assert!(!place.join("foreign").exists());
    // It sees events through its own programs.
    let cgroup = TestCgroup::new().unwrap();
    let follower = agent.follow("&since_seq=0&types=cgroup_created").unwrap();
    assert!(!follower.until(QUIET, |event| path(event) == cgroup.path()).unwrap().is_empty());
}
