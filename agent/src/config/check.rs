//! Defaults and limits of every setting.

use std::collections::HashSet;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    Config, ConfigError, EventSync, HumanDuration, LifecycleChoice, ListenAddr, LogFormat, LogLevel,
    NamesConfig, OomChoice, ReadingConfig, RuntimeSocket, Settings, perf_events, sinks,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// A walk reads every directory: more often than this it would be the agent's main cost.
const SHORTEST_WALK: Duration = Duration::from_millis(100);

impl Config {
    /// The settings with defaults for what they do not say.
    ///
    /// # Errors
    /// Names the first setting whose value is not allowed, and what is.
    pub fn check(settings: Settings) -> Result<Self, ConfigError> {
        let (event_log_bytes, event_log_age, event_log_segments) = event_log(&settings)?;
        let reading = ReadingConfig::check(&settings)?;
        let names = names(&settings)?;
        let max_open_files =
            settings.max_open_files.map(|files| number("max_open_files", files, 0..=1 << 30));
        Ok(Self {
            listen: listen(settings.listen)?,
            host_root: absolute("host_root", settings.host_root, "/")?,
            state_dir: absolute("state_dir", settings.state_dir, "/var/lib/cgtap")?,
            min_interval: duration("min_interval", settings.min_interval, SECOND, Duration::ZERO..=HOUR)?,
            enable: words("enable", settings.enable)?,
            disable: words("disable", settings.disable)?,
            perf_events: settings.perf_events_config.map(perf_events::read).transpose()?,
            labels: words("labels", settings.labels)?,
            reading,
            names,
            timestamps: settings.timestamps.unwrap_or(false),
            log_format: settings.log_format.unwrap_or(LogFormat::Text),
            log_level: settings.log_level.unwrap_or(LogLevel::Info),
            max_open_files: max_open_files.transpose()?,
            event_memory_records: number(
                "event_memory_records",
                settings.event_memory_records.unwrap_or(32_768),
                1..=1 << 24,
            )?,
            event_log_bytes,
            event_log_age,
            event_log_segments,
            event_sync: settings.event_sync.unwrap_or(EventSync::OomKill),
            tombstone: duration("tombstone", settings.tombstone, 600 * SECOND, Duration::ZERO..=WEEK)?,
            max_tombstones: number("max_tombstones", settings.max_tombstones.unwrap_or(10_000), 0..=1 << 24)?,
            walk_interval: duration(
                "walk_interval",
                settings.walk_interval,
                60 * SECOND,
                SHORTEST_WALK..=HOUR,
            )?,
            walk_source_interval: duration(
                "walk_source_interval",
                settings.walk_source_interval,
                2 * SECOND,
                SHORTEST_WALK..=HOUR,
            )?,
            lifecycle_source: settings.lifecycle_source.unwrap_or(LifecycleChoice::Auto),
            oom_source: settings.oom_source.unwrap_or(OomChoice::Auto),
            lifecycle_ring_bytes: ring("lifecycle_ring_bytes", settings.lifecycle_ring_bytes, 4 << 20)?,
            oom_ring_bytes: ring("oom_ring_bytes", settings.oom_ring_bytes, 256 << 10)?,
            pin: settings.pin.map(|place| absolute("pin", Some(place), "")).transpose()?,
            pin_replace: settings.pin_replace.unwrap_or(false),
            max_connections: number("max_connections", settings.max_connections.unwrap_or(256), 1..=65_536)?,
            client_timeout: duration(
                "client_timeout",
                settings.client_timeout,
                600 * SECOND,
                SECOND..=24 * HOUR,
            )?,
            sinks: sinks::check(settings.sink.unwrap_or_default())?,
        })
    }
}

/// Who is asked for names of containers, and what is kept of the answers.
fn names(settings: &Settings) -> Result<NamesConfig, ConfigError> {
    Ok(NamesConfig {
        runtime_sockets: runtime_sockets(settings.runtime_sockets.clone())?,
        all_labels: settings.store_container_labels.unwrap_or(true),
        labels: words("container_label_allow", settings.container_label_allow.clone())?,
        env_prefixes: words("container_env_allow", settings.container_env_allow.clone())?,
    })
}

