//! `[[sink]]` tables of the file: ways of events out of the node.
//!
//! Each key is one field here, with its default; the sinks take these structs as they are.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::{ConfigError, HumanDuration};

const SECOND: Duration = Duration::from_secs(1);
const TIMEOUTS: RangeInclusive<Duration> = SECOND..=Duration::from_secs(3600);
const LONGEST_PAUSES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
/// For the message about a key that a sink does not have.
const KEYS: &str = "each sink has `kind` (stdout, file, journald or webhook), `name`, `types`, `cgroup`, `pod`, \
    `namespace`, `container`, `batch_events`, `longest_pause`, and the keys of its kind";

/// One table, checked but for its filter.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SinkSettings {
    /// The label of its metrics and the name of its cursor; its kind unless the file says otherwise.
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    types: Vec<String>,
    cgroup: Option<String>,
    pod: Option<String>,
    namespace: Option<String>,
    container: Option<String>,
    /// Events that are sent together at most.
    #[serde(default = "batch_events")]
    pub batch_events: usize,
    /// The longest pause between tries.
    #[serde(default = "longest_pause")]
    pub longest_pause: HumanDuration,
    /// Where the events go.
    #[serde(flatten, deserialize_with = "outlet")]
    pub outlet: OutletSettings,
}

fn batch_events() -> usize {
    100
}

fn longest_pause() -> HumanDuration {
    HumanDuration(30 * SECOND)
}

/// Where a sink's events go, with the keys that only this kind has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum OutletSettings {
    /// Standard output.
    Stdout {},
    /// A file with rotation.
    File(FileSettings),
    /// The journal.
    Journald {
        /// Its socket, below the host root.
        #[serde(default = "journal_socket")]
        path: PathBuf,
    },
    /// A webhook.
    Webhook(WebhookSettings),
}

fn journal_socket() -> PathBuf {
    PathBuf::from("/run/systemd/journal/socket")
}

/// A file with rotation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileSettings {
    /// The file; absolute.
    pub path: PathBuf,
    /// It is rotated before it gets larger.
    pub max_bytes: u64,
    /// Rotated files that are kept.
    pub max_files: u32,
}

impl Default for FileSettings {
    fn default() -> Self {
        Self { path: PathBuf::new(), max_bytes: 64 << 20, max_files: 5 }
    }
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {
    /// `http://` or `https://`.
    pub url: String,
    /// Holds the key of the signature; read for each batch, so that it can be replaced.
    pub secret_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// For one batch, from the connection to the answer.
    pub timeout: HumanDuration,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self { url: String::new(), secret_file: None, ca_file: None, timeout: HumanDuration(10 * SECOND) }
    }
}

/// Reads the keys that are left, and names all keys where one of them is wrong.
fn outlet<'de, D: Deserializer<'de>>(keys: D) -> Result<OutletSettings, D::Error> {
    let keys = toml::Table::deserialize(keys)?;
    keys.try_into().map_err(|error| D::Error::custom(format!("{error}; {KEYS}", error = error.message())))
}

/// Checks all tables.
pub(super) fn check(mut sinks: Vec<SinkSettings>) -> Result<Vec<SinkSettings>, ConfigError> {
    for sink in &mut sinks {
        if sink.name.is_empty() {
            sink.outlet.kind().clone_into(&mut sink.name);
        }
        sink.check()?;
    }
    let mut seen = HashSet::new();
    match sinks.iter().find(|sink| !seen.insert(&sink.name)) {
        Some(twice) => Err(twice.refused("name", twice.name.clone(), "a name of its own for each sink")),
        None => Ok(sinks),
    }
}

impl OutletSettings {
    fn kind(&self) -> &'static str {
        match self {
            Self::Stdout {} => "stdout",
            Self::File(_) => "file",
            Self::Journald { .. } => "journald",
            Self::Webhook(_) => "webhook",
        }
    }
}

