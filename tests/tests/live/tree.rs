//! The set of cgroups is the tree: through renames and cut paths.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use cgtap_tests::agent::Agent;
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::hierarchies::Hierarchies;
use cgtap_tests::host::{Check, Rung, bpf, bpf_probe_read, memory_cgroups, skip_unless};
use cgtap_tests::log::QUIET;

use crate::support::{Lent, kind, path};

/// The kernel's buffer for the paths of its tracepoints, without the NUL.
const KERNEL_PATH_BYTES: usize = 1023;

fn needs_events() -> Check {
    memory_cgroups().and(bpf(Rung::TpBtf))
}

/// The cgroups that the agent shows below a cgroup.
fn shown(agent: &Agent, parent: &str) -> BTreeSet<String> {
    let metrics = agent.metrics().unwrap();
    let below = format!("{parent}/");
    metrics.label_values("id").into_iter().filter(|id| id.starts_with(&below)).map(str::to_owned).collect()
}

/// The cgroups that exist below a cgroup, in its memory hierarchy.
fn there_is(dir: &Path, parent: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten().filter(|e| e.file_type().unwrap().is_dir()) {
        let path = format!("{parent}/{}", entry.file_name().to_string_lossy());
        found.extend(there_is(&entry.path(), &path));
        found.insert(path);
    }
    found
}

/// Waits until the agent shows the existing cgroups; a walk after a loss takes a moment.
pub fn assert_becomes_the_tree(agent: &Agent, dir: &Path, parent: &str) {
    let deadline = Instant::now() + QUIET;
    loop {
        let (shown, there_is) = (shown(agent, parent), there_is(dir, parent));
        if shown == there_is {
            return;
        }
        let differ: Vec<&String> = shown.symmetric_difference(&there_is).take(5).collect();
        assert!(Instant::now() < deadline, "{} shown, {} there; {differ:?}", shown.len(), there_is.len());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_rename_is_followed_with_all_below() {
    let v1 = || match Hierarchies::of_this_host() {
        Ok(hierarchies) if hierarchies.memory_is_v2() => Err("cgroup v2 has no rename".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    if skip_unless("tree::a_rename_is_followed_with_all_below", needs_events().and(v1())) {
        return;
    }
    let agent = Lent::of_defaults();
    let stream = agent.follow("").unwrap();
    let parent = TestCgroup::new().unwrap();
    let (top, dir) = (parent.path(), parent.memory_dir().unwrap());
    std::fs::create_dir_all(dir.join("old/child")).unwrap();
    std::fs::rename(dir.join("old"), dir.join("new")).unwrap();
    let last = format!("{top}/old/child");
    let events = stream.until(QUIET, |e| kind(e) == "cgroup_removed" && path(e) == last).unwrap();
    let moved: Vec<(&str, &str, &str)> = events
        .iter()
        .filter(|e| e["renamed_from"].is_string())
        .map(|e| (kind(e), path(e), e["renamed_from"].as_str().unwrap()))
        .collect();
    let (new, old) = (format!("{top}/new"), format!("{top}/old"));
    let (new_child, old_child) = (format!("{new}/child"), format!("{old}/child"));
    assert_eq!(
        moved,
        [("cgroup_created", new.as_str(), old.as_str()), ("cgroup_created", &new_child, &old_child)]
    );
    assert_becomes_the_tree(&agent, dir, &top);
}

#[test]
fn a_path_beyond_the_kernels_buffer_is_marked_and_then_found() {
    let name = "tree::a_path_beyond_the_kernels_buffer_is_marked_and_then_found";
    // Where helpers are refused, paths are found by id and are whole.
    if skip_unless(name, needs_events().and(bpf_probe_read())) {
        return;
    }
    let agent = Lent::of_defaults();
    let stream = agent.follow("").unwrap();
    let parent = TestCgroup::new().unwrap();
    let (top, dir) = (parent.path(), parent.memory_dir().unwrap());
    let mut names = Vec::new();
    // A path that fills the buffer to its last byte is marked too: it looks like a longer one.
    while top.len() + names.len() * 201 < KERNEL_PATH_BYTES {
        names.push(char::from(b'a' + u8::try_from(names.len()).unwrap()).to_string().repeat(200));
        std::fs::create_dir(dir.join(names.join("/"))).unwrap();
    }
    let whole = format!("{top}/{}", names.join("/"));
    let events = stream.until(QUIET, |e| e["cgroup"]["path_cut"] == true).unwrap();
    let cut = events.last().unwrap();
    // A path never ends with the slash that a cut may leave.
    assert_eq!(path(cut), whole[..KERNEL_PATH_BYTES].trim_end_matches('/'), "what the kernel gave");
    let uncut = events.iter().filter(|e| kind(e) == "cgroup_created" && e["cgroup"]["path_cut"].is_null());
    assert_eq!(
        uncut.filter(|e| path(e).starts_with(&top)).count(),
        names.len(),
        "the parent and all but the last"
    );
    // The walk that follows reports the rest.
    assert_becomes_the_tree(&agent, dir, &top);
    std::fs::remove_dir(dir.join(names.join("/"))).unwrap();
    let gone = stream.until(QUIET, |e| kind(e) == "cgroup_removed" && path(e).starts_with(&top)).unwrap();
    assert_eq!(path(gone.last().unwrap()), whole);
}
