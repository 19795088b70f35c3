//! Every setting, declared once. The table has its key, type, name in the help, default, form and help.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::addresses::{ListenAddr, RuntimeSocket};
use super::choices::{LIFECYCLE_RUNGS, LogFormat, LogLevel, OOM_RUNGS, rung};
use super::declare::Fallback::{Absent, Is};
use super::declare::{Given, Origin, Setting, complete, settings};
use super::form::Form::{Choice, Globs, Number, Ring, Switch, Time};
use super::form::{ABSOLUTE_PATH, ADDRESSES, ANY_TEXT, NAMES, SOCKETS, duration};
use super::{ConfigError, SinkSettings, perf_events, sinks};
use crate::model::{EventSync, LabelSet, MetricSets, PerfWishes, RungChoice};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// Years of 365.25 days, as `humantime` counts them.
const TEN_YEARS: Duration = Duration::from_secs(315_576_000);
/// A walk reads every directory: more often than this it would be the agent's main cost.
const SHORTEST_WALK: Duration = Duration::from_millis(100);

fn event_sync<'de, D: Deserializer<'de>>(text: D) -> Result<EventSync, D::Error> {
    let unknown = || serde::de::Error::custom(Choice(&EventSync::NAMES, &[]).wanted());
    EventSync::from_name(&String::deserialize(text)?).ok_or_else(unknown)
}

impl Given {
    /// All settings in force.
    ///
    /// # Errors
    /// Names the first setting with a value that is not allowed, and what is.
    pub fn check(&self) -> Result<Config, ConfigError> {
        let name =
            |key: &str| self.values.get(key).map_or(Origin::Flag.name(key), |(_, origin)| origin.name(key));
        let given = self.values.iter().map(|(key, (value, _))| (key.clone(), value.clone()));
        let table = complete(&[SETTINGS], given.collect(), name)?;
        // The form of each value is checked, so an error is one of the declarations.
        let mut config: Config = table
            .try_into()
            .map_err(|error: toml::de::Error| ConfigError::at("settings", error.message()))?;
        let (enable, disable) = (config.enable.join(","), config.disable.join(","));
        MetricSets::parse(&enable, "").map_err(|error| ConfigError::at(&name("enable"), error))?;
        config.sets =
            MetricSets::parse(&enable, &disable).map_err(|error| ConfigError::at(&name("disable"), error))?;
        if !config.labels.is_empty() {
            config.label_set = LabelSet::parse(&config.labels.join(","))
                .map_err(|error| ConfigError::at(&name("labels"), error))?;
        }
        let events = config.perf_events_config.as_deref().map(perf_events::read).transpose();
        config.perf_events =
            events.map_err(|problem| ConfigError::at(&name("perf_events_config"), problem))?;
        config.sinks = sinks::read(&self.sinks)?;
        Ok(config)
    }
}

