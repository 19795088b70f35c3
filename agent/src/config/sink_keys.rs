//! The keys of a table `[[sink]]`, each declared once but for its field in `sinks.rs`. A test compares the two.

use std::time::Duration;

use super::declare::Fallback::{Absent, Is};
use super::declare::{Fallback, Setting};
use super::form::Form::{self, Choice, Number, Text, Time};
use super::form::{ABSOLUTE_PATH, ANY_TEXT, NAMES};

const PAUSES: Form = Time(Duration::from_millis(100)..=Duration::from_secs(3600));
const TIMEOUTS: Form = Time(Duration::from_secs(1)..=Duration::from_secs(3600));
/// The name is a file's name and a label.
const PLAIN_NAME: Form = Text("1 to 64 letters, digits, - and _", |name| {
    (1..=64).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
});
const URL: Form = Text("http://HOST... or https://HOST...", |url| {
    ["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme))
});
const KINDS: Form = Choice(&["stdout", "file", "journald", "webhook"], &[]);

/// The name of a value is the kind of sink that has the key; empty for all kinds. `Is("")` is for a key that must be given.
const fn key(
    kind: &'static str,
    key: &'static str,
    form: Form,
    default: Fallback,
    help: &'static str,
) -> Setting {
    Setting { key, help, value_name: kind, default, form }
}

#[rustfmt::skip]
pub(super) static SINK_KEYS: &[Setting] = &[
    key("", "kind", KINDS, Is(""), "Where events go"),
    key("", "name", PLAIN_NAME, Absent("its kind"), "The label of its metrics and the name of its cursor"),
    key("", "types", NAMES, Absent("all"), "Only events of these types"),
    key("", "cgroup", ANY_TEXT, Absent("all"), "Only this cgroup and those below it"),
    key("", "pod", ANY_TEXT, Absent("all"), "Only this pod"),
    key("", "namespace", ANY_TEXT, Absent("all"), "Only pods of this namespace"),
    key("", "container", ANY_TEXT, Absent("all"), "Only this container"),
    key("", "batch_events", Number(1..=10_000), Is("100"), "Greatest number of events in a batch"),
    key("", "longest_pause", PAUSES, Is("30s"), "Longest pause between tries"),
    key("file", "path", ABSOLUTE_PATH, Is(""), "The file"),
    key("file", "max_bytes", Number(4096..=i64::MAX), Is("67108864"), "Rotate the file before it is larger"),
    key("file", "max_files", Number(0..=1000), Is("5"), "Rotated files to keep"),
    key("journald", "path", ANY_TEXT, Is("/run/systemd/journal/socket"), "The socket, below the host root"),
    key("webhook", "url", URL, Is(""), "Where to POST the events"),
    key("webhook", "secret_file", ANY_TEXT, Absent(""), "Sign each batch with the key in this file"),
    key("webhook", "ca_file", ANY_TEXT, Absent(""), "Trust these certificates (PEM) instead of the public ones"),
    key("webhook", "timeout", TIMEOUTS, Is("10s"), "Time limit of a batch"),
];
