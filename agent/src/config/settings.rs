//! Every setting once: its flag, its environment variable, its key in the file and its help.

use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use super::{
    EventSync, HumanDuration, LifecycleChoice, ListenAddr, LogFormat, LogLevel, OomChoice, RuntimeSocket,
    SinkSettings,
};

/// What the command line of `cgtap serve` and `cgtap check` holds.
#[derive(Clone, Debug, Default, Args)]
pub struct Flags {
    /// Read settings from this file instead of /etc/cgtap/cgtap.toml
    #[arg(long, env = "CGTAP_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The settings themselves.
    #[command(flatten)]
    pub settings: Settings,
}

/// One source's settings; what it does not say is `None`. The keys of the file are the fields' names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Serve here: ADDRESS:PORT or unix:/path; may be given more than once [default: 127.0.0.1:8080]
    #[arg(long, env = "CGTAP_LISTEN", value_name = "ADDRESS", value_delimiter = ',')]
    pub listen: Option<Vec<ListenAddr>>,
    /// Find the host's /proc and /sys below this directory [default: /]
    #[arg(long, env = "CGTAP_HOST_ROOT", value_name = "DIR")]
    pub host_root: Option<PathBuf>,
    /// Keep here what outlives the agent [default: /var/lib/cgtap]
    #[arg(long, env = "CGTAP_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Scrapes closer together than this share one reading [default: 1s]
    #[arg(long, env = "CGTAP_MIN_INTERVAL", value_name = "DURATION")]
    pub min_interval: Option<HumanDuration>,
    /// Serve these metric sets too (cAdvisor's names)
    #[arg(long, env = "CGTAP_ENABLE", value_name = "SET,...", value_delimiter = ',')]
    pub enable: Option<Vec<String>>,
    /// Do not serve these metric sets (cAdvisor's names)
    #[arg(long, env = "CGTAP_DISABLE", value_name = "SET,...", value_delimiter = ',')]
    pub disable: Option<Vec<String>>,
    /// Count the performance events that this file asks for, in cAdvisor's form
    #[arg(long, env = "CGTAP_PERF_EVENTS_CONFIG", value_name = "FILE")]
    pub perf_events_config: Option<PathBuf>,
    /// Put these container labels on metrics
    #[arg(long, env = "CGTAP_LABELS", value_name = "LABEL,...", value_delimiter = ',')]
    pub labels: Option<Vec<String>>,
    /// Show only cgroups whose path matches this glob; may be given more than once [default: all]
    #[arg(long, env = "CGTAP_CGROUP_INCLUDE", value_name = "GLOB")]
    pub cgroup_include: Option<Vec<String>>,
    /// Do not show cgroups whose path matches this glob; may be given more than once
    #[arg(long, env = "CGTAP_CGROUP_EXCLUDE", value_name = "GLOB")]
    pub cgroup_exclude: Option<Vec<String>>,
    /// Samples of cgroups on a page at most; whole cgroups are left out, and counted [default: no limit]
    #[arg(long, env = "CGTAP_MAX_SERIES", value_name = "N")]
    pub max_series: Option<u64>,
    /// Read states of threads and load averages (set cpuLoad); each thread costs a file [default: false]
    #[arg(long, env = "CGTAP_ENABLE_LOAD_READER", value_name = "BOOL",
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub enable_load_reader: Option<bool>,
    /// Clear referenced memory (set referenced_memory) after so many readings, which costs the whole node TLB misses;
    /// 0 is never [default: 0]
    #[arg(long, env = "CGTAP_REFERENCED_RESET_INTERVAL", value_name = "N")]
    pub referenced_reset_interval: Option<u64>,
    /// Ask these for names of containers instead of looking for sockets: cri=/path, docker=/path, podman=/path, or none
    #[arg(long, env = "CGTAP_RUNTIME_SOCKETS", value_name = "SOCKET,...", value_delimiter = ',')]
    pub runtime_sockets: Option<Vec<RuntimeSocket>>,
    /// Put all labels of containers on their metrics, as container_label_* [default: true]
    #[arg(long, env = "CGTAP_STORE_CONTAINER_LABELS", value_name = "BOOL",
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub store_container_labels: Option<bool>,
    /// Put these labels of containers on their metrics in any case
    #[arg(long, env = "CGTAP_CONTAINER_LABEL_ALLOW", value_name = "LABEL,...", value_delimiter = ',')]
    pub container_label_allow: Option<Vec<String>>,
    /// Put variables of containers that begin so on their metrics, as container_env_*
    #[arg(long, env = "CGTAP_CONTAINER_ENV_ALLOW", value_name = "PREFIX,...", value_delimiter = ',')]
    pub container_env_allow: Option<Vec<String>>,
    /// Give each sample the time of its reading [default: false]
    #[arg(long, env = "CGTAP_TIMESTAMPS", value_name = "BOOL",
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub timestamps: Option<bool>,
    /// Form of the log on standard error [default: text]
    #[arg(long, env = "CGTAP_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// The least severe message that is logged [default: info]
    #[arg(long, env = "CGTAP_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// Cgroup files to keep open; each costs the kernel about 4 KiB [default: 90 % of the process's limit]
    #[arg(long, env = "CGTAP_MAX_OPEN_FILES", value_name = "N")]
    pub max_open_files: Option<u64>,
    /// Events to keep in memory [default: 32768]
    #[arg(long, env = "CGTAP_EVENT_MEMORY_RECORDS", value_name = "N")]
    pub event_memory_records: Option<usize>,
    /// Size of the event log in the state directory [default: 67108864]
    #[arg(long, env = "CGTAP_EVENT_LOG_BYTES", value_name = "BYTES")]
    pub event_log_bytes: Option<u64>,
    /// Keep events there for so long [default: 7days]
    #[arg(long, env = "CGTAP_EVENT_LOG_AGE", value_name = "DURATION")]
    pub event_log_age: Option<HumanDuration>,
    /// Files of the event log at most [default: 16]
    #[arg(long, env = "CGTAP_EVENT_LOG_SEGMENTS", value_name = "N")]
    pub event_log_segments: Option<u32>,
    /// Which events are forced to the disk before they are served; others are within a second [default: oom_kill]
    #[arg(long, env = "CGTAP_EVENT_SYNC", value_name = "WHICH")]
    pub event_sync: Option<EventSync>,
    /// Serve a removed cgroup's last values for so long [default: 10m]
    #[arg(long, env = "CGTAP_TOMBSTONE", value_name = "DURATION")]
    pub tombstone: Option<HumanDuration>,
    /// Remember at most so many removed cgroups [default: 10000]
    #[arg(long, env = "CGTAP_MAX_TOMBSTONES", value_name = "N")]
    pub max_tombstones: Option<usize>,
    /// Walk the tree this often as a cross-check of the kernel's events [default: 60s]
    #[arg(long, env = "CGTAP_WALK_INTERVAL", value_name = "DURATION")]
    pub walk_interval: Option<HumanDuration>,
    /// Walk the tree this often where the kernel's events cannot be had [default: 2s]
    #[arg(long, env = "CGTAP_WALK_SOURCE_INTERVAL", value_name = "DURATION")]
    pub walk_source_interval: Option<HumanDuration>,
    /// How to learn of cgroups made and removed [default: auto]
    #[arg(long, env = "CGTAP_LIFECYCLE_SOURCE", value_name = "SOURCE")]
    pub lifecycle_source: Option<LifecycleChoice>,
    /// How to learn of OOM kills [default: auto]
    #[arg(long, env = "CGTAP_OOM_SOURCE", value_name = "SOURCE")]
    pub oom_source: Option<OomChoice>,
    /// Size of the BPF ring for cgroups made and removed [default: 4194304]
    #[arg(long, env = "CGTAP_LIFECYCLE_RING_BYTES", value_name = "BYTES")]
    pub lifecycle_ring_bytes: Option<u32>,
    /// Size of the BPF ring for OOM kills [default: 262144]
    #[arg(long, env = "CGTAP_OOM_RING_BYTES", value_name = "BYTES")]
    pub oom_ring_bytes: Option<u32>,
    /// Keep programs and rings here, on a BPF file system, so that nothing is missed while the agent is replaced
    #[arg(long, env = "CGTAP_PIN", value_name = "DIR")]
    pub pin: Option<PathBuf>,
    /// Replace what is pinned there by another version, with other settings or by others [default: false]
    #[arg(long, env = "CGTAP_PIN_REPLACE", value_name = "BOOL",
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub pin_replace: Option<bool>,
    /// Look this often at what a container has written; 0s: never [default: 60s]
    #[arg(long, env = "CGTAP_FS_WALK_INTERVAL", value_name = "DURATION")]
    pub fs_walk_interval: Option<HumanDuration>,
    /// Files and directories that such looks may count in a second, all together [default: 20000]
    #[arg(long, env = "CGTAP_FS_WALK_ENTRIES_PER_SECOND", value_name = "N")]
    pub fs_walk_entries_per_second: Option<u32>,
    /// Connections at once, all listeners together [default: 256]
    #[arg(long, env = "CGTAP_MAX_CONNECTIONS", value_name = "N")]
    pub max_connections: Option<usize>,
    /// Drop a follower of the events that takes nothing for so long [default: 10m]
    #[arg(long, env = "CGTAP_CLIENT_TIMEOUT", value_name = "DURATION")]
    pub client_timeout: Option<HumanDuration>,
    /// Tables `[[sink]]` of the file; there is no flag for them.
    #[arg(skip)]
    pub sink: Option<Vec<SinkSettings>>,
}

