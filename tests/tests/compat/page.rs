//! `docs/compatibility.md`: the rules are compared with the page, the results of a run are only written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::compare::{Comparison, Outcome, rule_of};
use crate::history::Key;
use crate::newer::{NEWER, Served};
use crate::rules::{LABELS, Of, RULES, Rule};
use crate::size::Sizes;
use crate::support::repository;

const FILE: &str = "docs/compatibility.md";
/// Set to have the page written.
const BLESS: &str = "CGTAP_BLESS";
const RUN: &str = "## What a run found\n";

/// Without the results of a run.
fn rules_part() -> String {
    let mut text = "# Compared with cAdvisor\n\n\
        A test runs the agent beside cAdvisor 0.38.7 on one tree of cgroups under load. Each series of cAdvisor must be\n\
        there with the same name, labels and value, or a rule of this page must give the reason. A rule that no series uses is\n\
        a fault too. The test writes this page.\n\n\
        ## Intended differences\n\n| metrics | of | difference | reason |\n|---|---|---|---|\n"
        .to_owned();
    for rule in RULES {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            metrics(rule),
            of(rule.of),
            rule.kind.text(),
            rule.reason
        );
    }
    text.push_str("\n## Labels\n\n| metrics | labels | difference and reason |\n|---|---|---|\n");
    for rule in LABELS {
        let names: Vec<String> = rule.labels.iter().map(|name| format!("`{name}`")).collect();
        let names = if rule.value == Some("") { "those that are empty".to_owned() } else { names.join(", ") };
        let _ = writeln!(text, "| `{}` | {names} | {} |", rule.metrics, rule.reason);
    }
    text.push_str(
        "\n## Newer than 0.38.7\n\nMetrics that cAdvisor 0.60 has and 0.38.7 has not, and whether the agent has them.\n\n\
         | metric | the agent |\n|---|---|\n",
    );
    for (name, served) in NEWER {
        let what = match served {
            Served::Everywhere => "has it".to_owned(),
            Served::Where(what) => format!("has it where there is: {what}"),
            Served::No(why) => format!("has it not: {why}"),
        };
        let _ = writeln!(text, "| `{name}` | {what} |");
    }
    text.push('\n');
    text
}

fn metrics(rule: &Rule) -> String {
    if rule.metrics.len() == NEWER.len() {
        return "those of the last table".to_owned();
    }
    let names: Vec<String> = rule.metrics.iter().map(|name| format!("`{name}`")).collect();
    let labels: String =
        rule.labels.iter().map(|(k, v)| format!(" with {k} {}", v.replace('|', ", "))).collect();
    names.join(", ") + &labels
}

fn of(place: Of) -> &'static str {
    match place {
        Of::All => "all",
        Of::Root => "`/`",
        Of::Below => "all but `/`",
    }
}

/// The results of a run.
fn run_part(comparison: &Comparison, sizes: &Sizes) -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or_default();
    let mut text = format!(
        "{RUN}\nLinux {kernel}, cgroup v1: {}.\n\nWith the sets that cAdvisor has by default, {sizes}.\n\n",
        comparison.summary()
    );
    text.push_str(
        "| metric | agree | differ | cAdvisor alone | agent alone | why |\n|---|---|---|---|---|---|\n",
    );
    let mut by_name: BTreeMap<&str, Vec<(&Key, &Outcome)>> = BTreeMap::new();
    for (key, outcome) in &comparison.series {
        by_name.entry(row(&key.name)).or_default().push((key, outcome));
    }
    for (name, series) in by_name {
        let counts = comparison.counts(series.iter().copied());
        let why: BTreeSet<&str> =
            series.iter().filter_map(|(_, o)| Some(RULES[rule_of(o)?].reason)).collect();
        let why = why.into_iter().collect::<Vec<_>>().join("; ");
        let _ = writeln!(
            text,
            "| `{name}` | {} | {} | {} | {} | {why} |",
            counts.agree, counts.differ, counts.theirs_alone, counts.ours_alone
        );
    }
    text
}

/// All metrics of a program about itself are one row.
fn row(name: &str) -> &str {
    match name.split_once('_').map(|(start, _)| start) {
        Some("cgtap") => "cgtap_*",
        Some("go") => "go_*",
        Some("process") => "process_*",
        _ => name,
    }
}

/// Writes the page if that is wanted, also when the comparison failed: the test reports the failure.
pub fn bless(comparison: &Comparison, sizes: &Sizes) {
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(repository(FILE), rules_part() + &run_part(comparison, sizes)).unwrap();
    }
}

/// The part of the page that does not depend on a run must agree with the rules.
pub fn check_rules() {
    if std::env::var_os(BLESS).is_some() {
        return;
    }
    let page = std::fs::read_to_string(repository(FILE)).unwrap_or_default();
    let written = page.split(RUN).next().unwrap_or_default();
    assert!(written == rules_part(), "{FILE} is not what the rules say: CGTAP_BLESS=1 writes it");
}
