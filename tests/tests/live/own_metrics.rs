//! The agent's own metrics are those that `docs/metrics.md` declares, and no others.

use std::collections::{BTreeMap, BTreeSet};

use cgtap_tests::agent::Agent;

const PAGE: &str = include_str!("../../../docs/metrics.md");

/// Metrics with labels whose series exist from the start.
const AT_ONCE: [&str; 5] = [
    "cgtap_build_info",
    "cgtap_hook_attached",
    "cgtap_kernel_records_total",
    "cgtap_final_samples_total",
    "cgtap_container_fs_looks_total",
];

/// A row of the page.
struct Declared {
    kind: &'static str,
    labels: BTreeSet<&'static str>,
}

fn declared() -> BTreeMap<&'static str, Declared> {
    let sections = PAGE.split("\n## ");
    let own: Vec<&str> = sections.filter(|section| section.starts_with("The agent's own\n")).collect();
    let rows = own[0].lines().filter_map(|line| line.strip_prefix("| `cgtap_").and(line.strip_prefix("| ")));
    let row = |row: &'static str| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let labels = cells[3].split(", ").map(|label| label.trim_matches('`'));
        let labels = labels.filter(|label| !label.is_empty()).collect();
        (cells[0].trim_matches('`'), Declared { kind: cells[2], labels })
    };
    rows.map(row).collect()
}

fn kernel_counts_kills() -> bool {
    std::fs::read_to_string("/proc/vmstat").unwrap().lines().any(|line| line.starts_with("oom_kill "))
}

#[test]
fn a_new_agent_shows_what_the_page_declares() {
    // With `--max-series` the page counts what it leaves out.
    let flags = ["--lifecycle-source", "walk", "--oom-source", "none", "--max-series", "1000000"];
    let metrics = Agent::start(&flags).unwrap().metrics().unwrap();
    let declared = declared();
    assert!(declared.len() > 50, "{} rows", declared.len());
    for (name, Declared { kind, labels }) in &declared {
        let samples: Vec<_> = metrics.samples.iter().filter(|sample| sample.name == *name).collect();
        for sample in &samples {
            assert!(sample.labels.keys().map(String::as_str).eq(labels.iter().copied()), "{sample:?}");
        }
        if !samples.is_empty() {
            assert_eq!(metrics.types.get(*name).map(String::as_str), Some(*kind), "{name}");
        }
        let compares_kills = name.ends_with("reported_total");
        if compares_kills && !kernel_counts_kills() {
            assert_eq!(samples.len(), 0, "{name}");
        } else if labels.is_empty() {
            assert_eq!(samples.len(), 1, "{name}");
        } else if AT_ONCE.contains(name) {
            assert!(!samples.is_empty(), "{name}");
        }
    }
    let is_known = |name: &str| declared.contains_key(name) || PAGE.contains(&format!("| **`{name}`** |"));
    let names: BTreeSet<&str> = metrics.samples.iter().map(|sample| sample.name.as_str()).collect();
    let unknown: Vec<_> = names.iter().filter(|name| name.starts_with("cgtap_") && !is_known(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
