//! Settings that are one of a few words.

use serde::Deserialize;

use crate::model::named;

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

named! {
    /// The rung for cgroups made and removed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum LifecycleChoice {
        /// The best that this host allows
        Auto = "auto",
        /// BPF on BTF-typed tracepoints only
        TpBtf = "tp_btf",
        /// BPF on classic tracepoints only
        Tracepoint = "tracepoint",
        /// No BPF: watch the directories
        Inotify = "inotify",
        /// No BPF: walk the tree on an interval
        Walk = "walk",
    }
}

named! {
    /// The rung for OOM kills.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum OomChoice {
        /// The best that this host allows
        Auto = "auto",
        /// BPF by fentry at the kernel's OOM decision, and on each victim
        Fentry = "fentry",
        /// BPF by kprobe at the kernel's OOM decision, and on each victim
        Kprobe = "kprobe",
        /// BPF on the BTF-typed tracepoint only
        TpBtf = "tp_btf",
        /// BPF on the classic tracepoint only
        Tracepoint = "tracepoint",
        /// Watch `memory.events` of cgroup v2
        MemoryEvents = "memory_events",
        /// Watch `memory.oom_control` of cgroup v1
        OomControl = "oom_control",
        /// The kernel log
        Kmsg = "kmsg",
        /// No OOM events
        None = "none",
    }
}
