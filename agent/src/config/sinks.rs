//! `[[sink]]` tables of the file: ways of events out of the node.
//!
//! `sink_keys.rs` has the default and the form of each key; the sinks take these structs as they are.

use std::collections::HashSet;
use std::fmt::Display;
use std::path::PathBuf;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

use super::sink_keys::SINK_KEYS;
use super::{ConfigError, HumanDuration};

/// For the message about a key that a sink does not have.
const KEYS: &str = "each sink has `kind` (stdout, file, journald or webhook), `name`, `types`, `cgroup`, `pod`, \
    `namespace`, `container`, `batch_events`, `longest_pause`, and the keys of its kind";

/// The keys that choose events.
const FILTER_KEYS: [&str; 5] = ["types", "cgroup", "pod", "namespace", "container"];

/// One table, checked but for its filter.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SinkSettings {
    /// The label of its metrics and the name of its cursor.
    pub name: String,
    /// The filter as `/events` has it: parameters and their values.
    #[serde(skip)]
    pub filter: Vec<(&'static str, String)>,
    /// Events that are sent together at most.
    pub batch_events: usize,
    /// The longest pause between tries.
    pub longest_pause: HumanDuration,
    /// Where the events go.
    #[serde(flatten, deserialize_with = "outlet")]
    pub outlet: OutletSettings,
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
        path: PathBuf,
    },
    /// A webhook.
    Webhook(WebhookSettings),
}

/// A file with rotation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// The file; absolute.
    pub path: PathBuf,
    /// It is rotated before it gets larger.
    pub max_bytes: u64,
    /// Rotated files that are kept.
    pub max_files: u32,
}

/// A webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
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

/// Reads the keys that are left, and names all keys where one of them is wrong.
fn outlet<'de, D: Deserializer<'de>>(keys: D) -> Result<OutletSettings, D::Error> {
    let keys = Table::deserialize(keys)?;
    keys.try_into().map_err(|error| D::Error::custom(format!("{error}; {KEYS}", error = error.message())))
}

/// Reads and checks all tables.
pub(super) fn read(tables: &Value) -> Result<Vec<SinkSettings>, ConfigError> {
    let tables = Vec::<Table>::deserialize(tables.clone());
    let tables = tables.map_err(|error| refused("", error.message().to_owned()))?;
    let sinks: Vec<SinkSettings> = tables.into_iter().map(read_one).collect::<Result<_, _>>()?;
    let mut seen = HashSet::new();
    match sinks.iter().find(|sink| !seen.insert(&sink.name)) {
        Some(twice) => Err(twice.refused("name", &twice.name, "a name of its own for each sink")),
        None => Ok(sinks),
    }
}

fn read_one(mut table: Table) -> Result<SinkSettings, ConfigError> {
    let name = name(&table);
    let kind = table.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    for key in SINK_KEYS.iter().filter(|key| key.value_name.is_empty() || key.value_name == kind) {
        if let Some(value) = table.get(key.key).cloned().or_else(|| key.default_value()) {
            let problem = |wanted: String| refused(&name, not_allowed(key.key, &value, &wanted));
            key.form.check(&value).map_err(problem)?;
            table.insert(key.key.to_owned(), value);
        }
    }
    table.insert("name".to_owned(), Value::String(name.clone()));
    let filter = FILTER_KEYS.iter().filter_map(|key| Some((*key, words(&table.remove(*key)?).join(","))));
    let filter = filter.collect();
    let sink = SinkSettings::deserialize(table);
    Ok(SinkSettings { filter, ..sink.map_err(|error| refused(&name, error.message().to_owned()))? })
}

/// The name of the sink with this table: its kind where it has none.
pub(super) fn name(table: &Table) -> String {
    let name = table.get("name").or_else(|| table.get("kind"));
    name.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The words of a string or a list.
fn words(value: &Value) -> Vec<&str> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str).collect()
}

fn refused(sink: &str, problem: String) -> ConfigError {
    ConfigError::Sink { sink: sink.to_owned(), problem }
}

fn not_allowed(key: &str, given: &impl Display, wanted: &str) -> String {
    format!("{key} = {given} is not allowed; wanted: {wanted}")
}

impl SinkSettings {
    /// The error about one of its keys.
    pub(crate) fn refused(&self, key: &str, given: impl Display, wanted: &str) -> ConfigError {
        refused(&self.name, not_allowed(key, &given, wanted))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn load(text: &str) -> Result<Vec<SinkSettings>, String> {
        let file: Table = toml::from_str(text).map_err(|err| err.to_string())?;
        read(&file["sink"]).map_err(|err| err.to_string())
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
        assert_eq!(sinks[3].filter, [("types", "oom_kill,lost".to_owned()), ("pod", "a".to_owned())]);
        assert_eq!((sinks[3].batch_events, sinks[3].longest_pause.0), (100, Duration::from_secs(30)));
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
