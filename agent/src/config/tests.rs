use std::time::Duration;

use clap::Parser;

mod commands;
mod page;
mod refused;

use super::choices::LogLevel;
use super::*;
use crate::model::{EventSync, LabelSet, MetricSets, NamesSource, RungChoice, Source};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
}

fn parse(args: &[&str]) -> Result<Flags, String> {
    let args = std::iter::once("cgtap").chain(args.iter().copied());
    Cli::try_parse_from(args).map(|cli| cli.flags).map_err(|err| err.to_string())
}

/// Writes the file, then reads it as `--config` does, with the flags over it.
fn load(file: &str, args: &[&str]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cgtap.toml");
    std::fs::write(&path, file).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let flags = parse(&[&["--config", &path], args].concat())?;
    Config::load(flags).map_err(|err| err.to_string())
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn the_defaults_need_no_file() {
    let config = Given::default().check().unwrap();
    let wanted = Config {
        listen: vec!["127.0.0.1:8080".parse().unwrap()],
        host_root: "/".into(),
        state_dir: "/var/lib/cgtap".into(),
        min_interval: secs(1),
        enable: vec![],
        disable: vec![],
        perf_events_config: None,
        labels: vec![],
        sets: MetricSets::default(),
        label_set: LabelSet::default(),
        perf_events: None,
        cgroup_include: vec![],
        cgroup_exclude: vec![],
        max_series: None,
        enable_load_reader: false,
        referenced_reset_interval: 0,
        fs_walk_interval: secs(60),
        fs_walk_entries_per_second: 20_000,
        runtime_sockets: None,
        store_container_labels: true,
        container_label_allow: vec![],
        container_env_allow: vec![],
        timestamps: false,
        log_format: LogFormat::Text,
        log_level: LogLevel::Info,
        max_open_files: None,
        event_memory_records: 32_768,
        event_log_bytes: 67_108_864,
        event_log_age: secs(604_800),
        event_log_segments: 16,
        event_sync: EventSync::OomKill,
        tombstone: secs(600),
        max_tombstones: 10_000,
        walk_interval: secs(60),
        walk_source_interval: secs(2),
        lifecycle_source: RungChoice::Auto,
        oom_source: RungChoice::Auto,
        lifecycle_ring_bytes: 4_194_304,
        oom_ring_bytes: 262_144,
        pin: None,
        pin_replace: false,
        max_connections: 256,
        client_timeout: secs(600),
        sinks: vec![],
    };
    assert_eq!(config, wanted);
}

const FILE: &str = r#"
listen = ["127.0.0.1:1", "unix:/run/c.sock"]
host_root = "/host"
state_dir = "/state"
min_interval = "250ms"
enable = ["percpu"]
disable = ["tcp", "udp"]
labels = ["pod"]
runtime_sockets = ["cri=/c.sock", "docker=/d.sock"]
store_container_labels = false
container_label_allow = ["team"]
container_env_allow = ["APP_"]
timestamps = true
log_format = "json"
log_level = "debug"
max_open_files = 100
event_memory_records = 10
event_log_bytes = 65536
event_log_age = "1day"
event_log_segments = 4
event_sync = "all"
tombstone = "1h 30m"
max_tombstones = 0
walk_interval = "5s"
walk_source_interval = "1s"
lifecycle_source = "tp_btf"
oom_source = "none"
lifecycle_ring_bytes = 65536
oom_ring_bytes = 131072
pin = "/sys/fs/bpf/c"
pin_replace = true
fs_walk_interval = "0s"
fs_walk_entries_per_second = 100
max_connections = 7
client_timeout = "5s"
cgroup_include = ["/a/**"]
cgroup_exclude = ["/a/b", "/a/c"]
max_series = 1000
enable_load_reader = true
referenced_reset_interval = 3
"#;

#[test]
fn every_key_of_the_file_counts() {
    let config = load(FILE, &[]).unwrap();
    let wanted = Config {
        listen: vec!["127.0.0.1:1".parse().unwrap(), ListenAddr::Unix("/run/c.sock".into())],
        host_root: "/host".into(),
        state_dir: "/state".into(),
        min_interval: Duration::from_millis(250),
        enable: vec!["percpu".into()],
        disable: vec!["tcp".into(), "udp".into()],
        perf_events_config: None,
        labels: vec!["pod".into()],
        sets: MetricSets::parse("percpu", "tcp,udp").unwrap(),
        label_set: LabelSet::parse("pod").unwrap(),
        perf_events: None,
        cgroup_include: vec!["/a/**".into()],
        cgroup_exclude: vec!["/a/b".into(), "/a/c".into()],
        max_series: Some(1000),
        enable_load_reader: true,
        referenced_reset_interval: 3,
        fs_walk_interval: secs(0),
        fs_walk_entries_per_second: 100,
        runtime_sockets: Some(vec![
            RuntimeSocket::At(NamesSource::Cri, "/c.sock".into()),
            RuntimeSocket::At(NamesSource::Docker, "/d.sock".into()),
        ]),
        store_container_labels: false,
        container_label_allow: vec!["team".into()],
        container_env_allow: vec!["APP_".into()],
        timestamps: true,
        log_format: LogFormat::Json,
        log_level: LogLevel::Debug,
        max_open_files: Some(100),
        event_memory_records: 10,
        event_log_bytes: 65_536,
        event_log_age: secs(86_400),
        event_log_segments: 4,
        event_sync: EventSync::All,
        tombstone: secs(5400),
        max_tombstones: 0,
        walk_interval: secs(5),
        walk_source_interval: secs(1),
        lifecycle_source: RungChoice::Only(Source::TpBtf),
        oom_source: RungChoice::None,
        lifecycle_ring_bytes: 65_536,
        oom_ring_bytes: 131_072,
        pin: Some("/sys/fs/bpf/c".into()),
        pin_replace: true,
        max_connections: 7,
        client_timeout: secs(5),
        sinks: vec![],
    };
    assert_eq!(config, wanted);
}

/// Each flag has the file's key as its name and wins over it.
#[test]
fn every_flag_wins_over_the_file() {
    for (flag, value) in [
        ("listen", "127.0.0.1:2"),
        ("host-root", "/h"),
        ("state-dir", "/s"),
        ("min-interval", "9s"),
        ("enable", "sched"),
        ("disable", "cpu"),
        ("labels", "image"),
        ("runtime-sockets", "none"),
        ("store-container-labels", "true"),
        ("container-label-allow", "y"),
        ("container-env-allow", "Z_"),
        ("timestamps", "false"),
        ("log-format", "text"),
        ("log-level", "trace"),
        ("max-open-files", "99"),
        ("event-memory-records", "9"),
        ("event-log-bytes", "1048576"),
        ("event-log-age", "9s"),
        ("event-log-segments", "9"),
        ("event-sync", "none"),
        ("tombstone", "9s"),
        ("walk-interval", "9s"),
        ("walk-source-interval", "9s"),
        ("lifecycle-source", "walk"),
        ("oom-source", "tp_btf"),
        ("lifecycle-ring-bytes", "262144"),
        ("oom-ring-bytes", "65536"),
        ("pin", "/p"),
        ("pin-replace", "false"),
        ("fs-walk-interval", "9s"),
        ("fs-walk-entries-per-second", "99"),
        ("max-connections", "9"),
        ("client-timeout", "9s"),
    ] {
        let flag = format!("--{flag}={value}");
        let (below, above) = (load(FILE, &[]).unwrap(), load(FILE, &[&flag]).unwrap());
        assert_ne!(below, above, "{flag} changed nothing");
    }
}

#[test]
fn lists_are_repeatable_and_split_at_commas() {
    let args =
        ["--listen=127.0.0.1:1", "--listen", "[::1]:2,unix:/x", "--enable", "sched,tcp", "--enable=udp"];
    let config = load("", &args).unwrap();
    let text: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    assert_eq!(text, ["127.0.0.1:1", "[::1]:2", "unix:/x"]);
    assert_eq!(config.enable, ["sched", "tcp", "udp"]);
    assert_eq!(load(FILE, &["--disable="]).unwrap().disable, Vec::<String>::new());
    assert!(load("", &["--timestamps"]).unwrap().timestamps);
}

/// Every refusal names what was wrong and what is allowed.
#[test]
fn a_bad_file_is_refused_by_name() {
    for (file, wanted) in [
        ("lisen = []", &["cgtap.toml", "line 1", "lisen", "`listen`", "`max_connections`"][..]),
        ("listen = [\"nonsense\"]", &["nonsense", "ADDRESS:PORT"]),
        ("min_interval = 1", &["min_interval", "string"]),
        ("min_interval = \"1\"", &["min_interval", "unit"]),
        ("oom_source = \"walk\"", &["walk", "`auto`", "`tp_btf`", "`tracepoint`", "`none`"]),
        ("max_connections = -1", &["max_connections", "-1"]),
        ("= ", &["cgtap.toml", "line 1"]),
        ("listen = []", &["listen", "at least one"]),
        ("max_connections = 1\nmax_connections = 2", &["max_connections", "duplicate"]),
    ] {
        let err = load(file, &[]).expect_err(file);
        for part in wanted {
            assert!(err.contains(part), "{file}: {part:?} is not in {err}");
        }
    }
}

#[test]
fn a_bad_value_is_refused_by_name() {
    for (args, wanted) in [
        (&["--listen=localhost"][..], &["--listen", "ADDRESS:PORT"][..]),
        (&["--listen=unix:x"], &["--listen", "absolute"]),
        (&["--listen=127.0.0.1:1", "--listen=127.0.0.1:1"], &["--listen", "127.0.0.1:1", "once"]),
        (&["--host-root=x"], &["--host-root", "\"x\"", "absolute"]),
        (&["--state-dir=x"], &["--state-dir", "absolute"]),
        (&["--min-interval=2h"], &["--min-interval", "2h", "1h"]),
        (&["--min-interval=fast"], &["--min-interval", "fast", "unit"]),
        (&["--walk-interval=1ms"], &["--walk-interval", "100ms"]),
        (&["--walk-source-interval=0s"], &["--walk-source-interval", "100ms"]),
        (&["--tombstone=8days"], &["--tombstone", "7days"]),
        (&["--enable=a,,b"], &["--enable", "empty"]),
        (&["--event-memory-records=0"], &["--event-memory-records", "1 to"]),
        (&["--event-log-bytes=1"], &["--event-log-bytes", "65536 to"]),
        (&["--event-log-age=0s"], &["--event-log-age", "1s to"]),
        (&["--event-log-segments=1"], &["--event-log-segments", "2 to 4096"]),
        (&["--event-sync=some"], &["--event-sync", "all, oom_kill, none"]),
        (&["--client-timeout=0s"], &["--client-timeout", "1s to"]),
        (&["--pin=x"], &["--pin", "absolute"]),
        (&["--max-connections=0"], &["--max-connections", "1 to 65536"]),
        (&["--max-open-files=2147483648"], &["--max-open-files", "0 to 1073741824"]),
        (&["--lifecycle-ring-bytes=5000"], &["--lifecycle-ring-bytes", "5000", "power of two"]),
        (&["--oom-ring-bytes=1024"], &["--oom-ring-bytes", "page"]),
        (&["--oom-ring-bytes=2147483648"], &["--oom-ring-bytes", "1073741824"]),
        (
            &["--oom-source=walk"],
            &[
                "--oom-source",
                "auto, fentry, kprobe, tp_btf, tracepoint, memory_events, oom_control, kmsg, none",
            ],
        ),
        (&["--lifecycle-source=kmsg"], &["--lifecycle-source", "auto, tp_btf, tracepoint, inotify, walk"]),
        (&["--log-format=xml"], &["--log-format", "text, json"]),
        (&["--timestamps=maybe"], &["--timestamps", "true, false"]),
        (&["--no-such-flag"], &["--no-such-flag"]),
    ] {
        let err = load("", args).expect_err(&args.join(" "));
        for part in wanted {
            assert!(err.contains(part), "{args:?}: {part:?} is not in {err}");
        }
    }
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let flags = parse(&["--config", "/nonexistent/c.toml"]).unwrap();
    let err = Config::load(flags).unwrap_err().to_string();
    assert!(err.contains("/nonexistent/c.toml"), "{err}");
    assert!(err.contains("No such file"), "{err}");
    let flags = parse(&["--config", "/"]).unwrap();
    let err = Config::load(flags).unwrap_err().to_string();
    assert!(err.starts_with("/: cannot read the settings: Is a directory"), "{err}");
}

#[test]
fn a_file_of_performance_events_is_read_and_its_errors_name_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("perf.json");
    let flag = format!("--perf-events-config={}", path.display());
    let wanted = |text: &str| {
        std::fs::write(&path, text).unwrap();
        load("", &[&flag])
    };
    let config = wanted(r#"{"core":{"events":["page-faults"]}}"#).unwrap();
    assert_eq!(config.perf_events.unwrap().core.groups, [["page-faults"]]);
    let err = wanted(r#"{"core":{"event":[]}}"#).unwrap_err();
    assert!(
        err.contains("--perf-events-config") && err.contains("perf.json") && err.contains("`events`"),
        "{err}"
    );
    let err = load("perf_events_config = \"/nonexistent/p.json\"", &[]).unwrap_err();
    assert!(err.contains("/nonexistent/p.json"), "{err}");
}

/// A value that is not allowed is reported with its line, whether its type or its rule refuses it.
#[test]
fn a_mistake_in_the_file_has_its_line() {
    for (file, wanted) in [
        ("timestamps = true\n\nmax_connections = 0\n", &["line 3", "max_connections", "1 to 65536"][..]),
        ("timestamps = true\nmin_interval = \"1\"\n", &["line 2", "unit"]),
        ("\nlabels = [\"pods\"]\n", &["line 2", "labels", "pods", "container_id"]),
        ("\n[[sink]]\nkind = \"stdout\"\n\n[[sink]]\nkind = \"file\"\n", &["line 5", "path"]),
        ("\n[sink]\nkind = \"stdout\"\n", &["line 2", "sink", "`[[sink]]`"]),
        ("\nsink = [1]\n", &["line 2", "sink"]),
        ("\nmax_connections = 99999999999999999999\n", &["line 2", "max_connections", "1 to 65536"]),
        ("\ncgroup_include = [\"/a[\"]\n", &["line 2", "cgroup_include", "/a["]),
        ("\ndisable = [\"nothing\"]\n", &["line 2", "disable", "nothing"]),
        ("\nperf_events_config = \"/nonexistent\"\n", &["line 2", "perf_events_config", "/nonexistent"]),
    ] {
        let err = load(file, &[]).expect_err(file);
        for part in wanted {
            assert!(err.contains(part), "{file}: {part:?} is not in {err}");
        }
    }
    let err = load("max_connections = 1", &["--max-connections=0"]).unwrap_err();
    assert!(!err.contains("line"), "the flag is wrong, not the file: {err}");
}
