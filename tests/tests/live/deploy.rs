//! The files of `deploy/` are good and ask for no more than they need.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use cgtap_tests::host::{find_program, program, skip_unless};

use crate::support::repository;

fn text(file: &str) -> String {
    let path = repository(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Runs an external checker, which must succeed.
fn content(program: &str, args: &[&str]) {
    let output = Command::new(find_program(program).unwrap()).args(args).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn promtool_takes_the_rules_and_the_scrape_configuration() {
    let name = "deploy::promtool_takes_the_rules_and_the_scrape_configuration";
    if skip_unless(name, program("promtool", "prometheus")) {
        return;
    }
    let folder = repository("deploy/prometheus");
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    content("promtool", &["check", "rules", &file("alerts.yml")]);
    content("promtool", &["check", "config", &file("scrape.yml")]);
    content("promtool", &["test", "rules", &file("alerts_test.yml")]);
}

#[test]
fn systemd_takes_the_unit() {
    if skip_unless("deploy::systemd_takes_the_unit", program("systemd-analyze", "systemd")) {
        return;
    }
    // The check needs an existing program, so the unit gets another one.
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("cgtap.service");
    let started = "ExecStart=/usr/bin/cgtap ";
    let wanted = text("deploy/cgtap.service");
    assert!(wanted.contains(started), "the unit starts something else");
    std::fs::write(&unit, wanted.replace(started, "ExecStart=/bin/true ")).unwrap();
    let mut verify = Command::new(find_program("systemd-analyze").unwrap());
    let output = verify.args(["verify", "--man=no", "--recursive-errors=no"]).arg(&unit).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{said}");
    // The check only warns about an unknown key or value.
    let about: Vec<&str> = said.lines().filter(|l| l.contains("cgtap.service:")).collect();
    assert!(about.is_empty(), "{about:?}");
}

/// The values of a key of a systemd unit, all lines together.
fn unit_values(key: &str) -> Vec<String> {
    let unit = text("deploy/cgtap.service");
    let lines = unit.lines().filter_map(|l| l.strip_prefix(key)?.strip_prefix('='));
    lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[test]
fn the_unit_drops_every_right_it_does_not_need() {
    assert_eq!(unit_values("CapabilityBoundingSet"), CAPABILITIES.map(|c| format!("CAP_{c}")));
    for key in ["NoNewPrivileges", "ProtectHome", "PrivateTmp", "MemoryDenyWriteExecute", "RestrictSUIDSGID"]
    {
        assert_eq!(unit_values(key), ["yes"], "{key}");
    }
    assert_eq!(unit_values("ProtectSystem"), ["strict"]);
    assert_eq!(unit_values("Type"), ["notify"]);
}

/// The same for the unit and the DaemonSet. The files have the reason of each.
pub const CAPABILITIES: [&str; 4] = ["BPF", "PERFMON", "DAC_READ_SEARCH", "SYS_NICE"];

/// The items of the list under `key:` of a YAML file in block style, up to the first line that is not an item.
fn yaml_list(text: &str, key: &str) -> Vec<String> {
    let mut lines = text.lines().map(|l| l.split(" #").next().unwrap_or_default().trim_end());
    lines.find(|l| l.trim_start() == format!("{key}:"));
    let items = lines.filter(|l| !l.trim_start().is_empty() && !l.trim_start().starts_with('#'));
    items.map_while(|l| l.trim_start().strip_prefix("- ").map(str::to_owned)).collect()
}

#[test]
fn the_daemonset_is_not_privileged() {
    let set = text("deploy/kubernetes/daemonset.yaml");
    assert_eq!(yaml_list(&set, "add"), CAPABILITIES);
    assert_eq!(yaml_list(&set, "drop"), ["ALL"]);
    for line in ["hostPID: true", "readOnlyRootFilesystem: true", "privileged: false"] {
        assert!(set.contains(line), "no {line}");
    }
    assert!(!set.contains("privileged: true") && !set.contains("hostNetwork: true"));
    for part in ["livenessProbe:", "readinessProbe:", "limits:", "requests:"] {
        assert!(set.contains(part), "no {part}");
    }
}

#[test]
fn the_daemonset_mounts_the_host_read_only() {
    let set = text("deploy/kubernetes/daemonset.yaml");
    let mounts: Vec<&str> = set.split("mountPath: ").skip(1).collect();
    assert!(!mounts.is_empty(), "no mounts");
    for mount in mounts {
        let path = mount.lines().next().unwrap_or_default();
        let rest: String = mount.lines().skip(1).take_while(|l| !l.trim_start().starts_with("- ")).collect();
        let host = path.starts_with("/host");
        assert!(!host || rest.contains("readOnly: true"), "{path} is of the host and can be written");
    }
    assert!(set.contains("mountPath: /host/proc") && set.contains("mountPath: /host/sys"));
}

/// A Python that reads YAML: the one in `PATH`, or Debian's, which has the package.
fn yaml_reader() -> Option<PathBuf> {
    let imports = |python: &PathBuf| {
        let mut import = Command::new(python);
        import.args(["-c", "import yaml"]).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    find_program("python3").into_iter().chain([PathBuf::from("/usr/bin/python3")]).find(imports)
}

const DAEMONSET_CHECK: &str = "\
import sys, yaml
[pod] = [d['spec']['template']['spec'] for d in yaml.safe_load_all(open(sys.argv[1])) if d['kind'] == 'DaemonSet']
have = {v['name'] for v in pod['volumes']}
want = {m['name'] for c in pod['containers'] for m in c['volumeMounts']}
assert have == want, (have, want)
";

#[test]
fn the_daemonset_is_yaml() {
    let python = yaml_reader();
    let check =
        python.as_ref().map(|_| ()).ok_or("needs a YAML reader: apt-get install python3-yaml".to_owned());
    if skip_unless("deploy::the_daemonset_is_yaml", check) {
        return;
    }
    let file = repository("deploy/kubernetes/daemonset.yaml");
    let output = Command::new(python.unwrap()).args(["-c", DAEMONSET_CHECK]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn lists_of_yaml_are_read() {
    let text = "a:\n  add:\n    # why\n    - X # reason\n    - Y\n  drop:\n    - ALL\n";
    assert_eq!(yaml_list(text, "add"), ["X", "Y"]);
    assert_eq!(yaml_list(text, "drop"), ["ALL"]);
    assert!(yaml_list(text, "none").is_empty());
}
