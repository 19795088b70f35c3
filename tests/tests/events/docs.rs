//! `docs/events.md` has every type and field that a run has, and its examples are records.

use std::collections::BTreeSet;
use std::path::Path;

use cgtap_tests::agent::Agent;
use cgtap_tests::cgroup::limit_memory;
use cgtap_tests::hierarchies::Hierarchies;
use cgtap_tests::host::{memory_cgroups, skip_unless};
use cgtap_tests::load::{self, Member, Tree};
use cgtap_tests::log::{QUIET, kind, wait_for, whole_log};
use serde_json::Value;

use crate::support;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/events.md");
    std::fs::read_to_string(path).unwrap()
}

/// Each field of a record by its path, as `victim.pid`.
fn fields(event: &Value, above: &str, found: &mut BTreeSet<String>) {
    let Some(members) = event.as_object() else {
        found.insert(above.to_owned());
        return;
    };
    for (name, value) in members {
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        fields(value, &path, found);
    }
}

fn assert_documented<'a>(events: impl IntoIterator<Item = &'a Value>) {
    let page = page();
    let mut found = BTreeSet::new();
    for event in events {
        fields(event, "", &mut found);
        assert!(page.contains(&format!("### `{}`", kind(event))), "no such type: {event}");
    }
    let missing: Vec<&String> = found.iter().filter(|field| !page.contains(&format!("`{field}`"))).collect();
    assert!(missing.is_empty(), "docs/events.md has no {missing:?}");
}

#[test]
fn the_examples_are_records_with_documented_fields() {
    let page = page();
    let examples: Vec<Value> = page
        .lines()
        .filter(|line| line.starts_with("{\""))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|err| panic!("{err}: {line}")))
        .collect();
    assert_documented(&examples);
    let types: BTreeSet<&str> = examples.iter().map(kind).collect();
    let headings = page.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    assert_eq!(types, headings.collect(), "each type has an example");
}

#[test]
fn every_field_of_a_run_is_documented() {
    if skip_unless("docs::every_field_of_a_run_is_documented", memory_cgroups()) {
        return;
    }
    let (state, tree) = (tempfile::tempdir().unwrap(), Tree::make(1).unwrap());
    let hierarchies = Hierarchies::of_this_host().unwrap();
    let memory = &hierarchies.with("memory").unwrap().mount;
    let container = memory.join(tree.containers[0].trim_start_matches('/'));
    limit_memory(&container, 32 << 20).unwrap();
    let agent = Agent::start_in(state.path(), &[]).unwrap();
    let member = Member::start(support::load(), "sleep", &container).unwrap();
    wait_for("the container", QUIET, || {
        whole_log(&agent).iter().any(|event| kind(event) == "container_started")
    });
    agent.metrics().unwrap();
    let alone = load::the_only_kills();
    load::hog(support::load(), &container, 64).unwrap();
    drop(alone);
    drop(member);
    wait_for("its end", QUIET, || whole_log(&agent).iter().any(|event| kind(event) == "container_exited"));
    drop(agent);
    drop(tree);
    let agent = Agent::start_in(state.path(), &[]).unwrap();
    let log = whole_log(&agent);
    let types: BTreeSet<&str> = log.iter().map(kind).collect();
    for wanted in ["agent_started", "container_started", "oom_kill", "container_exited", "cgroup_removed"] {
        assert!(types.contains(wanted), "{wanted} is not in {types:?}");
    }
    assert_documented(&log);
}