/// `none` alone is no socket at all.
fn runtime_sockets(given: Option<Vec<RuntimeSocket>>) -> Result<Option<Vec<RuntimeSocket>>, ConfigError> {
    match given {
        Some(sockets) if sockets == [RuntimeSocket::None] => Ok(Some(Vec::new())),
        Some(sockets) if sockets.is_empty() || sockets.contains(&RuntimeSocket::None) => {
            let given: Vec<String> = sockets.iter().map(ToString::to_string).collect();
            Err(refused("runtime_sockets", given.join(","), "sockets, or none alone"))
        }
        other => Ok(other),
    }
}

/// How much of the event log is kept on disk: bytes, age, segments.
fn event_log(settings: &Settings) -> Result<(u64, Duration, u32), ConfigError> {
    let bytes = settings.event_log_bytes.unwrap_or(64 << 20);
    let segments = settings.event_log_segments.unwrap_or(16);
    Ok((
        number("event_log_bytes", bytes, 1 << 16..=1 << 40)?,
        duration("event_log_age", settings.event_log_age, WEEK, SECOND..=520 * WEEK)?,
        number("event_log_segments", segments, 2..=4096)?,
    ))
}

pub(super) fn refused(key: &'static str, given: impl Into<String>, wanted: impl Into<String>) -> ConfigError {
    ConfigError::Value { key, given: given.into(), wanted: wanted.into() }
}

fn listen(given: Option<Vec<ListenAddr>>) -> Result<Vec<ListenAddr>, ConfigError> {
    let default = || vec![ListenAddr::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))];
    let addresses = given.unwrap_or_else(default);
    if addresses.is_empty() {
        return Err(refused("listen", "", "at least one ADDRESS:PORT or unix:/path"));
    }
    let mut seen = HashSet::new();
    let twice = addresses.iter().find(|address| !seen.insert(*address));
    twice.map_or(Ok(()), |address| Err(refused("listen", address.to_string(), "each address once")))?;
    Ok(addresses)
}

fn absolute(key: &'static str, given: Option<PathBuf>, default: &str) -> Result<PathBuf, ConfigError> {
    let path = given.unwrap_or_else(|| PathBuf::from(default));
    if path.is_absolute() { Ok(path) } else { Err(refused(key, display(&path), "an absolute path")) }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

/// An empty word is most often a slip in a list (`a,,b`); an empty list as a whole says "none".
fn words(key: &'static str, given: Option<Vec<String>>) -> Result<Vec<String>, ConfigError> {
    let words = given.unwrap_or_default();
    if words.len() == 1 && words.iter().all(|word| word.is_empty()) {
        return Ok(Vec::new());
    }
    if words.iter().any(|word| word.trim().is_empty()) {
        return Err(refused(key, words.join(","), "names between commas, none of them empty"));
    }
    Ok(words)
}

pub(super) fn duration(
    key: &'static str,
    given: Option<HumanDuration>,
    default: Duration,
    allowed: RangeInclusive<Duration>,
) -> Result<Duration, ConfigError> {
    let value = given.map_or(default, |HumanDuration(value)| value);
    if allowed.contains(&value) {
        return Ok(value);
    }
    let text = humantime::format_duration;
    let wanted = format!("{} to {}", text(*allowed.start()), text(*allowed.end()));
    Err(refused(key, text(value).to_string(), wanted))
}

pub(super) fn number<T: PartialOrd + Display>(
    key: &'static str,
    value: T,
    allowed: RangeInclusive<T>,
) -> Result<T, ConfigError> {
    if allowed.contains(&value) {
        return Ok(value);
    }
    Err(refused(key, value.to_string(), format!("{} to {}", allowed.start(), allowed.end())))
}

/// The kernel takes a ring of a power of two of whole pages and nothing else.
fn ring(key: &'static str, given: Option<u32>, default: u32) -> Result<u32, ConfigError> {
    let page = u32::try_from(rustix::param::page_size()).unwrap_or(u32::MAX);
    let value = given.unwrap_or(default);
    if value.is_power_of_two() && (page..=1 << 30).contains(&value) {
        return Ok(value);
    }
    Err(refused(key, value.to_string(), format!("a power of two, {page} (one page) to {}", 1_u32 << 30)))
}
