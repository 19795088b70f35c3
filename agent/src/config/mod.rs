//! Flags, environment and file to one checked [`Config`].
//!
//! Flags win over `CGTAP_*`, which win over the file, which wins over the defaults. The file is
//! `/etc/cgtap/cgtap.toml`, which need not exist, or the one that `--config` names, which must. Its keys are the
//! flags' names with underscores. A key, flag or value that is not known is an error that names it and what is
//! allowed: a misspelt limit must not become the default in silence.

mod check;
mod file;
pub(crate) mod options;
mod perf_events;
mod reading;
mod runtime_socket;
mod settings;
mod sinks;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use crate::model::PerfWishes;

pub use reading::ReadingConfig;
pub use runtime_socket::{NamesConfig, RuntimeSocket};
pub use settings::{Flags, Settings};
pub use sinks::{FileSettings, OutletSettings, SinkSettings, WebhookSettings};
pub use values::{EventSync, HumanDuration, LifecycleChoice, ListenAddr, LogFormat, LogLevel, OomChoice};

/// Everything that the agent is told, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to serve; at least one, none twice.
    pub listen: Vec<ListenAddr>,
    /// Below which the host's `/proc`, `/sys` are found; absolute.
    pub host_root: PathBuf,
    /// Where the agent keeps what outlives it; absolute.
    pub state_dir: PathBuf,
    /// Scrapes closer together than this share one reading.
    pub min_interval: Duration,
    /// Metric sets to serve besides the default ones, as given.
    pub enable: Vec<String>,
    /// Metric sets not to serve, as given.
    pub disable: Vec<String>,
    /// Performance events to count: the file, and what it asks for.
    pub perf_events: Option<(PathBuf, PerfWishes)>,
    /// Container labels to put on metrics, as given.
    pub labels: Vec<String>,
    /// What a scrape reads beside the sets, and how much of it a page shows.
    pub reading: ReadingConfig,
    /// Names of containers.
    pub names: NamesConfig,
    /// Whether samples carry the time of their reading.
    pub timestamps: bool,
    /// The log's form.
    pub log_format: LogFormat,
    /// The least severe message that is logged.
    pub log_level: LogLevel,
    /// Descriptors to keep open; `None` is 90 % of the process's limit.
    pub max_open_files: Option<u64>,
    /// Events kept in memory.
    pub event_memory_records: usize,
    /// Events kept on disk: the size of all segments.
    pub event_log_bytes: u64,
    /// How long events are kept on disk.
    pub event_log_age: Duration,
    /// Segments kept on disk.
    pub event_log_segments: u32,
    /// Which events are forced to the disk before they are served.
    pub event_sync: EventSync,
    /// How long a removed cgroup's last values are served.
    pub tombstone: Duration,
    /// Removed cgroups that are remembered at most, whatever their age.
    pub max_tombstones: usize,
    /// Between walks of the tree while the kernel's events come, as a cross-check.
    pub walk_interval: Duration,
    /// Between walks of the tree while they are the only source of cgroups made and removed.
    pub walk_source_interval: Duration,
    /// The rung for cgroups made and removed.
    pub lifecycle_source: LifecycleChoice,
    /// The rung for OOM kills.
    pub oom_source: OomChoice,
    /// The BPF ring for cgroups made and removed: a power of two and whole pages.
    pub lifecycle_ring_bytes: u32,
    /// The BPF ring for OOM kills: a power of two and whole pages.
    pub oom_ring_bytes: u32,
    /// Where programs and rings are pinned; absolute.
    pub pin: Option<PathBuf>,
    /// Whether what is pinned there and is not this agent's is replaced.
    pub pin_replace: bool,
    /// Connections at once, all listeners together.
    pub max_connections: usize,
    /// How long a follower of the events may take nothing.
    pub client_timeout: Duration,
    /// Ways of events out of the node, beside the listeners.
    pub sinks: Vec<SinkSettings>,
}

/// Why there is no [`Config`]. The command line ends with status 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: cannot read the configuration: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML, or has a key or value that is not allowed.
    #[error("{}: {source}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What and where, and what is allowed.
        source: Box<toml::de::Error>,
    },
    /// The file of `--perf-events-config` asks for what cannot be.
    #[error("--perf-events-config {}: {problem}", path.display())]
    PerfEvents {
        /// Which file.
        path: PathBuf,
        /// What and where, and what is allowed.
        problem: String,
    },
    /// A sink's table has a value that is not allowed.
    #[error("[[sink]] {sink}: {key} = {given:?} is not allowed; wanted: {wanted}")]
    Sink {
        /// The sink's name.
        sink: String,
        /// The key.
        key: String,
        /// What was given.
        given: String,
        /// What is allowed.
        wanted: String,
    },
    /// A value is outside of what is allowed, wherever it came from.
    #[error("--{} (key {key}): {given:?} is not allowed; wanted: {wanted}", key.replace('_', "-"))]
    Value {
        /// The setting's key; its flag has dashes instead.
        key: &'static str,
        /// What was given.
        given: String,
        /// What is allowed.
        wanted: String,
    },
}

#[cfg(test)]
mod tests;
