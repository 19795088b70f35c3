//! A disk that is full, read-only or gone: the agent serves from memory, reports it, and recovers when the disk works again.

use std::path::{Path, PathBuf};
use std::process::Command;

use cgtap_tests::agent::{Agent, Options, Signal};
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::host::{memory_cgroups, mounts, skip_unless};
use cgtap_tests::load;
use cgtap_tests::log::{QUIET, assert_unbroken_from_1, kind, wait_for, whole_log};
use serde_json::Value;

/// A file system of our own, unmounted on drop.
struct Mount(PathBuf);

impl Mount {
    fn new(dir: &Path, options: &str) -> Self {
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "cgtap-test"]).arg(dir).status();
        assert!(status.unwrap().success(), "mount {}", dir.display());
        Self(dir.to_owned())
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(status.unwrap().success(), "remount {}", self.0.display());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn seq(event: &Value) -> u64 {
    event["seq"].as_u64().unwrap()
}

fn disk(agent: &Agent) -> Value {
    agent.get("/status").unwrap().json().unwrap()["events"]["disk"].clone()
}

fn healthy(agent: &Agent) -> Option<f64> {
    agent.metrics().unwrap().one("cgtap_event_log_healthy", &[]).unwrap()
}

/// Makes and removes cgroups, and checks that a follower gets all events.
fn assert_serves(agent: &Agent, cgroup: &TestCgroup, count: u32) {
    let follower = agent.follow(&format!("&types=cgroup_removed&cgroup={}", cgroup.path())).unwrap();
    load::burst(cgroup.memory_dir().unwrap(), count).unwrap();
    let heard = std::iter::from_fn(|| follower.next(QUIET).unwrap()).take(count as usize);
    let heard: Vec<Value> = heard.collect();
    assert_eq!(heard.len(), count as usize);
    assert!(heard.iter().all(|event| kind(event) == "cgroup_removed"), "{heard:?}");
}

#[test]
fn a_full_disk_is_reported_and_all_is_written_once_there_is_room() {
    let name = "disk::a_full_disk_is_reported_and_all_is_written_once_there_is_room";
    if skip_unless(name, memory_cgroups().and_then(|()| mounts())) {
        return;
    }
    let (folder, cgroup) = (tempfile::tempdir().unwrap(), TestCgroup::new().unwrap());
    let mount = Mount::new(folder.path(), "size=200k");
    let state = folder.path().join("state");
    let agent = Agent::start_in(&state, &[]).unwrap();
    assert_eq!((disk(&agent)["state"].as_str(), healthy(&agent)), (Some("ok"), Some(1.0)));
    assert_serves(&agent, &cgroup, 1000);
    wait_for("a failure", QUIET, || disk(&agent)["state"] == "failing");
    assert!(disk(&agent)["why"].as_str().unwrap().contains("No space left"), "{}", disk(&agent));
    assert_eq!(healthy(&agent), Some(0.0));
    assert_serves(&agent, &cgroup, 500);
    mount.remount("size=64m");
    wait_for("the disk's recovery", QUIET, || disk(&agent)["state"] == "ok");
    assert_serves(&agent, &cgroup, 10);
    let last = whole_log(&agent).last().unwrap()["seq"].as_u64();
    wait_for("the disk to have all", QUIET, || disk(&agent)["written_seq"].as_u64() >= last);
    let reported = disk(&agent);
    assert_eq!((reported["unsaved_records"].as_u64(), healthy(&agent)), (Some(0), Some(1.0)), "{reported}");
    wait_for("the saved state", QUIET, || state.join("cgroups.json").exists());
    drop(agent);
    // Only the disk has them now.
    let agent = Agent::start_in(&state, &[]).unwrap();
    assert_unbroken_from_1(&whole_log(&agent));
    assert!(whole_log(&agent).len() > 3000);
}

#[test]
fn after_a_stop_or_a_crash_on_a_full_disk_numbers_go_on_and_the_rest_is_lost() {
    let name = "disk::after_a_stop_or_a_crash_on_a_full_disk_numbers_go_on_and_the_rest_is_lost";
    if skip_unless(name, memory_cgroups().and_then(|()| mounts())) {
        return;
    }
    for reason in ["restart", "crash"] {
        let (folder, cgroup) = (tempfile::tempdir().unwrap(), TestCgroup::new().unwrap());
        let mount = Mount::new(folder.path(), "size=200k");
        let state = folder.path().join("state");
        let mut agent = Agent::start_in(&state, &[]).unwrap();
        assert_serves(&agent, &cgroup, 1000);
        wait_for("a failure", QUIET, || disk(&agent)["state"] == "failing");
        // What the log has left is too little for a record, and room for a small file.
        let rest = vec![b' '; 200 << 10];
        let _ = std::fs::write(folder.path().join("rest"), &rest);
        let served = seq(whole_log(&agent).last().unwrap());
        let written = disk(&agent)["written_seq"].as_u64().unwrap();
        if reason == "restart" {
            agent.terminate(QUIET).unwrap();
        }
        drop(agent);
        mount.remount("size=64m");
        let agent = Agent::start_in(&state, &[]).unwrap();
        let log = whole_log(&agent);
        let start = log.iter().rfind(|event| kind(event) == "agent_started").unwrap();
        assert_eq!(start["reason"], reason, "{start}");
        assert!(written < served && seq(start) > served, "{written} {served} {start}");
        let lost: Vec<&Value> = log.iter().filter(|event| kind(event) == "lost").collect();
        let [of_reader, of_agent] = lost[..] else { panic!("{lost:?}") };
        assert_eq!(of_reader["from_seq"].as_u64(), Some(written + 1), "{of_reader}");
        assert!(of_reader["to_seq"].as_u64() >= Some(served), "{of_reader}");
        assert_eq!(of_agent["source"], "recovered", "{of_agent}");
        let numbered: Vec<u64> = log.iter().filter_map(|event| event["seq"].as_u64()).collect();
        assert!(numbered.is_sorted_by(|a, b| a < b), "a number was given twice");
    }
}

