//! Settings that keep a page small.

use cgtap_tests::agent::Agent;
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::host::{memory_cgroups, skip_unless};

#[test]
fn only_what_the_globs_leave_is_shown() {
    if skip_unless("shown::only_what_the_globs_leave_is_shown", memory_cgroups()) {
        return;
    }
    let (one, other) = (TestCgroup::new().unwrap(), TestCgroup::with_suffix(b"-other").unwrap());
    for of in [&one, &other] {
        std::fs::create_dir(of.memory_dir().unwrap().join("child")).unwrap();
    }
    let globs = [format!("{}{{,/**}}", one.path()), other.path(), format!("{}/*", one.path())];
    let agent = Agent::start(&[
        "--cgroup-include",
        &globs[0],
        "--cgroup-include",
        &globs[1],
        "--cgroup-exclude",
        &globs[2],
    ])
    .unwrap();
    let metrics = agent.metrics().unwrap();
    let mut wanted = vec![one.path(), other.path()];
    wanted.sort();
    assert_eq!(metrics.label_values("id").into_iter().collect::<Vec<_>>(), wanted);
    // Events are of all cgroups.
    let log = agent.get("/events").unwrap();
    assert!(String::from_utf8_lossy(&log.body).contains("agent_started"));
}

#[test]
fn a_limit_leaves_whole_cgroups_out_and_says_so() {
    if skip_unless("shown::a_limit_leaves_whole_cgroups_out_and_says_so", memory_cgroups()) {
        return;
    }
    let cgroup = TestCgroup::new().unwrap();
    let children: Vec<String> = (0..10).map(|number| format!("c{number}")).collect();
    for child in &children {
        std::fs::create_dir(cgroup.memory_dir().unwrap().join(child)).unwrap();
    }
    let agent = Agent::start(&["--max-series", "200"]).unwrap();
    let metrics = agent.metrics().unwrap();
    let of_cgroups = metrics.samples.iter().filter(|sample| !sample.label("id").is_empty()).count();
    assert!(0 < of_cgroups && of_cgroups <= 200, "{of_cgroups}");
    assert!(metrics.one("cgtap_scrape_omitted_series", &[]).unwrap().unwrap() > 0.0);
    assert!(metrics.label_values("id").contains("/"), "the root is the last to go");
    let of_ours = children
        .iter()
        .filter(|child| metrics.label_values("id").contains(format!("{}/{child}", cgroup.path()).as_str()));
    assert!(of_ours.count() < children.len(), "ten cgroups have more than 200 samples");
}

#[test]
fn a_glob_that_is_none_ends_the_start() {
    let output = cgtap_tests::agent::run_to_end(&["serve", "--cgroup-exclude", "/a/["]).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--cgroup-exclude") && said.contains("/a/["), "{said}");
}