impl Settings {
    /// These settings, with what they do not say taken from `lower`.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        Self {
            listen: self.listen.or(lower.listen),
            host_root: self.host_root.or(lower.host_root),
            state_dir: self.state_dir.or(lower.state_dir),
            min_interval: self.min_interval.or(lower.min_interval),
            enable: self.enable.or(lower.enable),
            disable: self.disable.or(lower.disable),
            perf_events_config: self.perf_events_config.or(lower.perf_events_config),
            labels: self.labels.or(lower.labels),
            cgroup_include: self.cgroup_include.or(lower.cgroup_include),
            cgroup_exclude: self.cgroup_exclude.or(lower.cgroup_exclude),
            max_series: self.max_series.or(lower.max_series),
            enable_load_reader: self.enable_load_reader.or(lower.enable_load_reader),
            referenced_reset_interval: self.referenced_reset_interval.or(lower.referenced_reset_interval),
            runtime_sockets: self.runtime_sockets.or(lower.runtime_sockets),
            store_container_labels: self.store_container_labels.or(lower.store_container_labels),
            container_label_allow: self.container_label_allow.or(lower.container_label_allow),
            container_env_allow: self.container_env_allow.or(lower.container_env_allow),
            timestamps: self.timestamps.or(lower.timestamps),
            log_format: self.log_format.or(lower.log_format),
            log_level: self.log_level.or(lower.log_level),
            max_open_files: self.max_open_files.or(lower.max_open_files),
            event_memory_records: self.event_memory_records.or(lower.event_memory_records),
            event_log_bytes: self.event_log_bytes.or(lower.event_log_bytes),
            event_log_age: self.event_log_age.or(lower.event_log_age),
            event_log_segments: self.event_log_segments.or(lower.event_log_segments),
            event_sync: self.event_sync.or(lower.event_sync),
            tombstone: self.tombstone.or(lower.tombstone),
            max_tombstones: self.max_tombstones.or(lower.max_tombstones),
            walk_interval: self.walk_interval.or(lower.walk_interval),
            walk_source_interval: self.walk_source_interval.or(lower.walk_source_interval),
            lifecycle_source: self.lifecycle_source.or(lower.lifecycle_source),
            oom_source: self.oom_source.or(lower.oom_source),
            lifecycle_ring_bytes: self.lifecycle_ring_bytes.or(lower.lifecycle_ring_bytes),
            oom_ring_bytes: self.oom_ring_bytes.or(lower.oom_ring_bytes),
            pin: self.pin.or(lower.pin),
            pin_replace: self.pin_replace.or(lower.pin_replace),
            fs_walk_interval: self.fs_walk_interval.or(lower.fs_walk_interval),
            fs_walk_entries_per_second: self.fs_walk_entries_per_second.or(lower.fs_walk_entries_per_second),
            max_connections: self.max_connections.or(lower.max_connections),
            client_timeout: self.client_timeout.or(lower.client_timeout),
            sink: self.sink.or(lower.sink),
        }
    }
}
