//! The thread of the event path opens no file, whichever sources serve.

use std::fs;
use std::process::{Child, Command, Stdio};

use cgtap_tests::agent::{Agent, Options};
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::host::{Rung, memory_cgroups, program, skip_unless};
use cgtap_tests::load;
use cgtap_tests::log::{QUIET, wait_for};
use rustix::process::{Pid, Signal};

use crate::support::{self, kind, path};

const THREAD: &str = "cgtap-events";
/// What opens a file, and what the thread waits in, so that a trace without either is seen to be none.
const CALLS: &str = "open,openat,openat2,open_by_handle_at,creat,epoll_wait,epoll_pwait,epoll_pwait2";
const LIMIT_MIB: u64 = 8;

#[test]
fn with_the_best_sources() {
    traced("event_path::with_the_best_sources", Rung::TpBtf, &[]);
}

#[test]
fn with_watched_directories_and_counts() {
    let name = "event_path::with_watched_directories_and_counts";
    let rung = if Rung::OomControl.must_serve().is_ok() { Rung::OomControl } else { Rung::MemoryEvents };
    traced(name, rung, &["--lifecycle-source", "inotify", "--oom-source", rung.flag()]);
}

#[test]
fn with_walks_and_the_kernel_log() {
    let flags = ["--lifecycle-source", "walk", "--oom-source", "kmsg"];
    traced("event_path::with_walks_and_the_kernel_log", Rung::Kmsg, &flags);
}

fn traced(name: &str, rung: Rung, flags: &[&str]) {
    let tools = memory_cgroups().and_then(|()| program("strace", "strace"));
    if skip_unless(name, tools.and_then(|()| rung.must_serve()).and_then(|()| may_trace())) {
        return;
    }
    let agent = Agent::start_with(&Options::new(flags).unwrap()).unwrap();
    let trace = Trace::of(agent.pid());
    let stream = agent.follow("&types=cgroup_created,oom_kill,cgroup_removed").unwrap();
    let cgroup = TestCgroup::new().unwrap();
    let killed_in = cgroup.path();
    cgroup.limit_memory(LIMIT_MIB << 20).unwrap();
    let until = |wanted: &str| {
        let is = |event: &serde_json::Value| kind(event) == wanted && path(event) == killed_in;
        let events = stream.until(QUIET, is).unwrap();
        assert!(events.iter().any(is), "{wanted} of {killed_in} did not come");
    };
    // A walk finds only what is there at that moment.
    until("cgroup_created");
    load::hog(support::load(), cgroup.memory_dir().unwrap(), LIMIT_MIB * 8).unwrap();
    until("oom_kill");
    drop(cgroup);
    until("cgroup_removed");
    // What is done now and then is done once more meanwhile.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let calls = trace.end();
    assert!(calls.contains("epoll"), "nothing was traced: {calls}");
    let opened: Vec<&str> =
        calls.lines().filter(|line| line.contains("open") || line.contains("creat(")).collect();
    assert!(opened.is_empty(), "{opened:#?}");
}

/// Tracing another process may be forbidden, by a security module or for want of a right.
fn may_trace() -> Result<(), String> {
    let tried = Command::new("strace").args(["-o", "/dev/null", "sleep", "0"]).output();
    match tried {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("needs to trace: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("needs strace: {error}")),
    }
}

/// The calls of the one thread.
struct Trace {
    strace: Child,
    out: tempfile::NamedTempFile,
}

impl Trace {
    fn of(agent: u32) -> Self {
        let tasks = format!("/proc/{agent}/task");
        let named = |task: &fs::DirEntry| {
            fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == THREAD)
        };
        let threads: Vec<fs::DirEntry> = fs::read_dir(&tasks).unwrap().flatten().filter(named).collect();
        let [thread] = &threads[..] else { panic!("threads named {THREAD}: {threads:?}") };
        let out = tempfile::NamedTempFile::new().unwrap();
        let id = thread.file_name().into_string().unwrap();
        let mut strace = Command::new("strace");
        strace.args(["-p", &id, "-e", &format!("trace={CALLS}"), "-o"]).arg(out.path());
        let strace = strace.stderr(Stdio::null()).spawn().unwrap();
        let status = thread.path().join("status");
        let is_traced = || fs::read_to_string(&status).is_ok_and(|text| !text.contains("TracerPid:\t0\n"));
        wait_for("strace to attach", QUIET, is_traced);
        Self { strace, out }
    }

    fn end(mut self) -> String {
        // It lets go of the thread and writes what it has.
        rustix::process::kill_process(Pid::from_child(&self.strace), Signal::INT).unwrap();
        self.strace.wait().unwrap();
        fs::read_to_string(self.out.path()).unwrap()
    }
}
