//! `[[sink]]` tables of the file: ways of events out of the node. Each key is declared once, with the kind that has it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::{Table, Value};
use ureq::tls::{PemItem, parse_pem};

use super::declare::Fallback::{Absent, Is, Required};
use super::declare::{Fallback, Setting, complete, settings};
use super::form::Form::{self, Choice, Number, Text, Time};
use super::form::{ABSOLUTE_PATH, ANY_TEXT, NAMES, duration};
use super::{ConfigError, http_uri, read_file};
use crate::events::Filter;

const PAUSES: Form = Time(Duration::from_millis(100)..=Duration::from_secs(3600));
const TIMEOUTS: Form = Time(Duration::from_secs(1)..=Duration::from_secs(3600));
/// The name is a file's name and a label.
const PLAIN_NAME: Form = Text("1 to 64 letters, digits, - and _", |name| {
    (1..=64).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
});
const URL: Form = Text("http://HOST... or https://HOST..., with a port of 1 to 65535 or none", |url| {
    http_uri(url).is_some()
});
const KINDS: Form = Choice(&["stdout", "file", "journald", "webhook"], &[]);

const fn key(key: &'static str, form: Form, default: Fallback, help: &'static str) -> Setting {
    Setting { key, help, value_name: "", default, form }
}

#[rustfmt::skip]
static COMMON_KEYS: &[Setting] = &[
    key("kind", KINDS, Required, "Where events go"),
    key("name", PLAIN_NAME, Absent("its kind"), "The label of its metrics and the name of its cursor"),
    key("types", NAMES, Absent("all"), "Only events of these types"),
    key("cgroup", ANY_TEXT, Absent("all"), "Only this cgroup and those below it"),
    key("pod", ANY_TEXT, Absent("all"), "Only this pod"),
    key("namespace", ANY_TEXT, Absent("all"), "Only pods of this namespace"),
    key("container", ANY_TEXT, Absent("all"), "Only this container"),
    key("batch_events", Number(1..=10_000), Is("100"), "Greatest number of events in a batch"),
    key("longest_pause", PAUSES, Is("30s"), "Longest pause between tries"),
];

settings! {
    /// A file with rotation.
    #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
    FILE_KEYS: FileSettings {
        /// The file
        path: PathBuf ["FILE"] = Required, ABSOLUTE_PATH;
        /// Rotate the file before it is larger
        max_bytes: u64 ["BYTES"] = Is("67108864"), Number(4096..=i64::MAX);
        /// Rotated files to keep
        max_files: u32 ["N"] = Is("5"), Number(0..=1000);
    }
}

settings! {
    /// The journal.
    #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
    JOURNALD_KEYS: JournaldSettings {
        /// The socket, below the host root
        path: PathBuf ["SOCKET"] = Is("/run/systemd/journal/socket"), ANY_TEXT;
    }
}

settings! {
    /// A webhook.
    #[serde_with::apply(Duration => #[serde(deserialize_with = "duration")])]
    #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
    WEBHOOK_KEYS: WebhookSettings {
        /// Where to POST the events
        url: String ["URL"] = Required, URL;
        /// Sign each batch with the key in this file
        secret_file: Option<PathBuf> ["FILE"] = Absent(""), ANY_TEXT;
        /// Trust these certificates (PEM) instead of the public ones
        ca_file: Option<PathBuf> ["FILE"] = Absent(""), ANY_TEXT;
        /// Time limit of a batch
        timeout: Duration ["DURATION"] = Is("10s"), TIMEOUTS;
    }
    /// The certificates of `ca_file`, in DER form.
    #[serde(skip)]
    certificates: Vec<Vec<u8>>;
}

/// The keys of all sinks, then those of each kind.
pub(super) static SINK_KEYS: &[(&str, &[Setting])] =
    &[("", COMMON_KEYS), ("file", FILE_KEYS), ("journald", JOURNALD_KEYS), ("webhook", WEBHOOK_KEYS)];

/// The keys that choose events.
const FILTER_KEYS: [&str; 5] = ["types", "cgroup", "pod", "namespace", "container"];

/// One sink, checked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SinkSettings {
    /// The label of its metrics and the name of its cursor.
    pub name: String,
    #[serde(skip)]
    pub filter: Filter,
    /// Events that are sent together at most.
    pub batch_events: usize,
    /// The longest pause between tries.
    #[serde(deserialize_with = "duration")]
    pub longest_pause: Duration,
    #[serde(flatten)]
    pub outlet: OutletSettings,
}

/// Where a sink's events go, with the keys that only this kind has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OutletSettings {
    /// Standard output.
    Stdout,
    File(FileSettings),
    Journald(JournaldSettings),
    Webhook(WebhookSettings),
}

