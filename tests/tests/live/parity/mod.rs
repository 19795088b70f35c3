//! Every counter has the value of the kernel's file: the test reads the file, the agent, and the file again, and the agent's value
//! must lie between. A counter that the kernel does not offer must be absent, all others must be there.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use cgtap_tests::agent::Agent;
use cgtap_tests::exposition::Exposition;
use cgtap_tests::hierarchies::Hierarchies;
use cgtap_tests::host::{memory_cgroups, skip_unless};
use cgtap_tests::load::{Member, Tree};

use crate::support;

mod further;
mod rows;

use rows::{ELSEWHERE, PRESSURE, Row, Source, V1, V2};

const CONTAINERS: u32 = 100;
/// Sets that are off by default and come from files of the cgroup.
const FURTHER: &str = "process,memory_detail,memory_events,memory_numa,hugetlb,cpuset,cgroup_detail";
type Readings = HashMap<(usize, usize), f64>;

/// The values of the kernel's files, by container and row. A missing file or line has no entry.
fn read_kernel(hierarchies: &Hierarchies, rows: &[&Row], containers: &[String]) -> Readings {
    let mut found = Readings::new();
    for (c, path) in containers.iter().enumerate() {
        // Most rows are lines of the same few files.
        let mut files = Files::new();
        for (r, row) in rows.iter().enumerate() {
            if let Some(value) = read_row(hierarchies, row, path, &mut files) {
                found.insert((c, r), value * row.unit);
            }
        }
    }
    found
}

/// Texts of one container's files; `None` for a missing file.
type Files = HashMap<PathBuf, Option<String>>;

fn read_row(hierarchies: &Hierarchies, row: &Row, path: &str, files: &mut Files) -> Option<f64> {
    let files = std::cell::RefCell::new(files);
    let text = |name: &str| {
        let file = match row.controller {
            "" => hierarchies.v2_file(path, name),
            controller => hierarchies.file(controller, path, name),
        };
        let read = |file: &PathBuf| std::fs::read_to_string(file).ok();
        files.borrow_mut().entry(file?).or_insert_with_key(read).clone()
    };
    let key = |name: &str, key: &str| {
        let text = text(name)?;
        text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(' ')?.trim().parse::<f64>().ok())
    };
    match row.source {
        Source::Number(name) => text(name)?.trim().parse().ok(),
        Source::Key(name, line) => key(name, line),
        Source::Less(from, name, line) => {
            Some((text(from)?.trim().parse::<f64>().ok()? - key(name, line)?).max(0.0))
        }
        Source::Nodes(name, line) => sum_of_nodes(&text(name)?, line),
        Source::Limit(name) => Some(limit(text(name)?.trim())),
        Source::Field(name, number) => text(name)?.split_whitespace().nth(number)?.parse().ok(),
        Source::Pressure(name, line) => total(&text(name)?, line),
        Source::Device(name, operation) => sum_of_devices(&text(name)?, operation),
        Source::DeviceKey(name, key) => sum_of_keys(&text(name)?, key),
        Source::Weight(name) => {
            Some(2.0 + ((text(name)?.trim().parse::<f64>().ok()? - 1.0) * 262_142.0 / 9999.0).floor())
        }
    }
}

