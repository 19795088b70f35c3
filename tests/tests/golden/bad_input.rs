//! A file that is broken, empty or missing costs only its own numbers, and the log names it.

use std::collections::BTreeSet;
use std::fs;

use cgtap_tests::agent::{Agent, run_to_end};
use cgtap_tests::exposition::{Exposition, Sample};

use crate::host::{Host, lasting_text};

const HOST: &str = "v2-6.12";
/// The container whose files are broken, as `id` has it, and below the root.
const CGROUP: &str = "/kubepods.slice/kubepods-burstable.slice/\
    kubepods-burstable-pod8f3c1d2e_0b4a_4c6d_9e8f_001122334455.slice/\
    cri-containerd-4f1d3c9a7be2580614d2f0a9c3b8e7715a6c20f4e9d8b3a71c05e2f6498ad013.scope";

fn file(name: &str) -> String {
    format!("sys/fs/cgroup{CGROUP}/{name}")
}

/// The effect of a change of the host's files on the output.
struct Effect {
    /// The agent that serves the changed host.
    agent: Agent,
    /// The samples that are gone.
    lost: Vec<Sample>,
}

impl Effect {
    /// Serves the host as it was recorded, and again after `change`. Panics when a sample is new or changed, except those of
    /// `errors`, which count failed readings.
    fn of(errors: &[&str], change: impl FnOnce(&Host)) -> Self {
        let host = Host::recorded(HOST);
        let whole = lasting_text(&host.serve());
        change(&host);
        let agent = host.serve();
        let part = lasting_text(&agent);
        let news = missing_lines(&part, &whole);
        let wanted: Vec<String> = errors.iter().map(|name| format!("{name} 1")).collect();
        assert_eq!(news, wanted, "{}", agent.log());
        assert_eq!(read_errors(&agent) > 0.0, !errors.is_empty(), "{}", agent.log());
        let lost = missing_lines(&whole, &part).join("\n");
        let mut lost = Exposition::parse(&lost).unwrap().samples;
        lost.retain(|sample| !errors.contains(&sample.name.as_str()));
        Self { agent, lost }
    }

    /// The metrics that lost a sample, all of them of [`CGROUP`].
    fn metrics_of_the_cgroup(&self) -> BTreeSet<&str> {
        for sample in &self.lost {
            assert_eq!(sample.label("id"), CGROUP, "{sample:?}");
        }
        self.lost.iter().map(|sample| sample.name.as_str()).collect()
    }
}

/// The lines of a text that another lacks, without comments: a comment goes with the last sample of its metric.
fn missing_lines<'a>(of: &'a str, from: &str) -> Vec<&'a str> {
    let from: BTreeSet<&str> = from.lines().collect();
    of.lines().filter(|line| !line.starts_with('#') && !from.contains(line)).collect()
}

fn read_errors(agent: &Agent) -> f64 {
    agent.metrics().unwrap().one("cgtap_read_errors_total", &[]).unwrap().unwrap()
}

/// The one line of the log about a file.
fn log_line(agent: &Agent, name: &str) -> String {
    let log = agent.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(name)).collect();
    assert_eq!(lines.len(), 1, "wanted one line about {name} in:\n{log}");
    lines[0].to_owned()
}

#[test]
fn garbage_costs_its_own_numbers_and_is_named() {
    let effect = Effect::of(&["container_scrape_error"], |host| {
        fs::write(host.path(&file("memory.current")), "12 apples\n").unwrap();
    });
    let lost = effect.metrics_of_the_cgroup();
    assert!(
        lost.into_iter().eq(["container_memory_usage_bytes", "container_memory_working_set_bytes"]),
        "{:?}",
        effect.lost
    );
    let line = log_line(&effect.agent, "memory.current");
    for wanted in [&file("memory.current"), "12 apples", "line 1", "number"] {
        assert!(line.contains(wanted), "{wanted:?} is not in: {line}");
    }
}

