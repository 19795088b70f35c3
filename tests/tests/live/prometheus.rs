//! promtool and a real Prometheus accept the agent's output.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cgtap_tests::agent::{Agent, free_address};
use cgtap_tests::host::{find_program, program, skip_unless};
use cgtap_tests::http;
use serde_json::Value;

use crate::support::repository;

/// Complaints about cAdvisor's names, which stay: one a line, with the reason after `#`.
const KNOWN: &str = "agent/src/export/golden/promtool-known.txt";

#[test]
fn promtool_has_no_new_complaint() {
    if skip_unless("prometheus::promtool_has_no_new_complaint", program("promtool", "prometheus")) {
        return;
    }
    let agent = Agent::start(&["--enable", &all_sets()]).unwrap();
    let text = agent.get("/metrics").unwrap().body;
    assert!(!text.is_empty());
    let empty: Vec<_> =
        String::from_utf8_lossy(&text).lines().filter(|l| l.contains("=\"\"")).map(str::to_owned).collect();
    assert!(empty.is_empty(), "samples with an empty label: {empty:#?}");
    let known = std::fs::read_to_string(repository(KNOWN)).unwrap();
    let known: Vec<&str> = known.lines().map(|l| l.split('#').next().unwrap_or_default().trim()).collect();
    let complaints = lint(&text);
    let new: Vec<&String> = complaints.iter().filter(|c| !known.contains(&c.trim())).collect();
    assert!(new.is_empty(), "not in {KNOWN}: {new:#?}");
}

/// Every set, from the agent's message about an unknown name.
fn all_sets() -> String {
    let refused = cgtap_tests::agent::run_to_end(&["serve", "--enable", "none-such"]).unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    let (_, names) = said.split_once("wanted one of ").unwrap_or_else(|| panic!("{said}"));
    names.trim().replace(", ", ",")
}

#[test]
fn promtool_is_heard() {
    if skip_unless("prometheus::promtool_is_heard", program("promtool", "prometheus")) {
        return;
    }
    assert!(!lint(b"# TYPE bad_total gauge\nbad_total 1\n").is_empty());
    assert!(!lint(b"broken{\n").is_empty());
}

fn lint(text: &[u8]) -> Vec<String> {
    use std::io::Write;
    let mut promtool = Command::new(find_program("promtool").unwrap());
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8(said).unwrap().lines().filter(|l| !l.trim().is_empty()).map(str::to_owned).collect()
}

/// A Prometheus of our own, killed by its id on drop.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// With the scrape configuration of `deploy/`, its target and interval changed to this test's, and its rules.
    fn start(agent: &Agent) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = std::fs::read_to_string(repository("deploy/prometheus/scrape.yml")).unwrap();
        for expected in ["127.0.0.1:8080", "scrape_interval: 15s", "alerts.yml"] {
            assert!(config.contains(expected), "deploy/prometheus/scrape.yml has no {expected}");
        }
        let alerts = repository("deploy/prometheus/alerts.yml");
        let config = config
            .replace("127.0.0.1:8080", &agent.address.to_string())
            .replace("scrape_interval: 15s", "scrape_interval: 1s")
            .replace("alerts.yml", alerts.to_str().unwrap());
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let address = free_address().unwrap();
        let mut command = Command::new(find_program("prometheus").unwrap());
        command.arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().unwrap(), address, _folder: folder }
    }

    /// Repeats the query until the answer is as wanted.
    fn wait_for(&self, path: &str, pleases: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        let mut last = Value::Null;
        while begun.elapsed() < Duration::from_secs(60) {
            if let Ok(answer) = http::get(self.address, path).and_then(|a| a.json()) {
                if pleases(&answer) {
                    return answer;
                }
                last = answer;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("Prometheus said {last} to {path}");
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_prometheus_scrapes_it_with_the_files_of_deploy() {
    let name = "prometheus::a_real_prometheus_scrapes_it_with_the_files_of_deploy";
    if skip_unless(name, program("prometheus", "prometheus")) {
        return;
    }
    let agent = Agent::start(&[]).unwrap();
    let prometheus = Prometheus::start(&agent);
    let value = |a: &Value| a["data"]["result"][0]["value"][1].as_str().map(str::to_owned);
    prometheus.wait_for("/api/v1/query?query=up", |a| value(a).as_deref() == Some("1"));
    let memory = "/api/v1/query?query=count(container_memory_usage_bytes)";
    prometheus.wait_for(memory, |a| value(a).and_then(|v| v.parse::<u64>().ok()).is_some_and(|n| n > 0));
    let rules =
        prometheus.wait_for("/api/v1/rules", |a| a["data"]["groups"][0]["rules"][0]["health"] == "ok");
    assert_eq!(rules["data"]["groups"][0]["rules"][0]["name"], "ContainerOomKilled", "{rules}");
    let targets = prometheus.wait_for("/api/v1/targets", |a| a["data"]["activeTargets"][0]["health"] == "up");
    assert_eq!(targets["data"]["activeTargets"][0]["lastError"], "", "{targets}");
}