/// Reads and checks all tables, each with its place.
pub(super) fn read(tables: &[(String, Table)]) -> Result<Vec<SinkSettings>, ConfigError> {
    let mut sinks = Vec::<SinkSettings>::new();
    for (place, table) in tables {
        let name = name(table);
        let place = format!("{place}: [[sink]] {name}");
        if sinks.iter().any(|other| other.name == name) {
            return Err(ConfigError::at(
                &place,
                "another sink has this name; wanted: a name of its own for each",
            ));
        }
        let sink = read_one(&place, name, table.clone())?;
        if let Some(other) = sinks.iter().find(|other| other.outlet.shares_file(&sink.outlet)) {
            let problem =
                format!("path: sink {} has this file; wanted: a file of its own for each", other.name);
            return Err(ConfigError::at(&place, problem));
        }
        sinks.push(sink);
    }
    Ok(sinks)
}

/// Its kind, where it has no name.
fn name(table: &Table) -> String {
    let name = table.get("name").or_else(|| table.get("kind"));
    name.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn read_one(place: &str, name: String, table: Table) -> Result<SinkSettings, ConfigError> {
    let refused = |key: &str, problem: String| ConfigError::at(&format!("{place}: {key}"), problem);
    let kind = table.get("kind").and_then(Value::as_str).unwrap_or_default();
    let own = SINK_KEYS.iter().skip(1).find(|(known, _)| *known == kind).map_or(&[][..], |(_, keys)| keys);
    let mut table = complete(&[COMMON_KEYS, own], table, |key| format!("{place}: {key}"))?;
    table.insert("name".to_owned(), Value::String(name));
    let mut filter = Filter::default();
    for key in FILTER_KEYS {
        let Some(value) = table.remove(key) else { continue };
        let words = words(&value).join(",");
        filter.set(key, words.as_bytes()).map_err(|bad| {
            let allowed = if bad.allowed.is_empty() { "" } else { "; wanted: " };
            refused(key, format!("{}{allowed}{}", bad.text, bad.allowed.join(", ")))
        })?;
    }
    let mut sink =
        SinkSettings::deserialize(table).map_err(|error| ConfigError::at(place, error.message()))?;
    sink.filter = filter;
    if let OutletSettings::Webhook(webhook) = &mut sink.outlet
        && let Some(path) = &webhook.ca_file
    {
        webhook.certificates = certificates(path).map_err(|error| {
            refused("ca_file", format!("{}: {error}; wanted: certificates in PEM form", path.display()))
        })?;
    }
    Ok(sink)
}

/// The words of a string or a list.
fn words(value: &Value) -> Vec<&str> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str).collect()
}

fn certificates(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for item in parse_pem(&read_file(path)?) {
        if let PemItem::Certificate(certificate) = item.map_err(io::Error::other)? {
            found.push(certificate.der().to_vec());
        }
    }
    if found.is_empty() { Err(io::Error::other("it has no certificate")) } else { Ok(found) }
}

impl OutletSettings {
    /// Whether both write to one file, or one of them to a rotated file of the other.
    fn shares_file(&self, other: &Self) -> bool {
        let (Self::File(one), Self::File(other)) = (self, other) else { return false };
        one.has(&other.path) || other.has(&one.path)
    }
}