#[test]
fn garbage_in_the_middle_of_a_file_names_its_line() {
    let effect = Effect::of(&["container_scrape_error"], |host| {
        let path = host.path(&file("cpu.stat"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("system_usec ", "system_usec -", 1)).unwrap();
    });
    let lost = effect.metrics_of_the_cgroup();
    assert!(lost.contains("container_cpu_usage_seconds_total"), "a file is refused as a whole: {lost:?}");
    assert!(lost.iter().all(|name| name.starts_with("container_cpu_")), "{lost:?}");
    let line = log_line(&effect.agent, "cpu.stat");
    assert!(line.contains("line 3") && line.contains("system_usec -"), "{line}");
}

#[test]
fn an_empty_file_is_refused_and_not_zero() {
    let effect = Effect::of(&["container_scrape_error"], |host| {
        fs::write(host.path(&file("memory.stat")), "").unwrap();
    });
    let lost = effect.metrics_of_the_cgroup();
    assert!(lost.contains("container_memory_rss") && lost.contains("container_memory_cache"), "{lost:?}");
    assert!(!lost.contains("container_memory_usage_bytes"), "{lost:?}");
    assert!(log_line(&effect.agent, "memory.stat").contains("no text where"));
}

#[test]
fn a_missing_file_is_no_error() {
    let effect = Effect::of(&[], |host| fs::remove_file(host.path(&file("memory.peak"))).unwrap());
    let lost = effect.metrics_of_the_cgroup();
    assert!(lost.into_iter().eq(["container_memory_max_usage_bytes"]), "{:?}", effect.lost);
}

#[test]
fn a_cgroup_without_files_is_there_without_numbers() {
    let host = Host::recorded(HOST);
    let whole = lasting_text(&host.serve());
    fs::create_dir(host.path("sys/fs/cgroup/system.slice/bare.scope")).unwrap();
    let agent = host.serve();
    let metrics = agent.metrics().unwrap();
    let of_it = metrics.samples.iter().filter(|s| s.label("id") == "/system.slice/bare.scope");
    let names: BTreeSet<&str> = of_it.map(|sample| sample.name.as_str()).collect();
    assert!(names.contains("container_last_seen"), "{names:?}");
    let counters = names.iter().filter(|name| name.contains("_memory_") || name.contains("_cpu_"));
    assert_eq!(counters.count(), 0, "no file has them: {names:?}");
    assert_eq!(read_errors(&agent), 0.0, "{}", agent.log());
    let served = lasting_text(&agent);
    let others = served.lines().filter(|line| !line.contains("bare.scope"));
    assert!(others.eq(whole.lines()), "{:#?}", missing_lines(&served, &whole));
}

#[test]
fn a_missing_file_of_proc_costs_only_its_own_values() {
    let effect = Effect::of(&["container_scrape_error", "machine_scrape_error"], |host| {
        fs::remove_file(host.path("proc/meminfo")).unwrap();
    });
    let names: BTreeSet<&str> = effect.lost.iter().map(|sample| sample.name.as_str()).collect();
    assert!(names.contains("machine_memory_bytes"), "{names:?}");
    let others = effect.lost.iter().filter(|sample| !sample.name.starts_with("machine_"));
    for sample in others {
        assert_eq!(sample.label("id"), "/", "only the root asks the files of the node: {sample:?}");
    }
    log_line(&effect.agent, "proc/meminfo");
}

#[test]
fn a_host_without_cgroups_ends_the_agent_with_1_and_its_root() {
    let host = Host::recorded(HOST);
    fs::write(host.path("proc/1/mountinfo"), "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n").unwrap();
    let state = tempfile::tempdir().unwrap();
    let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--state-dir", state.path().to_str().unwrap()];
    args.extend(host.flags());
    let output = run_to_end(&args).unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(host.root().to_str().unwrap()), "{message}");
}
