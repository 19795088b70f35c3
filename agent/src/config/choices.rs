//! Settings that are one of a few words.

use serde::{Deserialize, Deserializer};

use super::form::Form;
use crate::model::{RungChoice, Source, named};

named! {
    /// The form of the log.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum LogFormat {
        /// For people
        Text = "text",
        /// One JSON object per line
        Json = "json",
    }
}

named! {
    /// The least severe message that is logged.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum LogLevel {
        /// An operator must act
        Error = "error",
        /// Something does not work
        Warn = "warn",
        /// Starts, stops, rungs
        Info = "info",
        /// For the agent's developers
        Debug = "debug",
        /// Everything
        Trace = "trace",
    }
}

/// Rungs for cgroups made and removed.
pub(super) const LIFECYCLE_RUNGS: Form = Form::Choice(
    &["auto", "tp_btf", "tracepoint", "inotify", "walk"],
    &[
        "The best that this host allows",
        "BPF on BTF-typed tracepoints only",
        "BPF on classic tracepoints only",
        "No BPF: watch the directories",
        "No BPF: walk the tree on an interval",
    ],
);

/// Rungs for OOM kills.
pub(super) const OOM_RUNGS: Form = Form::Choice(
    &["auto", "fentry", "kprobe", "tp_btf", "tracepoint", "memory_events", "oom_control", "kmsg", "none"],
    &[
        "The best that this host allows",
        "BPF by fentry at the kernel's OOM decision, and on each victim",
        "BPF by kprobe at the kernel's OOM decision, and on each victim",
        "BPF on the BTF-typed tracepoint only",
        "BPF on the classic tracepoint only",
        "Watch `memory.events` of cgroup v2",
        "Watch `memory.oom_control` of cgroup v1",
        "The kernel log",
        "No OOM events",
    ],
);

/// A rung has the name of its source. A walk needs nothing from the kernel.
pub(super) fn rung<'de, D: Deserializer<'de>>(text: D) -> Result<RungChoice, D::Error> {
    Ok(match &*String::deserialize(text)? {
        "auto" => RungChoice::Auto,
        "walk" => RungChoice::None,
        name => Source::from_name(name).map_or(RungChoice::None, RungChoice::Only),
    })
}
