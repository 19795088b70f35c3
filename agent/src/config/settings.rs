//! Every setting, declared once. The table gives its flag, variable and key, its type and name in the help, its value where
//! none is given, and what is allowed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Command};
use serde::Deserialize;

use super::addresses::{ListenAddr, RuntimeSocket};
use super::choices::{LifecycleChoice, LogFormat, LogLevel, OomChoice};
use super::declare::Fallback::{Absent, Value as Is};
use super::declare::{Given, Origin, Setting, checked, from_file, from_flag};
use super::rules::{absolute, any, duration, each_once, if_given, number, ring, sockets};
use super::values::{Glob, Value};
use super::{ConfigError, SinkSettings, perf_events, sinks};
use crate::model::{EventSync, LabelSet, MetricSets, PerfWishes};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// Of 365.25 days, as `humantime` counts them.
const YEAR: Duration = Duration::from_secs(31_557_600);
/// A walk reads every directory: more often than this it would be the agent's main cost.
const SHORTEST_WALK: Duration = Duration::from_millis(100);

macro_rules! settings {
    ($($(#[doc = $help:literal])+ $key:ident: $type:ty [$name:literal] = $default:expr, $rule:expr;)+) => {
        /// The settings in force, checked.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $($(#[doc = $help])+ pub $key: $type,)+
            /// The metric sets to serve, by `enable` and `disable`.
            pub sets: MetricSets,
            /// The labels to print, by `labels`.
            pub label_set: LabelSet,
            /// The performance events that `perf_events_config` asks for, with that file.
            pub perf_events: Option<(PathBuf, PerfWishes)>,
            /// Where events go, beside the listeners.
            pub sinks: Vec<SinkSettings>,
        }

        /// The settings that are given, by the command line and the environment or by the file.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Settings {
            $(#[serde(default, deserialize_with = "from_file")] pub(super) $key: Option<Given<$type>>,)+
            /// Tables `[[sink]]`, in the file only.
            pub(super) sink: Option<Vec<SinkSettings>>,
        }

        impl Settings {
            /// What is declared of each setting.
            #[must_use]
            pub fn declared() -> Vec<Setting> {
                vec![$(Setting::of::<$type>(stringify!($key), concat!($($help),+), $name, $default, $rule)),+]
            }

            /// These settings, with those that are not given taken from `lower`.
            #[must_use]
            pub fn over(self, lower: Self) -> Self {
                Self { $($key: self.$key.or(lower.$key),)+ sink: self.sink.or(lower.sink) }
            }

            /// All settings in force.
            ///
            /// # Errors
            /// Names the first setting with a value that is not allowed, and what is.
            pub fn check(&self) -> Result<Config, ConfigError> {
                Ok(Config {
                    $($key: checked(stringify!($key), $default, &$rule, self.$key.as_ref())?,)+
                    sets: self.sets()?,
                    label_set: self.label_set()?,
                    perf_events: value(&self.perf_events_config).flatten().map(perf_events::read).transpose()?,
                    sinks: sinks::check(self.sink.clone().unwrap_or_default())?,
                })
            }

            /// The words and the origin of each setting that is given.
            pub(super) fn given(&self) -> Vec<(&'static str, Vec<String>, Origin)> {
                let given = [$(
                    self.$key.as_ref().map(|given| (stringify!($key), given.value.words(), given.origin)),
                )+];
                given.into_iter().flatten().collect()
            }
        }

        impl clap::FromArgMatches for Settings {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                Ok(Self { $($key: from_flag(matches, stringify!($key))?,)+ sink: None })
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }
    };
}

impl clap::Args for Settings {
    fn augment_args(command: Command) -> Command {
        command.args(Self::declared().into_iter().map(Setting::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn value<T: Clone>(given: &Option<Given<T>>) -> Option<T> {
    given.as_ref().map(|given| given.value.clone())
}

impl Settings {
    fn sets(&self) -> Result<MetricSets, ConfigError> {
        let words = |given: &Option<Given<Vec<String>>>| value(given).unwrap_or_default().join(",");
        let (enable, disable) = (words(&self.enable), words(&self.disable));
        let sets = MetricSets::parse(&enable, &disable);
        sets.map_err(|error| {
            let given: Vec<String> = [enable, disable].into_iter().filter(|list| !list.is_empty()).collect();
            ConfigError::Value { key: "enable", given: given.join(","), wanted: error.to_string() }
        })
    }

    fn label_set(&self) -> Result<LabelSet, ConfigError> {
        let labels = value(&self.labels).unwrap_or_default();
        if labels.is_empty() {
            return Ok(LabelSet::default());
        }
        let given = labels.join(",");
        let refused = |wanted| ConfigError::Value { key: "labels", given: given.clone(), wanted };
        LabelSet::parse(&given).map_err(|error| refused(error.to_string()))
    }
}

settings! {
    /// Serve here: ADDRESS:PORT or unix:/path; may be given more than once
    listen: Vec<ListenAddr> ["ADDRESS"] = Is("127.0.0.1:8080"), each_once("ADDRESS:PORT or unix:/path");
    /// Find the host's /proc and /sys below this directory
    host_root: PathBuf ["DIR"] = Is("/"), absolute();
    /// Keep the event log and the agent's state here; one agent has it alone
    state_dir: PathBuf ["DIR"] = Is("/var/lib/cgtap"), absolute();
    /// Scrapes within this time share one reading
    min_interval: Duration ["DURATION"] = Is("1s"), duration(Duration::ZERO..=HOUR);
    /// Serve these metric sets too (cAdvisor's names)
    enable: Vec<String> ["SET,..."] = Absent(""), any();
    /// Do not serve these metric sets (cAdvisor's names)
    disable: Vec<String> ["SET,..."] = Absent(""), any();
    /// Count the performance events that this file lists, in cAdvisor's form
    perf_events_config: Option<PathBuf> ["FILE"] = Absent(""), any();
    /// Put these container labels on metrics
    labels: Vec<String> ["LABEL,..."] = Absent("all"), any();
    /// Show only cgroups whose path matches this glob; may be given more than once
    cgroup_include: Vec<Glob> ["GLOB"] = Absent("all"), any();
    /// Do not show cgroups whose path matches this glob; may be given more than once
    cgroup_exclude: Vec<Glob> ["GLOB"] = Absent(""), any();
    /// Greatest number of cgroup samples on a page; whole cgroups are left out, and counted
    max_series: Option<u64> ["N"] = Absent("no limit"), if_given(number(1..=1 << 40));
    /// Read states of threads and load averages (set cpuLoad); each thread costs a file
    enable_load_reader: bool ["BOOL"] = Is("false"), any();
    /// Clear referenced memory (set referenced_memory) after this many readings, which costs TLB misses on the whole
    /// node; 0 is never
    referenced_reset_interval: u64 ["N"] = Is("0"), any();
    /// Ask these for names of containers: cri=/path, docker=/path, podman=/path, or none
    runtime_sockets: Option<Vec<RuntimeSocket>> ["SOCKET,..."] = Absent("where runtimes usually listen"), if_given(sockets());
    /// Put all labels of containers on their metrics, as container_label_*
    store_container_labels: bool ["BOOL"] = Is("true"), any();
    /// Put these labels of containers on their metrics even without --store-container-labels
    container_label_allow: Vec<String> ["LABEL,..."] = Absent(""), any();
    /// Put variables of containers with these prefixes on their metrics, as container_env_*
    container_env_allow: Vec<String> ["PREFIX,..."] = Absent(""), any();
    /// Give each sample the time of its reading
    timestamps: bool ["BOOL"] = Is("false"), any();
    /// Form of the log on standard error
    log_format: LogFormat ["FORMAT"] = Is("text"), any();
    /// The least severe message that is logged
    log_level: LogLevel ["LEVEL"] = Is("info"), any();
    /// Greatest number of cgroup files kept open; each costs the kernel about 4 KiB
    max_open_files: Option<u64> ["N"] = Absent("90 % of the process's limit"), if_given(number(0..=1 << 30));
    /// Events to keep in memory
    event_memory_records: usize ["N"] = Is("32768"), number(1..=1 << 24);
    /// Size of the event log in the state directory
    event_log_bytes: u64 ["BYTES"] = Is("67108864"), number(1 << 16..=1 << 40);
    /// Keep events in the state directory for this long
    event_log_age: Duration ["DURATION"] = Is("7days"), duration(SECOND..=10 * YEAR);
    /// Greatest number of files of the event log
    event_log_segments: u32 ["N"] = Is("16"), number(2..=4096);
    /// Which events are synced to disk before they are served; others are within a second
    event_sync: EventSync ["WHICH"] = Is("oom_kill"), any();
    /// Serve a removed cgroup's last values for this long
    tombstone: Duration ["DURATION"] = Is("10m"), duration(Duration::ZERO..=WEEK);
    /// Greatest number of removed cgroups that are served
    max_tombstones: usize ["N"] = Is("10000"), number(0..=1 << 24);
    /// Walk the cgroup tree this often to check the kernel's events
    walk_interval: Duration ["DURATION"] = Is("60s"), duration(SHORTEST_WALK..=HOUR);
    /// Walk the cgroup tree this often where the kernel reports no events
    walk_source_interval: Duration ["DURATION"] = Is("2s"), duration(SHORTEST_WALK..=HOUR);
    /// How to learn of cgroups made and removed
    lifecycle_source: LifecycleChoice ["SOURCE"] = Is("auto"), any();
    /// How to learn of OOM kills
    oom_source: OomChoice ["SOURCE"] = Is("auto"), any();
    /// Size of the BPF ring for cgroups made and removed
    lifecycle_ring_bytes: u32 ["BYTES"] = Is("4194304"), ring();
    /// Size of the BPF ring for OOM kills
    oom_ring_bytes: u32 ["BYTES"] = Is("262144"), ring();
    /// Pin programs and rings here, on a BPF file system, so that no event is missed while the agent is replaced
    pin: Option<PathBuf> ["DIR"] = Absent(""), if_given(absolute());
    /// Replace pins of another version, of other settings or of another program
    pin_replace: bool ["BOOL"] = Is("false"), any();
    /// Measure the files of containers this often; 0s is never
    fs_walk_interval: Duration ["DURATION"] = Is("60s"), duration(Duration::ZERO..=DAY);
    /// Greatest number of files and directories measured in a second
    fs_walk_entries_per_second: u32 ["N"] = Is("20000"), number(10..=100_000_000);
    /// Greatest number of connections, all listeners together
    max_connections: usize ["N"] = Is("256"), number(1..=65_536);
    /// Drop a follower of the events that reads nothing for this long
    client_timeout: Duration ["DURATION"] = Is("10m"), duration(SECOND..=DAY);
}