impl FileSettings {
    /// Whether the file at this path is its own or one that it rotates to.
    fn has(&self, path: &Path) -> bool {
        let number = path.extension().and_then(|number| number.to_str()?.parse().ok());
        let is_rotated = number.is_some_and(|number| (1..=self.max_files).contains(&number));
        path == self.path || (is_rotated && path.with_extension("") == self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn load(text: &str) -> Result<Vec<SinkSettings>, String> {
        let file: Table = toml::from_str(text).map_err(|err| err.to_string())?;
        let tables = file["sink"].as_array().unwrap().iter();
        let tables: Vec<_> = tables
            .map(|table| ("cgtap.toml: line 7".to_owned(), table.as_table().unwrap().clone()))
            .collect();
        read(&tables).map_err(|err| err.to_string())
    }

    #[test]
    fn each_kind_has_its_defaults() {
        let text = "[[sink]]\nkind = \"stdout\"\n[[sink]]\nkind = \"file\"\npath = \"/x\"\n[[sink]]\nkind = \"journald\"\n\
            [[sink]]\nkind = \"webhook\"\nname = \"pager\"\nurl = \"http://h/\"\ntypes = [\"oom_kill\", \"lost\"]\npod = \"a\"";
        let sinks = load(text).unwrap();
        let names: Vec<&str> = sinks.iter().map(|sink| sink.name.as_str()).collect();
        assert_eq!(names, ["stdout", "file", "journald", "pager"]);
        let file = FileSettings { path: "/x".into(), max_bytes: 64 << 20, max_files: 5 };
        assert_eq!(sinks[1].outlet, OutletSettings::File(file));
        let types = ["lost", "oom_kill"].map(str::to_owned).into();
        let filter = Filter { types: Some(types), pod: Some("a".to_owned()), ..Filter::default() };
        assert_eq!(sinks[3].filter, filter);
        assert_eq!((sinks[3].batch_events, sinks[3].longest_pause), (100, Duration::from_secs(30)));
    }

    #[test]
    fn the_message_names_the_keys_that_every_kind_takes() {
        let keys = "kind = \"stdout\"\nname = \"a\"\ntypes = [\"lost\"]\ncgroup = \"/a\"\npod = \"p\"\n\
            namespace = \"n\"\ncontainer = \"c\"\nbatch_events = 1\nlongest_pause = \"1s\"";
        load(
            &format!("[[sink]]\n{keys}")
                .replace("pod = \"p\"", "pod = \"a1\"")
                .replace("\"c\"", "\"0123456789ab\""),
        )
        .unwrap();
        let given: Vec<&str> = keys.lines().map(|line| line.split(' ').next().unwrap()).collect();
        let err = load("[[sink]]\nkind = \"stdout\"\ncolour = 1").unwrap_err();
        assert_eq!(err.split('`').skip(1).step_by(2).collect::<Vec<_>>(), given);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, wanted) in [
            ("", &["kind", "webhook"][..]),
            ("kind = \"kafka\"", &["kafka", "journald"]),
            ("kind = \"file\"", &["file", "path", "absolute"]),
            ("kind = \"file\"\npath = \"x\"", &["path", "\"x\"", "absolute"]),
            ("kind = \"file\"\npath = \"/x\"\nmax_bytes = 1", &["max_bytes", "4096"]),
            ("kind = \"file\"\npath = \"/x\"\nurl = \"http://h\"", &["url", "`max_bytes`", "`types`"]),
            ("kind = \"webhook\"", &["url", "http://"]),
            ("kind = \"webhook\"\nurl = \"ftp://h\"", &["ftp://h", "https://"]),
            ("kind = \"webhook\"\nurl = \"http://h\"\ntimeout = \"0s\"", &["timeout", "1s to 1h"]),
            ("kind = \"webhook\"\nurl = \"http://h\"\ntimeout = \"2h\"", &["timeout", "1s to 1h"]),
            ("kind = \"journald\"\ntimeout = \"1s\"", &["timeout", "`path`"]),
            ("kind = \"stdout\"\nmax_files = 1", &["max_files", "`kind`"]),
            ("kind = \"file\"\npath = \"/x\"\nmax_files = 1001", &["max_files", "0 to 1000"]),
            ("kind = \"stdout\"\nname = \"a/b\"", &["a/b", "letters"]),
            ("kind = \"stdout\"\nbatch_events = 0", &["batch_events", "1 to 10000"]),
            ("kind = \"stdout\"\nlongest_pause = \"2h\"", &["longest_pause", "100ms to 1h"]),
            ("kind = \"stdout\"\ncolour = 1", &["colour", "`types`"]),
            ("kind = \"stdout\"\n[[sink]]\nkind = \"stdout\"", &["stdout", "of its own"]),
            ("kind = \"stdout\"\nname = \"\"", &["name", "1 to 64 letters"]),
            ("kind = \"stdout\"\ntypes = [\"oom\"]", &["[[sink]] stdout: types", "oom", "oom_kill"]),
            ("kind = \"stdout\"\ncgroup = \"a\"", &["stdout: cgroup", "\"a\""]),
            ("kind = \"stdout\"\npod = \"x\"", &["stdout: pod", "\"x\""]),
            ("kind = \"stdout\"\nnamespace = \"X\"", &["stdout: namespace", "\"X\""]),
            ("kind = \"stdout\"\ncontainer = \"1\"", &["stdout: container", "\"1\""]),
            ("kind = \"webhook\"\nurl = \"http://h:70000/\"", &["webhook: url", "70000", "65535"]),
            (
                "kind = \"webhook\"\nurl = \"http://h\"\nca_file = \"/nonexistent\"",
                &["ca_file", "/nonexistent"],
            ),
            (
                "kind = \"webhook\"\nurl = \"http://h\"\nca_file = \"/dev/null\"",
                &["/dev/null", "no certificate"],
            ),
        ] {
            let err = load(&format!("[[sink]]\n{text}")).expect_err(text);
            assert!(err.starts_with("cgtap.toml: line 7: [[sink]] "), "{err}");
            for part in wanted {
                assert!(err.contains(part), "{text}: {part:?} is not in {err}");
            }
        }
    }

    #[test]
    fn each_file_has_one_sink() {
        let file = |name: &str, path: &str| {
            format!("[[sink]]\nkind = \"file\"\nname = \"{name}\"\npath = \"{path}\"\nmax_files = 2\n")
        };
        for path in ["/x/a.json", "/x//a.json", "/x/a.json.1", "/x/a.json.2"] {
            for (first, second) in [("/x/a.json", path), (path, "/x/a.json")] {
                let err = load(&(file("one", first) + &file("two", second))).expect_err(path);
                assert!(err.contains("[[sink]] two: path: sink one"), "{err}");
            }
        }
        for path in ["/x/a.json.3", "/x/a.json.b", "/x/a", "/x/a.json/1", "/y/a.json.1"] {
            load(&(file("one", "/x/a.json") + &file("two", path))).unwrap();
        }
    }
}
