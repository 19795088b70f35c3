//! Every counter is what the kernel's file says: the file is read, then the agent, then the file again, and the agent's
//! value must lie between. What the kernel does not offer must be absent, and what it offers must be there.

use std::collections::HashMap;

use cgtap_tests::agent::Agent;
use cgtap_tests::exposition::Exposition;
use cgtap_tests::hierarchies::Hierarchies;
use cgtap_tests::host::{memory_cgroups, skip_unless};
use cgtap_tests::load::{Member, Tree};

use crate::support;

/// Where a value stands in the kernel's files.
enum Source {
    /// A file that is one number.
    Number(&'static str),
    /// A line `key value` of a file.
    Key(&'static str, &'static str),
    /// The first less the second, never below 0.
    Less(&'static str, &'static str, &'static str),
}

use Source::{Key, Less, Number};

struct Row {
    metric: &'static str,
    labels: &'static [(&'static str, &'static str)],
    controller: &'static str,
    source: Source,
    /// What one unit of the file is in the metric's unit.
    unit: f64,
}

impl Row {
    /// A processor that never ran a cgroup has no series, as in cAdvisor: with one series per processor they would be
    /// most of a scrape. So there the sum over none is 0; everywhere else absent stays absent.
    fn when_absent(&self) -> Option<f64> {
        matches!(self.source, Number("cpuacct.usage")).then_some(0.0)
    }
}

const fn row(metric: &'static str, controller: &'static str, source: Source, unit: f64) -> Row {
    Row { metric, labels: &[], controller, source, unit }
}

const fn faults(labels: &'static [(&'static str, &'static str)], key: &'static str) -> Row {
    let source = Key("memory.stat", key);
    Row { metric: "container_memory_failures_total", labels, controller: "memory", source, unit: 1.0 }
}

const PAGES: &[(&str, &str)] = &[("failure_type", "pgfault"), ("scope", "container")];
const PAGES_BELOW: &[(&str, &str)] = &[("failure_type", "pgfault"), ("scope", "hierarchy")];
const MAJOR: &[(&str, &str)] = &[("failure_type", "pgmajfault"), ("scope", "container")];
const MAJOR_BELOW: &[(&str, &str)] = &[("failure_type", "pgmajfault"), ("scope", "hierarchy")];

const V1: [Row; 19] = [
    row("container_cpu_usage_seconds_total", "cpuacct", Number("cpuacct.usage"), 1e-9),
    row("container_cpu_user_seconds_total", "cpuacct", Key("cpuacct.stat", "user"), 1e-2),
    row("container_cpu_system_seconds_total", "cpuacct", Key("cpuacct.stat", "system"), 1e-2),
    row("container_spec_cpu_shares", "cpu", Number("cpu.shares"), 1.0),
    row("container_spec_cpu_period", "cpu", Number("cpu.cfs_period_us"), 1.0),
    row("container_memory_usage_bytes", "memory", Number("memory.usage_in_bytes"), 1.0),
    row("container_memory_max_usage_bytes", "memory", Number("memory.max_usage_in_bytes"), 1.0),
    row("container_memory_failcnt", "memory", Number("memory.failcnt"), 1.0),
    row("container_memory_cache", "memory", Key("memory.stat", "total_cache"), 1.0),
    row("container_memory_rss", "memory", Key("memory.stat", "total_rss"), 1.0),
    row("container_memory_mapped_file", "memory", Key("memory.stat", "total_mapped_file"), 1.0),
    row("container_memory_swap", "memory", Key("memory.stat", "total_swap"), 1.0),
    row("container_memory_total_active_file_bytes", "memory", Key("memory.stat", "total_active_file"), 1.0),
    row(
        "container_memory_total_inactive_file_bytes",
        "memory",
        Key("memory.stat", "total_inactive_file"),
        1.0,
    ),
    row(
        "container_memory_working_set_bytes",
        "memory",
        Less("memory.usage_in_bytes", "memory.stat", "total_inactive_file"),
        1.0,
    ),
    faults(PAGES, "pgfault"),
    faults(MAJOR, "pgmajfault"),
    faults(PAGES_BELOW, "total_pgfault"),
    faults(MAJOR_BELOW, "total_pgmajfault"),
];

const V2: [Row; 18] = [
    row("container_cpu_usage_seconds_total", "cpu", Key("cpu.stat", "usage_usec"), 1e-6),
    row("container_cpu_user_seconds_total", "cpu", Key("cpu.stat", "user_usec"), 1e-6),
    row("container_cpu_system_seconds_total", "cpu", Key("cpu.stat", "system_usec"), 1e-6),
    row("container_memory_usage_bytes", "memory", Number("memory.current"), 1.0),
    row("container_memory_max_usage_bytes", "memory", Number("memory.peak"), 1.0),
    row("container_memory_swap", "memory", Number("memory.swap.current"), 1.0),
    row("container_memory_cache", "memory", Key("memory.stat", "file"), 1.0),
    row("container_memory_rss", "memory", Key("memory.stat", "anon"), 1.0),
    row("container_memory_mapped_file", "memory", Key("memory.stat", "file_mapped"), 1.0),
    row("container_memory_file_dirty_bytes", "memory", Key("memory.stat", "file_dirty"), 1.0),
    row("container_memory_total_active_file_bytes", "memory", Key("memory.stat", "active_file"), 1.0),
    row("container_memory_total_inactive_file_bytes", "memory", Key("memory.stat", "inactive_file"), 1.0),
    row("container_memory_events_max_total", "memory", Key("memory.events", "max"), 1.0),
    row("container_memory_events_high_total", "memory", Key("memory.events", "high"), 1.0),
    row(
        "container_memory_working_set_bytes",
        "memory",
        Less("memory.current", "memory.stat", "inactive_file"),
        1.0,
    ),
    faults(PAGES, "pgfault"),
    faults(MAJOR, "pgmajfault"),
    faults(PAGES_BELOW, "pgfault"),
];

const CONTAINERS: u32 = 100;
/// Of each container at least so many rows must have been compared: a kernel lacks a few, never most.
const ROWS_AT_LEAST: usize = 12;

type Readings = HashMap<(usize, usize), f64>;

/// The kernel's files now, by container and row. A file or line that is not there has no entry.
fn read_kernel(hierarchies: &Hierarchies, rows: &[Row], containers: &[String]) -> Readings {
    let mut found = Readings::new();
    for (c, path) in containers.iter().enumerate() {
        for (r, row) in rows.iter().enumerate() {
            if let Some(value) = read_row(hierarchies, row, path) {
                found.insert((c, r), value * row.unit);
            }
        }
    }
    found
}

fn read_row(hierarchies: &Hierarchies, row: &Row, path: &str) -> Option<f64> {
    let text = |name: &str| std::fs::read_to_string(hierarchies.file(row.controller, path, name)?).ok();
    let number = |name: &str| text(name)?.trim().parse::<f64>().ok();
    let key = |name: &str, key: &str| {
        let text = text(name)?;
        text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(' ')?.trim().parse::<f64>().ok())
    };
    match row.source {
        Number(name) => number(name),
        Key(name, line) => key(name, line),
        Less(from, name, line) => Some((number(from)? - key(name, line)?).max(0.0)),
    }
}

/// The agent's value: the sum over the labels that the row leaves open, such as the CPUs.
fn read_agent(by_id: &HashMap<&str, Exposition>, row: &Row, path: &str) -> Option<f64> {
    let samples = &by_id.get(path)?.samples;
    let fitting =
        samples.iter().filter(|s| s.name == row.metric && row.labels.iter().all(|(k, v)| s.label(k) == *v));
    let values: Vec<f64> = fitting.map(|s| s.value).collect();
    if values.is_empty() { None } else { Some(values.iter().sum()) }
}

fn by_id(metrics: &Exposition) -> HashMap<&str, Exposition> {
    let mut found: HashMap<&str, Exposition> = HashMap::new();
    for sample in &metrics.samples {
        found.entry(sample.label("id")).or_default().samples.push(sample.clone());
    }
    found
}

/// How many values were compared, and what was wrong.
fn compare(
    agent: &Agent,
    hierarchies: &Hierarchies,
    rows: &[Row],
    containers: &[String],
) -> (usize, Vec<String>) {
    let before = read_kernel(hierarchies, rows, containers);
    let metrics = agent.metrics().unwrap();
    let after = read_kernel(hierarchies, rows, containers);
    let by_id = by_id(&metrics);
    let (mut compared, mut wrong) = (0, Vec::new());
    for (c, path) in containers.iter().enumerate() {
        for (r, row) in rows.iter().enumerate() {
            let kernel = before.get(&(c, r)).zip(after.get(&(c, r)));
            let said = read_agent(&by_id, row, path);
            compared += usize::from(kernel.is_some() && said.is_some());
            if !agrees(kernel, said.or(row.when_absent())) {
                wrong.push(format!(
                    "{}{:?} of {path}: kernel {kernel:?}, agent {said:?}",
                    row.metric, row.labels
                ));
            }
        }
    }
    (compared, wrong)
}

fn agrees(kernel: Option<(&f64, &f64)>, said: Option<f64>) -> bool {
    match (kernel, said) {
        (None, None) => true,
        (Some((before, after)), Some(said)) => {
            // The width of a decimal's rounding, far below one unit of any file.
            let slack = 1e-9 + before.abs().max(after.abs()) * 1e-12;
            before.min(*after) - slack <= said && said <= before.max(*after) + slack
        }
        _ => false,
    }
}

#[test]
fn every_value_is_the_kernels() {
    if skip_unless("parity::every_value_is_the_kernels", memory_cgroups()) {
        return;
    }
    let hierarchies = Hierarchies::of_this_host().unwrap();
    let rows: &[Row] = if hierarchies.memory_is_v2() { &V2 } else { &V1 };
    let tree = Tree::make(CONTAINERS).unwrap();
    let working =
        hierarchies.roots().into_iter().map(|h| h.mount.join(tree.containers[0].trim_start_matches('/')));
    let _workers: Vec<Member> =
        working.map(|dir| Member::start(support::load(), "work", &dir).unwrap()).collect();
    let agent = Agent::start(&["--min-interval", "1ms"]).unwrap();
    // A counter that moved twice between two readings of a file is no fault: what is wrong three times is.
    let (mut compared, mut wrong) = (0, vec![String::new()]);
    for _ in 0..3 {
        if !wrong.is_empty() {
            (compared, wrong) = compare(&agent, &hierarchies, rows, &tree.containers);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong, the first of them:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    let least = tree.containers.len() * ROWS_AT_LEAST;
    assert!(compared >= least, "compared {compared} values, wanted at least {least}");
}

#[test]
fn a_value_outside_or_absent_is_seen() {
    assert!(
        agrees(Some((&1.0, &3.0)), Some(2.0)) && agrees(Some((&3.0, &1.0)), Some(1.0)) && agrees(None, None)
    );
    assert!(!agrees(Some((&1.0, &3.0)), Some(3.1)));
    assert!(!agrees(Some((&0.0, &0.0)), None), "0 is not absent");
    assert!(!agrees(None, Some(0.0)), "absent is not 0");
}