#[test]
fn after_a_first_start_on_a_full_disk_numbers_go_on() {
    let name = "disk::after_a_first_start_on_a_full_disk_numbers_go_on";
    if skip_unless(name, memory_cgroups().and_then(|()| mounts())) {
        return;
    }
    let (folder, cgroup) = (tempfile::tempdir().unwrap(), TestCgroup::new().unwrap());
    let mount = Mount::new(folder.path(), "size=200k");
    let _ = std::fs::write(folder.path().join("rest"), vec![b' '; 300 << 10]);
    let state = folder.path().join("state");
    let agent = Agent::start_in(&state, &[]).unwrap();
    assert_serves(&agent, &cgroup, 5);
    let served = seq(whole_log(&agent).last().unwrap());
    drop(agent);
    mount.remount("size=64m");
    let log = whole_log(&Agent::start_in(&state, &[]).unwrap());
    assert_eq!(kind(&log[0]), "lost", "{}", log[0]);
    assert!(seq(&log[1]) > served, "{served}: {}", log[1]);
}

#[test]
fn a_read_only_state_directory_is_reported_and_used_once_it_is_writable() {
    let name = "disk::a_read_only_state_directory_is_reported_and_used_once_it_is_writable";
    if skip_unless(name, memory_cgroups().and_then(|()| mounts())) {
        return;
    }
    let (folder, cgroup) = (tempfile::tempdir().unwrap(), TestCgroup::new().unwrap());
    let mount = Mount::new(folder.path(), "size=64m");
    let state = folder.path().join("state");
    let first = Agent::start_in(&state, &[]).unwrap();
    assert_serves(&first, &cgroup, 50);
    let before = whole_log(&first);
    wait_for("the saved state", QUIET, || state.join("cgroups.json").exists());
    drop(first);
    mount.remount("ro");
    let agent = Agent::start_in(&state, &[]).unwrap();
    wait_for("a failure", QUIET, || disk(&agent)["state"] == "failing");
    assert!(disk(&agent)["why"].as_str().unwrap().contains("Read-only"), "{}", disk(&agent));
    assert_serves(&agent, &cgroup, 50);
    let log = whole_log(&agent);
    assert_eq!(log[..before.len()], before, "what the disk has is served");
    assert_unbroken_from_1(&log);
    mount.remount("rw");
    wait_for("the disk's recovery", QUIET, || disk(&agent)["state"] == "ok");
    let last = log.last().unwrap()["seq"].as_u64();
    wait_for("the disk to have all", QUIET, || disk(&agent)["written_seq"].as_u64() >= last);
    drop(agent);
    let agent = Agent::start_in(&state, &[]).unwrap();
    assert_eq!(whole_log(&agent)[..log.len()], log);
}

#[test]
fn a_state_directory_that_is_deleted_comes_back() {
    let name = "disk::a_state_directory_that_is_deleted_comes_back";
    if skip_unless(name, memory_cgroups()) {
        return;
    }
    let (folder, cgroup) = (tempfile::tempdir().unwrap(), TestCgroup::new().unwrap());
    let state = folder.path().join("state");
    let agent = Agent::start_in(&state, &[]).unwrap();
    assert_serves(&agent, &cgroup, 50);
    // The agent may write below it meanwhile.
    let aside = folder.path().join("aside");
    std::fs::rename(&state, &aside).unwrap();
    std::fs::remove_dir_all(&aside).unwrap();
    assert_serves(&agent, &cgroup, 50);
    wait_for("the loss to be seen", QUIET, || disk(&agent)["errors"].as_u64() > Some(0));
    wait_for("the disk's recovery", QUIET, || disk(&agent)["state"] == "ok");
    let log = whole_log(&agent);
    let last = log.last().unwrap()["seq"].as_u64();
    wait_for("the disk to have all", QUIET, || disk(&agent)["written_seq"].as_u64() >= last);
    drop(agent);
    let agent = Agent::start_in(&state, &[]).unwrap();
    assert_eq!(whole_log(&agent)[..log.len()], log, "what the memory still had is on disk again");
}

#[test]
fn two_agents_do_not_write_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let walk = ["--lifecycle-source", "walk", "--oom-source", "none"];
    let _first = Agent::start_in(folder.path(), &walk).unwrap();
    let state = folder.path().to_str().unwrap();
    let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--state-dir", state];
    args.extend(walk);
    let second = cgtap_tests::agent::run_to_end(&args).unwrap();
    let message = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(2), "{message}");
    assert!(message.contains(state) && message.contains("another cgtap"), "{message}");
}

#[test]
fn an_agent_that_waits_for_another_ends_when_it_is_ordered_to() {
    let folder = tempfile::tempdir().unwrap();
    let walk = ["--lifecycle-source", "walk", "--oom-source", "none"];
    let _first = Agent::start_in(folder.path(), &walk).unwrap();
    let options = Options::new(&walk).unwrap().in_state_dir(folder.path());
    let mut second = Agent::spawn(&options).unwrap();
    wait_for("the agent to hear SIGTERM", QUIET, || hears_sigterm(second.pid()));
    let (status, _) = second.terminate(QUIET).unwrap();
    assert_eq!(status.code(), Some(0), "{}", second.log());
}

/// By the signals that the kernel says are caught.
fn hears_sigterm(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    caught & (1 << (Signal::TERM.as_raw() - 1)) != 0
}
