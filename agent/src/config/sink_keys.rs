//! The keys of a table `[[sink]]`, for the page of settings and for the schema of the file. A test compares them with
//! what `sinks.rs` reads.

/// A key of a table `[[sink]]`.
pub(super) struct SinkKey {
    pub(super) key: &'static str,
    /// The kind that has it; empty for all kinds.
    pub(super) kind: &'static str,
    /// Its type in the file, in JSON Schema's words.
    pub(super) form: &'static str,
    pub(super) default: &'static str,
    pub(super) help: &'static str,
}

/// The kinds of sinks.
pub(super) const KINDS: [&str; 4] = ["stdout", "file", "journald", "webhook"];

const fn key(
    kind: &'static str,
    key: &'static str,
    form: &'static str,
    default: &'static str,
    help: &'static str,
) -> SinkKey {
    SinkKey { key, kind, form, default, help }
}

#[rustfmt::skip]
pub(super) const SINK_KEYS: [SinkKey; 17] = [
    key("", "kind", "string", "", "Where events go: stdout, file, journald or webhook"),
    key("", "name", "string", "its kind", "The label of its metrics and the name of its cursor"),
    key("", "types", "array", "all", "Only events of these types"),
    key("", "cgroup", "string", "all", "Only this cgroup and those below it"),
    key("", "pod", "string", "all", "Only this pod"),
    key("", "namespace", "string", "all", "Only pods of this namespace"),
    key("", "container", "string", "all", "Only this container"),
    key("", "batch_events", "integer", "100", "Greatest number of events in a batch, 1 to 10000"),
    key("", "longest_pause", "string", "30s", "Longest pause between tries, 100ms to 1h"),
    key("file", "path", "string", "", "The file; absolute"),
    key("file", "max_bytes", "integer", "67108864", "Rotate the file before it is larger; 4096 or more"),
    key("file", "max_files", "integer", "5", "Rotated files to keep, 0 to 1000"),
    key("journald", "path", "string", "/run/systemd/journal/socket", "The socket, below the host root"),
    key("webhook", "url", "string", "", "http://HOST... or https://HOST..."),
    key("webhook", "secret_file", "string", "", "Sign each batch with the key in this file"),
    key("webhook", "ca_file", "string", "", "Trust these certificates (PEM) instead of the public ones"),
    key("webhook", "timeout", "string", "10s", "Time limit of a batch, 1s to 1h"),
];
