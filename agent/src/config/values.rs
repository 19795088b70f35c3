//! The settings' own types: how each is written on a command line and in the file.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;

/// Where to serve: `ADDRESS:PORT` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum ListenAddr {
    /// An address and port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A socket file; absolute.
    Unix(PathBuf),
}

impl FromStr for ListenAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(PathBuf::from(path))),
            Some(_) => Err(format!("{text:?}: wanted an absolute path, as unix:/run/cgtap.sock")),
            None => text.parse().map(Self::Tcp).map_err(|err| {
                format!(
                    "{text:?}: {err}; wanted ADDRESS:PORT, as 127.0.0.1:8080 or [::1]:8080, or unix:/path"
                )
            }),
        }
    }
}

impl TryFrom<String> for ListenAddr {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A length of time as people write it: `1s`, `250ms`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HumanDuration(pub Duration);

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|err| format!("{text:?}: {err}; wanted a duration with its unit, as 1s, 250ms or 10m"))
    }
}

impl TryFrom<String> for HumanDuration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The log's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The least severe message that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What an operator must act on.
    Error,
    /// What took something away.
    Warn,
    /// Starts, stops, rungs.
    Info,
    /// For the agent's developers.
    Debug,
    /// Everything.
    Trace,
}

/// The rung for cgroups made and removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LifecycleChoice {
    /// The best that this host allows.
    Auto,
    /// BPF on BTF-typed tracepoints only.
    #[value(name = "tp_btf")]
    TpBtf,
    /// BPF on classic tracepoints only.
    Tracepoint,
    /// No BPF: the directories are watched.
    Inotify,
    /// No BPF: a walk of the tree on an interval.
    Walk,
}

/// Which events are forced to the disk before they are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventSync {
    /// Each.
    All,
    /// OOM kills.
    #[value(name = "oom_kill")]
    OomKill,
    /// None; the kernel writes them when it does.
    None,
}

/// The rung for OOM kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OomChoice {
    /// The best that this host allows.
    Auto,
    /// BPF at the entry of the kernel's OOM decision by fentry, and on each victim.
    Fentry,
    /// The same, with a kprobe at the entry.
    Kprobe,
    /// BPF on the BTF-typed tracepoint only.
    #[value(name = "tp_btf")]
    TpBtf,
    /// BPF on the classic tracepoint only.
    Tracepoint,
    /// `memory.events` of cgroup v2, watched.
    #[value(name = "memory_events")]
    MemoryEvents,
    /// `memory.oom_control` of cgroup v1, watched.
    #[value(name = "oom_control")]
    OomControl,
    /// The kernel log.
    Kmsg,
    /// No OOM events.
    None,
}