settings! {
    /// The settings in force, checked.
    #[serde_with::apply(
        Duration => #[serde(deserialize_with = "duration")],
        EventSync => #[serde(deserialize_with = "event_sync")],
        RungChoice => #[serde(deserialize_with = "rung")],
        Vec => #[serde(default)],
    )]
    #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
    SETTINGS: Config {
        /// Serve here: ADDRESS:PORT or unix:/path; may be given more than once
        listen: Vec<ListenAddr> ["ADDRESS"] = Is("127.0.0.1:8080"), ADDRESSES;
        /// Find the host's /proc and /sys below this directory
        host_root: PathBuf ["DIR"] = Is("/"), ABSOLUTE_PATH;
        /// Keep the event log and the agent's state here; one agent has it alone
        state_dir: PathBuf ["DIR"] = Is("/var/lib/cgtap"), ABSOLUTE_PATH;
        /// Scrapes within this time share one reading
        min_interval: Duration ["DURATION"] = Is("1s"), Time(Duration::ZERO..=HOUR);
        /// Serve these metric sets too; docs/metrics.md lists them
        enable: Vec<String> ["SET,..."] = Absent(""), NAMES;
        /// Do not serve these metric sets
        disable: Vec<String> ["SET,..."] = Absent(""), NAMES;
        /// Count the performance events that this file lists, in cAdvisor's form
        perf_events_config: Option<PathBuf> ["FILE"] = Absent(""), ANY_TEXT;
        /// Of the labels that tell whose a cgroup is, put only these on metrics; `id` is always there
        labels: Vec<String> ["LABEL,..."] = Absent("all"), NAMES;
        /// Show only cgroups whose path matches this glob; may be given more than once
        cgroup_include: Vec<String> ["GLOB"] = Absent("all"), Globs;
        /// Do not show cgroups whose path matches this glob; may be given more than once
        cgroup_exclude: Vec<String> ["GLOB"] = Absent(""), Globs;
        /// Greatest number of cgroup samples on a page; whole cgroups are left out, and counted
        max_series: Option<u64> ["N"] = Absent("no limit"), Number(1..=1 << 40);
        /// Read states of threads and load averages (set cpuLoad); each thread costs a file
        enable_load_reader: bool ["BOOL"] = Is("false"), Switch;
        /// Clear referenced memory (set referenced_memory) after this many readings, which costs TLB misses on the whole
        /// node; 0 is never
        referenced_reset_interval: u64 ["N"] = Is("0"), Number(0..=i64::MAX);
        /// Ask these for names of containers: cri=/path, docker=/path, podman=/path, or none
        runtime_sockets: Option<Vec<RuntimeSocket>> ["SOCKET,..."] = Absent("where runtimes usually listen"), SOCKETS;
        /// Put all labels of containers on their metrics, as container_label_*
        store_container_labels: bool ["BOOL"] = Is("true"), Switch;
        /// Put these labels of containers on their metrics even without --store-container-labels
        container_label_allow: Vec<String> ["LABEL,..."] = Absent(""), NAMES;
        /// Put variables of containers with these prefixes on their metrics, as container_env_*
        container_env_allow: Vec<String> ["PREFIX,..."] = Absent(""), NAMES;
        /// Give each sample the time of its reading
        timestamps: bool ["BOOL"] = Is("false"), Switch;
        /// Form of the log on standard error
        log_format: LogFormat ["FORMAT"] = Is("text"), Choice(&LogFormat::NAMES, &LogFormat::HELP);
        /// The least severe message that is logged
        log_level: LogLevel ["LEVEL"] = Is("info"), Choice(&LogLevel::NAMES, &LogLevel::HELP);
        /// Greatest number of cgroup files kept open; each costs the kernel about 4 KiB
        max_open_files: Option<u64> ["N"] = Absent("90 % of the process's limit"), Number(0..=1 << 30);
        /// Events to keep in memory
        event_memory_records: usize ["N"] = Is("32768"), Number(1..=1 << 24);
        /// Size of the event log in the state directory
        event_log_bytes: u64 ["BYTES"] = Is("67108864"), Number(1 << 16..=1 << 40);
        /// Keep events in the state directory for this long
        event_log_age: Duration ["DURATION"] = Is("7days"), Time(SECOND..=TEN_YEARS);
        /// Greatest number of files of the event log
        event_log_segments: u32 ["N"] = Is("16"), Number(2..=4096);
        /// Which events are synced to disk before they are served
        event_sync: EventSync ["WHICH"] = Is("oom_kill"), Choice(&EventSync::NAMES, &EventSync::HELP);
        /// Serve a removed cgroup's last values for this long
        tombstone: Duration ["DURATION"] = Is("10m"), Time(Duration::ZERO..=WEEK);
        /// Greatest number of removed cgroups that are served
        max_tombstones: usize ["N"] = Is("10000"), Number(0..=1 << 24);
        /// Walk the cgroup tree this often to check the kernel's events
        walk_interval: Duration ["DURATION"] = Is("60s"), Time(SHORTEST_WALK..=HOUR);
        /// Walk the cgroup tree this often where the kernel reports no events
        walk_source_interval: Duration ["DURATION"] = Is("2s"), Time(SHORTEST_WALK..=HOUR);
        /// How to learn of cgroups made and removed
        lifecycle_source: RungChoice ["SOURCE"] = Is("auto"), LIFECYCLE_RUNGS;
        /// How to learn of OOM kills
        oom_source: RungChoice ["SOURCE"] = Is("auto"), OOM_RUNGS;
        /// Size of the BPF ring for cgroups made and removed
        lifecycle_ring_bytes: u32 ["BYTES"] = Is("4194304"), Ring;
        /// Size of the BPF ring for OOM kills
        oom_ring_bytes: u32 ["BYTES"] = Is("262144"), Ring;
        /// Pin programs and rings here, on a BPF file system, so that no event is missed while the agent is replaced
        pin: Option<PathBuf> ["DIR"] = Absent(""), ABSOLUTE_PATH;
        /// Replace pins of another version, of other settings or of another program
        pin_replace: bool ["BOOL"] = Is("false"), Switch;
        /// Measure the files of containers this often; 0s is never
        fs_walk_interval: Duration ["DURATION"] = Is("60s"), Time(Duration::ZERO..=DAY);
        /// Greatest number of files and directories measured in a second
        fs_walk_entries_per_second: u32 ["N"] = Is("20000"), Number(10..=100_000_000);
        /// Greatest number of connections, all listeners together
        max_connections: usize ["N"] = Is("256"), Number(1..=65_536);
        /// Drop a follower of the events that reads nothing for this long
        client_timeout: Duration ["DURATION"] = Is("10m"), Time(SECOND..=DAY);
    }
    /// The metric sets to serve, by `enable` and `disable`.
    #[serde(skip)]
    sets: MetricSets;
    /// The labels to print, by `labels`.
    #[serde(skip)]
    label_set: LabelSet;
    /// The performance events that the file `perf_events_config` asks for.
    #[serde(skip)]
    perf_events: Option<PerfWishes>;
    /// Where events go, beside the listeners.
    #[serde(skip)]
    sinks: Vec<SinkSettings>;
}
