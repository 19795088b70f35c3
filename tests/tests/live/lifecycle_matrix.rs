//! Cgroups reported are the cgroups that were made, on every rung: fast, deep, with long names, after a loss, and when
//! the agent starts among many.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cgtap_tests::agent::{Agent, Signal};
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::facts;
use cgtap_tests::hierarchies::Hierarchies;
use cgtap_tests::host::{Check, Rung, bpf_probe_read, machine_of_ours, memory_cgroups, skip_unless};
use cgtap_tests::http::Lines;
use cgtap_tests::load;
use cgtap_tests::log::QUIET;
use serde::Deserialize;
use serde_json::Value;

use crate::support::{Lent, alone, kind, load as load_program, path};
use crate::tree::assert_becomes_the_tree;

mod amid_changes;

/// More than a ring of the default size holds.
const MANY: u32 = 50_000;
/// The same on an emulated processor, where one takes 2 to 14 ms to come and go: a sixteenth of both.
const MANY_EMULATED: u32 = MANY / 16;
const RING_EMULATED_BYTES: &str = "262144";
/// For the second rung of BPF: the rings and all that follows are the same.
const FEWER: u32 = 5_000;
const DEEP: usize = 30;
/// The kernel's limit of a name (`NAME_MAX`).
const NAME_BYTES: usize = 255;
/// The kernel's buffer for the paths of its tracepoints, without the NUL.
const KERNEL_PATH_BYTES: usize = 1023;

fn case(name: &str, rung: Rung, also: fn(Rung) -> Check, body: fn(Rung)) {
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    if skip_unless(name, memory_cgroups().and_then(|()| rung.must_serve()).and_then(|()| also(rung))) {
        return;
    }
    let _flood = alone();
    body(rung);
}

fn anywhere(_: Rung) -> Check {
    Ok(())
}

fn reports_each(rung: Rung) -> Check {
    if rung.reports_each() { Ok(()) } else { Err(format!("{} looks at what there is", rung.flag())) }
}

/// Only a tracepoint gives a path that may be cut. Where helpers are refused, paths are found by id and are whole.
fn cuts_paths(rung: Rung) -> Check {
    reports_each(rung).and_then(|()| bpf_probe_read())
}

macro_rules! on_each_rung {
    ($($module:ident $rung:ident),*) => {$(
        mod $module {
            const RUNG: super::Rung = super::Rung::$rung;

            #[test]
            fn a_burst() {
                super::case(concat!(module_path!(), "::a_burst"), RUNG, super::anywhere, super::burst);
            }

            #[test]
            fn a_burst_through_a_small_ring() {
                let name = concat!(module_path!(), "::a_burst_through_a_small_ring");
                super::case(name, RUNG, super::reports_each, super::small_ring);
            }

            #[test]
            fn a_container() {
                super::case(concat!(module_path!(), "::a_container"), RUNG, super::anywhere, super::container);
            }

            #[test]
            fn a_start_amid_changes() {
                let name = concat!(module_path!(), "::a_start_amid_changes");
                super::case(name, RUNG, super::anywhere, super::amid_changes::start);
            }

            #[test]
            fn a_slow_agent_in_a_flood() {
                let name = concat!(module_path!(), "::a_slow_agent_in_a_flood");
                super::case(name, RUNG, super::amid_changes::can_be_slow, super::amid_changes::slow_in_a_flood);
            }

            #[test]
            fn deep_trees_and_long_names() {
                let name = concat!(module_path!(), "::deep_trees_and_long_names");
                super::case(name, RUNG, super::anywhere, super::deep_and_long);
            }

            #[test]
            fn paths_at_the_kernels_limit() {
                let name = concat!(module_path!(), "::paths_at_the_kernels_limit");
                super::case(name, RUNG, super::cuts_paths, super::paths_at_the_limit);
            }
        }
    )*};
}

on_each_rung!(tp_btf TpBtf, tracepoint Tracepoint, inotify Inotify, walk Walk);

