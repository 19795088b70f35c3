//! The agent beside a real cAdvisor 0.38.7 on one tree under load: each series agrees, or a rule has the reason.
//!
//! | module | has |
//! |---|---|
//! | [`rig`] | the cgroups, their load, and the two programs |
//! | [`history`] | cAdvisor's samples with their times |
//! | [`compare`] | the outcome of each series |
//! | [`rules`] | each intended difference, with its reason |
//! | [`newer`] | metrics that newer cAdvisors have and 0.38.7 has not |
//! | [`size`] | series and bytes of a container |
//! | [`page`] | `docs/compatibility.md` |
//!
//! It runs while no other test does, because other tests are load that the comparison does not know.
#![allow(clippy::disallowed_methods, reason = "these tests start other programs")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test with its line"
)]
#![allow(
    unreachable_pub,
    dead_code,
    reason = "one program, no users; what it shares with the live tests is not all used"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use cgtap_tests::hierarchies::Hierarchies;
use cgtap_tests::host::{cadvisor, memory_cgroups, program, skip_unless};

mod compare;
mod history;
mod newer;
mod page;
mod rig;
mod rules;
mod size;
#[path = "../live/support.rs"]
mod support;

use compare::{Comparison, Outcome};
use history::{History, Key};

/// Readings of the agent, each between two of cAdvisor.
const ROUNDS: usize = 3;

#[test]
fn both_agree_or_a_rule_says_why_not() {
    if skip_unless("both_agree_or_a_rule_says_why_not", possible()) {
        return;
    }
    let (cadvisor, rig) = (cadvisor().unwrap(), rig::Rig::start().unwrap());
    let agent = rig::agent_with_all_sets();
    let peer = rig::Cadvisor::start(&cadvisor, rig::ALL_METRICS).unwrap();
    let mut history = History::default();
    peer.wait_for(&rig.quiet).unwrap();
    history.poll_for(&peer, Duration::from_secs(3));
    let mut rounds: BTreeMap<Key, Vec<Outcome>> = BTreeMap::new();
    let mut ours = None;
    for _ in 0..ROUNDS {
        let read = agent.metrics().unwrap();
        history.poll_past(&peer, &read, &rig);
        for (key, outcome) in compare::round(&history, &read, &rig) {
            rounds.entry(key).or_default().push(outcome);
        }
        ours = Some(read);
    }
    drop((agent, peer));
    let comparison = Comparison::of(rounds, &history, &ours.unwrap());
    let sizes = size::measure(&cadvisor, &rig);
    drop(rig);
    // Past the test runner's capture, so that a good run prints its figures too.
    let figures = format!("{}\n{sizes}\n", comparison.summary());
    std::io::stderr().write_all(figures.as_bytes()).unwrap();
    page::bless(&comparison, &sizes);
    let faults = comparison.faults();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// cAdvisor 0.38.7 reads only a part of a host that has v2 alone, and the rules are for v1.
fn possible() -> Result<(), String> {
    memory_cgroups()?;
    cadvisor()?;
    program("ip", "iproute2")?;
    program("unshare", "util-linux")?;
    if Hierarchies::of_this_host().map_err(|e| e.to_string())?.memory_is_v2() {
        return Err("compares on cgroup v1, which cAdvisor 0.38.7 reads in full".to_owned());
    }
    Ok(())
}

#[test]
fn the_page_has_the_rules() {
    page::check_rules();
}
