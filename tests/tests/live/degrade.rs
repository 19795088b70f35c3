//! Without BPF or without root the agent serves what is left, and reports which rung serves.

use std::os::unix::fs::PermissionsExt;

use cgtap_tests::agent::{Agent, Options, binary};
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::host::{Rung, bpf, lockdown, memory_cgroups, program, root, skip_unless};
use cgtap_tests::load;
use cgtap_tests::log::QUIET;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::deploy::CAPABILITIES;
use crate::support::{self, kind, path};

#[test]
fn a_walking_agent_finds_cgroups_that_come_and_go() {
    if skip_unless("degrade::a_walking_agent_finds_cgroups_that_come_and_go", memory_cgroups()) {
        return;
    }
    let agent = Agent::start(&["--lifecycle-source", "walk", "--oom-source", "none"]).unwrap();
    let status = agent.get("/status").unwrap().json().unwrap();
    assert_eq!(status["lifecycle_source"], "walk", "{status}");
    let stream = agent.follow("").unwrap();
    let cgroup = TestCgroup::new().unwrap();
    let made = cgroup.path();
    let events = stream.until(QUIET, |e| kind(e) == "cgroup_created" && path(e) == made).unwrap();
    let last = events.last().unwrap();
    assert_eq!((path(last), &last["source"]), (made.as_str(), &serde_json::json!("walk")));
    drop(cgroup);
    let events = stream.until(QUIET, |e| kind(e) == "cgroup_removed" && path(e) == made).unwrap();
    assert_eq!(events.last().map(path), Some(made.as_str()), "{events:?}");
}

#[test]
fn a_watching_agent_sees_cgroups_that_come_and_go() {
    if skip_unless("degrade::a_watching_agent_sees_cgroups_that_come_and_go", memory_cgroups()) {
        return;
    }
    let agent = Agent::start(&["--lifecycle-source", "inotify", "--walk-interval", "1h"]).unwrap();
    let status = agent.get("/status").unwrap().json().unwrap();
    assert_eq!(status["lifecycle_source"], "inotify", "{status}");
    let cgroup = TestCgroup::new().unwrap();
    let stream = agent.follow(&format!("&cgroup={}", cgroup.path())).unwrap();
    let dir = cgroup.memory_dir().unwrap().join("one/two/three");
    std::fs::create_dir_all(&dir).unwrap();
    let deepest = format!("{}/one/two/three", cgroup.path());
    let events = stream.until(QUIET, |e| path(e) == deepest).unwrap();
    assert!(events.iter().all(|e| kind(e) == "cgroup_created" && e["source"] == "inotify"), "{events:?}");
    std::fs::remove_dir(&dir).unwrap();
    let events = stream.until(QUIET, |e| kind(e) == "cgroup_removed" && path(e) == deepest).unwrap();
    assert_eq!(events.last().map(path), Some(deepest.as_str()), "{events:?}");
}

/// The agent has other ids there. It must trust the kernel's records all the same.
#[test]
fn in_a_pid_namespace_kills_have_the_kernels_ids() {
    let name = "degrade::in_a_pid_namespace_kills_have_the_kernels_ids";
    let can = memory_cgroups().and(bpf(Rung::TpBtf)).and(program("unshare", "util-linux"));
    if skip_unless(name, can) {
        return;
    }
    let mut options = Options::new(&["--oom-source", "tp_btf"]).unwrap();
    let wrapper = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"];
    options.wrapper = wrapper.map(str::to_owned).to_vec();
    let agent = Agent::start_with(&options).unwrap();
    let stream = agent.follow("&types=oom_kill").unwrap();
    let cgroup = TestCgroup::new().unwrap();
    cgroup.limit_memory(20 << 20).unwrap();
    let killed = load::hog(support::load(), cgroup.memory_dir().unwrap(), 160).unwrap();
    let events = stream.until(QUIET, |e| path(e) == cgroup.path()).unwrap();
    let victim = &events.last().unwrap()["victim"];
    assert!(victim["pid"] == killed.pid && victim["comm"] == "cgtap-load", "{events:?}");
}