fn flags(rung: Rung) -> [&'static str; 4] {
    ["--lifecycle-source", rung.flag(), "--min-interval", "1ms"]
}

fn agent(rung: Rung) -> Lent {
    Lent::with(&flags(rung))
}

/// The number of cgroups on this host; a quarter on an emulated processor, where they would take most of the time.
fn here(count: u32) -> u32 {
    if machine_of_ours().is_ok() { count / 4 } else { count }
}

/// How many the full speed is tried with, once per machine with the larger number, and the agent for it.
fn burst_of(rung: Rung) -> (u32, Lent) {
    if !rung.reports_each() || (rung != Rung::TpBtf && Rung::TpBtf.must_serve().is_ok()) {
        return (here(FEWER), agent(rung));
    }
    if machine_of_ours().is_err() {
        return (MANY, agent(rung));
    }
    let smaller = ["--lifecycle-ring-bytes", RING_EMULATED_BYTES];
    (MANY_EMULATED, Lent::with(&[&flags(rung)[..], &smaller].concat()))
}

fn burst(rung: Rung) {
    let (count, agent) = burst_of(rung);
    let parent = TestCgroup::new().unwrap();
    let dir = parent.memory_dir().unwrap();
    if !rung.reports_each() {
        load::burst(dir, count).unwrap();
        (0..100).for_each(|n| std::fs::create_dir(dir.join(format!("stays{n}"))).unwrap());
        return assert_becomes_the_tree(&agent, dir, &parent.path());
    }
    let stream = agent.follow("").unwrap();
    let events = std::thread::scope(|scope| {
        scope.spawn(|| load::burst(dir, count).unwrap());
        read_burst(&stream, &parent.path(), count)
    });
    for (pair, event) in events.windows(2).zip(events.iter().skip(1)) {
        assert_eq!(pair[1].seq, pair[0].seq + 1, "a gap before {event:?}");
    }
    assert!(events.iter().all(|event| event.kind != "lost"), "records were lost");
    assert_each_once(&events, &parent.path(), count, rung);
    assert_nothing_dropped(&agent);
}

/// Events until the last cgroup of the burst is gone.
fn read_burst(stream: &Lines, parent: &str, count: u32) -> Vec<Reported> {
    let (mut gone, mut events) = (0, Vec::new());
    while gone < count
        && let Some(event) = stream.next_as::<Reported>(QUIET).unwrap()
    {
        gone += u32::from(event.kind == "cgroup_removed" && event.is_below(parent));
        events.push(event);
    }
    events
}

/// The fields of an event that a burst needs: in a virtual machine a hundred thousand whole events take long to read.
#[derive(Debug, Deserialize)]
struct Reported {
    seq: u64,
    #[serde(rename = "type")]
    kind: String,
    source: String,
    cgroup: Option<ToldOf>,
}

#[derive(Debug, Deserialize)]
struct ToldOf {
    id: Option<u64>,
    path: String,
    #[serde(default)]
    path_cut: bool,
}

impl Reported {
    /// As `support::name_below` has it.
    fn is_below(&self, parent: &str) -> bool {
        let below =
            |of: &ToldOf| of.path.strip_prefix(parent).is_some_and(|rest| !rest.is_empty() || of.path_cut);
        self.cgroup.as_ref().is_some_and(below)
    }
}

/// Each cgroup of the burst was created once and then removed once. By id: where paths are looked for by id, one event
/// of a cgroup may have its path and the other come too late for it.
fn assert_each_once(events: &[Reported], parent: &str, count: u32, rung: Rung) {
    let mut seen: HashMap<u64, Vec<&str>> = HashMap::new();
    for event in events.iter().filter(|event| event.is_below(parent)) {
        assert_eq!(event.source, rung.flag(), "{event:?}");
        let id = event.cgroup.as_ref().and_then(|cgroup| cgroup.id).unwrap();
        seen.entry(id).or_default().push(&event.kind);
    }
    assert_eq!(seen.len(), count as usize, "cgroups that any event was about");
    for (id, kinds) in seen {
        assert_eq!(kinds, ["cgroup_created", "cgroup_removed"], "cgroup {id}");
    }
}

