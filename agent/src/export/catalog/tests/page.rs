//! `docs/metrics.md`, and a check that every metric of cAdvisor is declared or has a reason.
//!
//! `CGTAP_BLESS=1 cargo test -p cgtap --lib metrics_page` writes the page anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use crate::export::catalog::{Kind, Metric, metrics};
use crate::model::MetricSet;
use crate::telemetry::{OWN_METRICS, Origin, OwnKind, OwnMetric};

/// Every name of cAdvisor 0.60, one on each line.
const CADVISOR: &str = include_str!("../../golden/cadvisor-metrics.txt");

/// Names of cAdvisor that are not declared, and why.
const WITHOUT_SOURCE: [(&str, &str); 2] = [
    ("machine_nvm_avg_power_budget_watts", "cAdvisor took it from libipmctl until 0.57 and prints 0 since"),
    ("machine_nvm_capacity", "cAdvisor took it from libipmctl until 0.57 and prints 0 since"),
];

const HEAD: &str = "\
# Metrics

The metrics of `/metrics`, by set. `--enable SET,...` and `--disable SET,...` turn sets on and off. The names of sets are
cAdvisor's, except those marked *ours*. A metric has no sample where the kernel has no source for it, so 0 is always a
measurement. **Bold** metrics are ours. A removed cgroup still shows \"kept\" metrics, for `--tombstone`.

Every `container_*` sample has the label `id`, the cgroup's path, and those of `--labels`; every `machine_*` sample has
`machine_id`, `system_uuid` and `boot_id`.

Cgroup v1 counts each controller in its own hierarchy, v2 all in one. \"-\" means that there is no source.

The set `app` is accepted and has no metrics. cAdvisor fetches them as root, from the host, from an address and by a pattern in
the container's own labels. Prometheus scrapes applications better, with its own discovery.
";

const OWN_HEAD: &str = "
## The agent's own

Only `/metrics` has them, with `process_*` of the agent's process. \"where\" is the folder of `agent/src` whose code counts the
metric, or the part whose value is copied for each scrape. Where the kernel does not count OOM kills, the two metrics of reported
and unreported kills are absent.

| metric | what | type | labels | where |
|---|---|---|---|---|
";

fn cadvisors() -> BTreeSet<&'static str> {
    CADVISOR.lines().filter(|line| !line.is_empty()).collect()
}

#[test]
fn every_metric_of_cadvisor_is_declared_or_has_a_reason() {
    let declared: BTreeSet<&str> = metrics().map(|metric| metric.name).collect();
    let missing: Vec<&str> = cadvisors().into_iter().filter(|name| !declared.contains(name)).collect();
    assert_eq!(missing, WITHOUT_SOURCE.map(|(name, _)| name));
}

#[test]
fn metrics_page_is_current() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = page();
    if std::env::var_os("CGTAP_BLESS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, page, "{} is not current", file.display());
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    table(&mut page, "Always there", None);
    for set in MetricSet::ALL {
        let heading = match (set.is_ours(), set.is_default()) {
            (true, _) => format!("`{}` (ours, off by default)", set.as_str()),
            (false, true) => format!("`{}`", set.as_str()),
            (false, false) => format!("`{}` (off by default)", set.as_str()),
        };
        table(&mut page, &heading, Some(set));
    }
    page.push_str(OWN_HEAD);
    for metric in OWN_METRICS {
        own_row(&mut page, metric);
    }
    page.push_str("\n## Metrics of cAdvisor that are not here\n\n");
    for (name, why) in WITHOUT_SOURCE {
        writeln!(page, "- `{name}`: {why}").unwrap();
    }
    page
}

fn table(page: &mut String, heading: &str, set: Option<MetricSet>) {
    let mut of_set = metrics().filter(|metric| metric.set == set).peekable();
    if of_set.peek().is_none() {
        return;
    }
    writeln!(page, "\n## {heading}\n").unwrap();
    page.push_str("| metric | what | type | labels | cgroup v1 | cgroup v2 |\n|---|---|---|---|---|---|\n");
    of_set.for_each(|metric| row(page, metric));
}

fn row(page: &mut String, metric: &Metric) {
    let name = if cadvisors().contains(metric.name) {
        format!("`{}`", metric.name)
    } else {
        format!("**`{}`**", metric.name)
    };
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    let kept = if metric.outlives { ", kept" } else { "" };
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let source = |source: Option<&str>| source.map_or_else(|| "-".to_owned(), plain);
    let (v1, v2) = match (metric.source_v1, metric.source_v2) {
        (Some(one), Some(other)) if one == other => (source(Some(one)), "the same".to_owned()),
        (v1, v2) => (source(v1), source(v2)),
    };
    writeln!(page, "| {name} | {} | {kind}{kept} | {} | {v1} | {v2} |", metric.help, labels.join(", "))
        .unwrap();
}

fn own_row(page: &mut String, metric: &OwnMetric) {
    let OwnMetric { name, help, kind, labels, origin } = metric;
    let kind = match kind {
        OwnKind::Counter => "counter",
        OwnKind::Gauge => "gauge",
    };
    let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
    let origin = match origin {
        Origin::Folder(folder) => format!("`{folder}/`"),
        Origin::Copy(keeper) => format!("copied: {keeper}"),
        Origin::Page => "the page, with `--max-series` alone".to_owned(),
    };
    writeln!(page, "| `{name}` | {} | {kind} | {} | {origin} |", plain(help), labels.join(", ")).unwrap();
}

/// Markdown's own marks as they stand.
fn plain(text: &str) -> String {
    text.replace('*', "\\*").replace('<', "\\<").replace('|', "\\|")
}