impl SinkSettings {
    /// The filter as `/events` has it: parameters and their values.
    pub(crate) fn filter(&self) -> Vec<(&'static str, String)> {
        let types = (!self.types.is_empty()).then(|| self.types.join(","));
        let given = [
            ("types", types),
            ("cgroup", self.cgroup.clone()),
            ("pod", self.pod.clone()),
            ("namespace", self.namespace.clone()),
            ("container", self.container.clone()),
        ];
        given.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    /// The error about one of its keys.
    pub(crate) fn refused(&self, key: &str, given: String, wanted: impl Into<String>) -> ConfigError {
        ConfigError::Sink { sink: self.name.clone(), key: key.to_owned(), given, wanted: wanted.into() }
    }

    /// Whether each value is allowed: key, value, and what is allowed instead.
    fn check(&self) -> Result<(), ConfigError> {
        let mut checks = vec![
            (is_plain(&self.name), "name", self.name.clone(), "1 to 64 letters, digits, - and _"),
            (
                (1..=10_000).contains(&self.batch_events),
                "batch_events",
                self.batch_events.to_string(),
                "1 to 10000",
            ),
            (
                LONGEST_PAUSES.contains(&self.longest_pause.0),
                "longest_pause",
                text(self.longest_pause),
                "100ms to 1h",
            ),
        ];
        match &self.outlet {
            OutletSettings::Stdout {} | OutletSettings::Journald { .. } => {}
            OutletSettings::File(file) => checks.extend([
                (file.path.is_absolute(), "path", file.path.display().to_string(), "an absolute path"),
                (file.max_bytes >= 4096, "max_bytes", file.max_bytes.to_string(), "4096 or more"),
                (file.max_files <= 1000, "max_files", file.max_files.to_string(), "0 to 1000"),
            ]),
            OutletSettings::Webhook(webhook) => checks.extend([
                (is_http(&webhook.url), "url", webhook.url.clone(), "http://HOST... or https://HOST..."),
                (TIMEOUTS.contains(&webhook.timeout.0), "timeout", text(webhook.timeout), "1s to 1h"),
            ]),
        }
        match checks.into_iter().find(|(is_allowed, ..)| !is_allowed) {
            Some((_, key, given, wanted)) => Err(self.refused(key, given, wanted)),
            None => Ok(()),
        }
    }
}

fn text(duration: HumanDuration) -> String {
    humantime::format_duration(duration.0).to_string()
}

/// The name is a file's name and a label.
fn is_plain(name: &str) -> bool {
    name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

fn is_http(url: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Vec<SinkSettings>, String> {
        #[derive(Deserialize)]
        struct File {
            sink: Vec<SinkSettings>,
        }
        let file: File = toml::from_str(text).map_err(|err| err.to_string())?;
        check(file.sink).map_err(|err| err.to_string())
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
        assert_eq!(sinks[3].filter(), [("types", "oom_kill,lost".to_owned()), ("pod", "a".to_owned())]);
        assert_eq!((sinks[3].batch_events, sinks[3].longest_pause.0), (100, 30 * SECOND));
    }

    #[test]
    fn the_message_names_the_keys_that_every_kind_takes() {
        let keys = "kind = \"stdout\"\nname = \"a\"\ntypes = [\"lost\"]\ncgroup = \"/a\"\npod = \"p\"\n\
            namespace = \"n\"\ncontainer = \"c\"\nbatch_events = 1\nlongest_pause = \"1s\"";
        load(&format!("[[sink]]\n{keys}")).unwrap();
        let given: Vec<&str> = keys.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(KEYS.split('`').skip(1).step_by(2).collect::<Vec<_>>(), given);
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
        ] {
            let err = load(&format!("[[sink]]\n{text}")).expect_err(text);
            for part in wanted {
                assert!(err.contains(part), "{text}: {part:?} is not in {err}");
            }
        }
    }
}