fn assert_nothing_dropped(agent: &Agent) {
    let status = agent.get("/status").unwrap().json().unwrap();
    assert_eq!(status["lost_records"], 0, "{status}");
    let hooks = status["hooks"].as_array().unwrap();
    assert!(!hooks.is_empty(), "{status}");
    for hook in hooks {
        assert_eq!(hook["counters"]["dropped"], 0, "{hook}");
    }
}

/// A container's life, as this rung reports it.
fn container(rung: Rung) {
    let agent = agent(rung);
    let parent = TestCgroup::new().unwrap();
    let stream = agent.follow("").unwrap();
    let dirs: Vec<_> = parent.dirs().iter().map(|dir| dir.join("c".repeat(64))).collect();
    dirs.iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
    let whole = format!("{}/{}", parent.path(), "c".repeat(64));
    let mut events = stream.until(QUIET, |e| kind(e) == "cgroup_created" && path(e) == whole).unwrap();
    // A process is in one cgroup of each hierarchy; the memory's shows it to every rung.
    let member = load::Member::start(load_program(), "sleep", &dirs[memory_at(&parent)]).unwrap();
    let is_file = rung == Rung::Inotify && Hierarchies::of_this_host().unwrap().memory_is_v2();
    let mut wait_for = |wanted| {
        // The watched file has the present state, not the past.
        if is_file {
            events.extend(stream.until(QUIET, |e| kind(e) == wanted && path(e) == whole).unwrap());
        }
    };
    wait_for("container_started");
    drop(member);
    wait_for("container_exited");
    dirs.iter().for_each(|dir| std::fs::remove_dir(dir).unwrap());
    events.extend(stream.until(QUIET, |e| kind(e) == "cgroup_removed" && path(e) == whole).unwrap());
    let kinds: Vec<&str> = events.iter().filter(|e| path(e) == whole).map(kind).collect();
    assert_eq!(
        (kinds.first(), kinds.last()),
        (Some(&"cgroup_created"), Some(&"cgroup_removed")),
        "{kinds:?}"
    );
    if rung.reports_each() || is_file {
        assert_eq!(kinds, ["cgroup_created", "container_started", "container_exited", "cgroup_removed"]);
    }
    facts::note("lifecycle", rung.flag(), kinds);
}

fn memory_at(cgroup: &TestCgroup) -> usize {
    let memory = cgroup.memory_dir().unwrap();
    cgroup.dirs().iter().position(|dir| dir == memory).unwrap()
}

/// One page: the burst overruns it many times.
fn small_ring(rung: Rung) {
    let agent = Agent::start(&[&flags(rung)[..], &["--lifecycle-ring-bytes", "4096"]].concat()).unwrap();
    let stream = agent.follow("&types=lost").unwrap();
    let parent = TestCgroup::new().unwrap();
    let dir = parent.memory_dir().unwrap();
    // A stopped agent loses records for sure, also on a slow machine.
    agent.signal(Signal::STOP).unwrap();
    for number in 0..40 {
        std::fs::create_dir(dir.join(format!("stays{number}"))).unwrap();
        load::burst(dir, 20).unwrap();
    }
    agent.signal(Signal::CONT).unwrap();
    // A running agent may lose more while it repairs earlier losses.
    load::burst(dir, here(FEWER)).unwrap();
    let events = stream.until(QUIET, |e| kind(e) == "lost").unwrap();
    let lost = events.last().unwrap();
    assert!(lost["records"].as_u64().unwrap() > 0 && lost["source"] == rung.flag(), "{lost}");
    assert_becomes_the_tree(&agent, dir, &parent.path());
    assert_losses_add_up(&agent);
}