/// `max`, or v1's form of it: the largest number of pages in bytes.
fn limit(text: &str) -> f64 {
    const V1_NO_LIMIT: f64 = (u64::MAX >> 1) as f64 - 65_536.0;
    text.parse().ok().filter(|value| *value < V1_NO_LIMIT).unwrap_or(0.0)
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`.
fn total(text: &str, line: &str) -> Option<f64> {
    text.lines().find(|l| l.starts_with(line))?.rsplit_once("total=")?.1.trim().parse().ok()
}

/// `254:0 Read 4096`, one line per device.
fn sum_of_devices(text: &str, operation: &str) -> Option<f64> {
    let values = text
        .lines()
        .filter_map(|line| line.split_once(' ')?.1.strip_prefix(operation)?.trim().parse::<f64>().ok());
    values.reduce(|sum, value| sum + value)
}

/// `254:0 rbytes=4096 wbytes=0 ...`, one line per device.
fn sum_of_keys(text: &str, key: &str) -> Option<f64> {
    let words = text.split_whitespace();
    let values = words.filter_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse::<f64>().ok());
    values.reduce(|sum, value| sum + value)
}

/// `file=7 N0=4 N1=3` of v1, `file N0=4 N1=3` of v2.
fn sum_of_nodes(text: &str, key: &str) -> Option<f64> {
    let line =
        text.lines().find(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(['=', ' '])))?;
    let nodes =
        line.split_whitespace().skip(1).filter_map(|word| word.split_once('=')?.1.parse::<f64>().ok());
    nodes.reduce(|sum, pages| sum + pages)
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

/// The number of compared values, and the faults.
fn compare(
    agent: &Agent,
    hierarchies: &Hierarchies,
    rows: &[&Row],
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
            // The rounding of a decimal, far below one unit of any file.
            let slack = 1e-9 + before.abs().max(after.abs()) * 1e-12;
            before.min(*after) - slack <= said && said <= before.max(*after) + slack
        }
        _ => false,
    }
}

/// Sets a quota, limits and a reservation, so that their files have numbers.
fn set_limits(hierarchies: &Hierarchies, containers: &[String]) {
    for path in containers {
        for (controller, file, value) in [
            ("cpu", "cpu.cfs_quota_us", "50000"),
            ("cpu", "cpu.max", "50000 100000"),
            ("cpu", "cpu.weight", "250"),
            ("memory", "memory.limit_in_bytes", "268435456"),
            ("memory", "memory.soft_limit_in_bytes", "134217728"),
            ("memory", "memory.max", "268435456"),
            ("memory", "memory.low", "4194304"),
            ("pids", "pids.max", "100"),
        ] {
            let file = hierarchies.file(controller, path, file).filter(|file| file.exists());
            if let Some(file) = file {
                std::fs::write(&file, value).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            }
        }
    }
}

#[test]
fn every_value_is_the_kernels() {
    if skip_unless("parity::every_value_is_the_kernels", memory_cgroups()) {
        return;
    }
    let hierarchies = Hierarchies::of_this_host().unwrap();
    let of_version = if hierarchies.memory_is_v2() { [V2, further::V2] } else { [V1, further::V1] };
    let rows: Vec<&Row> = of_version.into_iter().chain([PRESSURE, further::CORE]).flatten().collect();
    let rows = rows.as_slice();
    let tree = Tree::make(CONTAINERS).unwrap();
    set_limits(&hierarchies, &tree.containers);
    let working =
        hierarchies.roots().into_iter().map(|h| h.mount.join(tree.containers[0].trim_start_matches('/')));
    let _workers: Vec<Member> =
        working.map(|dir| Member::start(support::load(), "work", &dir).unwrap()).collect();
    let agent = Agent::start(&["--min-interval", "1ms", "--enable", FURTHER]).unwrap();
    // Only a value that is wrong three times is a fault: a counter may move between the readings.
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
    // Every kernel has these. Further rows are compared where the kernel has them.
    let least = tree.containers.len() * rows.iter().filter(|row| row.everywhere).count();
    assert!(compared >= least, "compared {compared} values, wanted at least {least}");
    assert_each_metric_has_a_row(&agent.metrics().unwrap(), rows);
}

/// A new metric of cgroups must be compared too, or name the test that covers it.
fn assert_each_metric_has_a_row(metrics: &Exposition, rows: &[&Row]) {
    let names = metrics.samples.iter().map(|sample| sample.name.as_str());
    let exported: BTreeSet<&str> = names.filter(|name| name.starts_with("container_")).collect();
    assert!(exported.len() > ELSEWHERE.len(), "{exported:?}");
    let known = |name: &str| {
        rows.iter().any(|row| row.metric == name)
            || ELSEWHERE.iter().any(|(metric, _)| name.starts_with(metric))
    };
    let missing: Vec<&&str> = exported.iter().filter(|name| !known(name)).collect();
    assert!(missing.is_empty(), "exported and compared with nothing: {missing:?}");
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

#[test]
fn the_kernels_texts_are_read() {
    assert_eq!((limit("max"), limit("9223372036854771712"), limit("4096")), (0.0, 0.0, 4096.0));
    let pressure = "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.00 total=3\n";
    assert_eq!((total(pressure, "full"), total("", "full")), (Some(3.0), None));
    assert_eq!(sum_of_devices("254:0 Read 1\n254:0 Write 2\n8:0 Read 4\nTotal 7\n", "Read"), Some(5.0));
    assert_eq!(sum_of_devices("Total 0\n", "Read"), None);
    assert_eq!(sum_of_keys("254:0 rbytes=1 wbytes=2\n8:0 rbytes=4\n", "rbytes"), Some(5.0));
    assert_eq!(sum_of_keys("", "rbytes"), None);
    assert_eq!(sum_of_nodes("total=9 N0=9\nfile=7 N0=4 N1=3\n", "file"), Some(7.0));
    assert_eq!(sum_of_nodes("file N0=4096 N1=0\n", "file"), Some(4096.0));
}