#[test]
fn under_lockdown_typed_loads_serve_both_ladders() {
    let name = "degrade::under_lockdown_typed_loads_serve_both_ladders";
    if skip_unless(name, lockdown().and(memory_cgroups())) {
        return;
    }
    let agent = Agent::start(&[]).unwrap();
    let status = agent.get("/status").unwrap().json().unwrap();
    assert_eq!((&status["lifecycle_source"], &status["oom_source"]), (&"tp_btf".into(), &"fentry".into()));
    let stream = agent.follow("&types=oom_kill").unwrap();
    let cgroup = TestCgroup::new().unwrap();
    cgroup.limit_memory(20 << 20).unwrap();
    let killed = load::hog(support::load(), cgroup.memory_dir().unwrap(), 160).unwrap();
    let events = stream.until(QUIET, |e| e["victim"]["pid"] == killed.pid).unwrap();
    let kill = events.last().unwrap();
    assert_eq!(
        (&kill["victim"]["comm"], path(kill)),
        (&"cgtap-load".into(), cgroup.path().as_str()),
        "{kill}"
    );
    let limit = (&kill["limit_owner"]["id"], &kill["limit_owner"]["limit_bytes"]);
    assert_eq!(limit, (&kill["cgroup"]["id"], &(20u64 << 20).into()), "{kill}");
}

#[test]
fn another_user_gets_counters_without_bpf() {
    let name = "degrade::another_user_gets_counters_without_bpf";
    if skip_unless(name, root().and(program("setpriv", "util-linux"))) {
        return;
    }
    // The build folder may be closed to that user.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("cgtap");
    std::fs::copy(binary().unwrap(), &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    let wrapper =
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--"];
    let options =
        Options { binary: copy, wrapper: wrapper.map(str::to_owned).to_vec(), ..Options::new(&[]).unwrap() };
    let agent = Agent::start_with(&options).unwrap();
    let status = agent.get("/status").unwrap().json().unwrap();
    assert_eq!(status["lifecycle_source"], "inotify", "{status}");
    // Some kernels allow every user to watch a cgroup's counts.
    let without_root = ["none", "memory_events", "oom_control"];
    assert!(status["oom_source"].as_str().is_none_or(|s| without_root.contains(&s)), "{status}");
    assert!(
        agent.log().contains("the directories are watched"),
        "the log says which rung serves:\n{}",
        agent.log()
    );
    let metrics = agent.metrics().unwrap();
    let memory = metrics.samples.iter().filter(|s| s.name == "container_memory_usage_bytes").count();
    assert!(memory > 0, "counters are world readable, so another user has them too");
}

#[test]
fn the_capabilities_of_deploy_are_enough() {
    let name = "degrade::the_capabilities_of_deploy_are_enough";
    if skip_unless(name, bpf(Rung::TpBtf).and(program("setpriv", "util-linux"))) {
        return;
    }
    // As `LimitMEMLOCK=infinity` of the unit: before 5.11 the limit holds for BPF too. A host where it cannot be raised has a high one.
    let _ = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
    let kept = CAPABILITIES.map(|c| format!(",+{}", c.to_lowercase())).concat();
    let only = [format!("--bounding-set=-all{kept}"), "--inh-caps=-all".to_owned()];
    let wrapper = [&["setpriv".to_owned()][..], &only, &["--".to_owned()]].concat();
    let mut options = Options::new(&[]).unwrap();
    options.wrapper = wrapper;
    let agent = Agent::start_with(&options).unwrap();
    let status = agent.get("/status").unwrap().json().unwrap();
    let best = [Rung::Fentry, Rung::Kprobe, Rung::TpBtf].into_iter().find(|rung| bpf(*rung).is_ok()).unwrap();
    assert_eq!(
        (&status["lifecycle_source"], &status["oom_source"]),
        (&"tp_btf".into(), &best.flag().into()),
        "{status}"
    );
    // Also on kernels that refuse a perf buffer with these rights.
    let hooks = status["hooks"].as_array().unwrap();
    let exits = hooks.iter().find(|hook| hook["hook"] == "sched_process_exit").unwrap();
    assert!(exits["rung"].is_string(), "{exits}");
}