/// The agent learns of the last losses with the next record or on its next look at the counters, and a record of others
/// on this host may be seen and not sent yet.
fn assert_losses_add_up(agent: &Agent) {
    let deadline = Instant::now() + QUIET;
    loop {
        let status = agent.get("/status").unwrap().json().unwrap();
        let hooks = status["hooks"].as_array().unwrap();
        let dropped: u64 = hooks.iter().map(|hook| counter(hook, "dropped")).sum();
        if status["lost_records"].as_u64() == Some(dropped) && hooks.iter().all(adds_up) {
            return;
        }
        assert!(Instant::now() < deadline, "{dropped} dropped: {status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn adds_up(hook: &Value) -> bool {
    counter(hook, "seen") == counter(hook, "submitted") + counter(hook, "dropped")
}

fn counter(hook: &Value, name: &str) -> u64 {
    hook["counters"][name].as_u64().unwrap()
}

/// 30 levels of short names, and one of the longest name that there is.
fn deep_and_long(rung: Rung) {
    let agent = agent(rung);
    let stream = agent.follow("").unwrap();
    let parent = TestCgroup::new().unwrap();
    let (top, dir) = (parent.path(), parent.memory_dir().unwrap());
    let long = "n".repeat(NAME_BYTES);
    std::fs::create_dir(dir.join(&long)).unwrap();
    let mut deep = String::new();
    for level in 0..DEEP {
        deep.push_str(&format!("/d{level}"));
        std::fs::create_dir(dir.join(&deep[1..])).unwrap();
    }
    assert_becomes_the_tree(&agent, dir, &top);
    if !rung.reports_each() {
        return;
    }
    let last = format!("{top}{deep}");
    let events = stream.until(QUIET, |e| path(e) == last).unwrap();
    let made: Vec<&str> = events.iter().map(path).filter(|p| p.starts_with(&format!("{top}/"))).collect();
    assert_eq!(made.len(), DEEP + 1, "{made:?}");
    assert_eq!(made.first(), Some(&format!("{top}/{long}").as_str()), "in the order in which they were made");
    let cut: Vec<&Value> = events.iter().filter(|e| e["cgroup"]["path_cut"] == true).collect();
    assert!(cut.is_empty(), "no path is cut that is not longer than the kernel's buffer: {cut:?}");
}

/// One byte less than the kernel's buffer, all of it, and one byte more: a path that may be cut is marked, and a walk finds it.
fn paths_at_the_limit(rung: Rung) {
    let agent = agent(rung);
    let parent = TestCgroup::new().unwrap();
    let (top, dir) = (parent.path(), parent.memory_dir().unwrap());
    let mut above = String::new();
    while top.len() + above.len() + 1 + NAME_BYTES < KERNEL_PATH_BYTES - 1 {
        above.push_str(&format!("/{}", "a".repeat(200)));
        std::fs::create_dir(dir.join(&above[1..])).unwrap();
    }
    let stream = agent.follow("&types=cgroup_created").unwrap();
    for (bytes, may_be_cut) in
        [(KERNEL_PATH_BYTES - 1, false), (KERNEL_PATH_BYTES, true), (KERNEL_PATH_BYTES + 1, true)]
    {
        let name = "z".repeat(bytes - (top.len() + above.len() + 1));
        let whole = format!("{top}{above}/{name}");
        std::fs::create_dir(dir.join(&above[1..]).join(&name)).unwrap();
        let id = {
            use std::os::unix::fs::MetadataExt;
            std::fs::metadata(dir.join(&above[1..]).join(&name)).unwrap().ino()
        };
        let events = stream.until(QUIET, |e| e["cgroup"]["id"] == id).unwrap();
        let made = events.last().unwrap();
        assert_eq!(made["cgroup"]["path_cut"] == true, may_be_cut, "{bytes} bytes: {made}");
        assert_eq!(path(made), &whole[..bytes.min(KERNEL_PATH_BYTES)], "{bytes} bytes");
        assert_becomes_the_tree(&agent, dir, &top);
    }
}
