//! `[[sink]]` tables of the file: ways of events out of the node.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, HumanDuration};

/// One table as it stands in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkSettings {
    kind: Option<SinkKind>,
    name: Option<String>,
    #[serde(default)]
    types: Vec<String>,
    cgroup: Option<String>,
    pod: Option<String>,
    namespace: Option<String>,
    container: Option<String>,
    path: Option<PathBuf>,
    max_bytes: Option<u64>,
    max_files: Option<u32>,
    url: Option<String>,
    secret_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    timeout: Option<HumanDuration>,
    batch_events: Option<usize>,
    longest_pause: Option<HumanDuration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SinkKind {
    Stdout,
    File,
    Journald,
    Webhook,
}

/// A sink, checked but for its filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkConfig {
    /// What tells it from others; its kind unless the file says otherwise.
    pub name: String,
    /// Filters as `/events` has them: parameter and value.
    pub filter: Vec<(&'static str, String)>,
    /// Where the events go.
    pub outlet: OutletConfig,
    /// Events that are delivered together.
    pub batch_events: usize,
    /// The longest pause between tries.
    pub longest_pause: Duration,
}

/// Where a sink's events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutletConfig {
    /// Standard output.
    Stdout,
    /// A file.
    File {
        /// Which; absolute.
        path: PathBuf,
        /// It is rotated before it gets larger.
        max_bytes: u64,
        /// Rotated files that are kept.
        max_files: u32,
    },
    /// journald.
    Journald {
        /// Its socket, below the host root.
        path: PathBuf,
    },
    /// A webhook.
    Webhook {
        /// `http://` or `https://`.
        url: String,
        /// The key of the signature.
        secret_file: Option<PathBuf>,
        /// Certificates to trust instead of the public ones.
        ca_file: Option<PathBuf>,
        /// For one batch.
        timeout: Duration,
    },
}

/// Checks all tables.
pub(super) fn check(tables: Vec<SinkSettings>) -> Result<Vec<SinkConfig>, ConfigError> {
    let mut seen = HashSet::new();
    let sinks: Result<Vec<SinkConfig>, ConfigError> = tables.into_iter().map(one).collect();
    let sinks = sinks?;
    match sinks.iter().find(|sink| !seen.insert(&sink.name)) {
        Some(twice) => Err(refused(&twice.name, "name", &twice.name, "a name of its own for each sink")),
        None => Ok(sinks),
    }
}

fn one(table: SinkSettings) -> Result<SinkConfig, ConfigError> {
    let Some(kind) = table.kind else {
        return Err(refused("", "kind", "", "stdout, file, journald or webhook"));
    };
    let kind_name = match kind {
        SinkKind::Stdout => "stdout",
        SinkKind::File => "file",
        SinkKind::Journald => "journald",
        SinkKind::Webhook => "webhook",
    };
    let name = table.name.clone().unwrap_or_else(|| kind_name.to_owned());
    // It is a file's name and a label.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(refused(&name, "name", &name, "1 to 64 letters, digits, - and _"));
    }
    only_its_keys(&name, kind, &table)?;
    let bounded =
        |key, given: Option<HumanDuration>, default, allowed: std::ops::RangeInclusive<Duration>| {
            let value = given.map_or(default, |HumanDuration(value)| value);
            let text = humantime::format_duration;
            let wanted = format!("{} to {}", text(*allowed.start()), text(*allowed.end()));
            if allowed.contains(&value) {
                Ok(value)
            } else {
                Err(refused(&name, key, &text(value).to_string(), &wanted))
            }
        };
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    let timeout = bounded("timeout", table.timeout, 10 * second, second..=hour)?;
    let longest_pause = bounded("longest_pause", table.longest_pause, 30 * second, second / 10..=hour)?;
    let batch_events = table.batch_events.unwrap_or(100);
    if !(1..=10_000).contains(&batch_events) {
        return Err(refused(&name, "batch_events", &batch_events.to_string(), "1 to 10000"));
    }
    let filter = filter(&table);
    let outlet = outlet(&name, kind, table, timeout)?;
    Ok(SinkConfig { name, filter, outlet, batch_events, longest_pause })
}

fn filter(table: &SinkSettings) -> Vec<(&'static str, String)> {
    let types = (!table.types.is_empty()).then(|| table.types.join(","));
    let given = [
        ("types", types),
        ("cgroup", table.cgroup.clone()),
        ("pod", table.pod.clone()),
        ("namespace", table.namespace.clone()),
        ("container", table.container.clone()),
    ];
    given.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn outlet(
    name: &str,
    kind: SinkKind,
    table: SinkSettings,
    timeout: Duration,
) -> Result<OutletConfig, ConfigError> {
    match kind {
        SinkKind::Stdout => Ok(OutletConfig::Stdout),
        SinkKind::File => {
            let path = table.path.unwrap_or_default();
            if !path.is_absolute() {
                return Err(refused(name, "path", &path.display().to_string(), "an absolute path"));
            }
            let max_bytes = table.max_bytes.unwrap_or(64 << 20);
            if max_bytes < 4096 {
                return Err(refused(name, "max_bytes", &max_bytes.to_string(), "4096 or more"));
            }
            let max_files = table.max_files.unwrap_or(5);
            if max_files > 1000 {
                return Err(refused(name, "max_files", &max_files.to_string(), "0 to 1000"));
            }
            Ok(OutletConfig::File { path, max_bytes, max_files })
        }
        SinkKind::Journald => {
            let path = table.path.unwrap_or_else(|| PathBuf::from("/run/systemd/journal/socket"));
            Ok(OutletConfig::Journald { path })
        }
        SinkKind::Webhook => {
            let url = table.url.unwrap_or_default();
            if !["http://", "https://"]
                .iter()
                .any(|scheme| url.len() > scheme.len() && url.starts_with(scheme))
            {
                return Err(refused(name, "url", &url, "http://HOST... or https://HOST..."));
            }
            let (secret_file, ca_file) = (table.secret_file, table.ca_file);
            Ok(OutletConfig::Webhook { url, secret_file, ca_file, timeout })
        }
    }
}

/// A key that this kind has no use for is a mistake, not a wish.
fn only_its_keys(name: &str, kind: SinkKind, table: &SinkSettings) -> Result<(), ConfigError> {
    use SinkKind::{File, Journald, Webhook};
    let keys: [(&str, bool, &[SinkKind]); 7] = [
        ("path", table.path.is_some(), &[File, Journald]),
        ("max_bytes", table.max_bytes.is_some(), &[File]),
        ("max_files", table.max_files.is_some(), &[File]),
        ("url", table.url.is_some(), &[Webhook]),
        ("secret_file", table.secret_file.is_some(), &[Webhook]),
        ("ca_file", table.ca_file.is_some(), &[Webhook]),
        ("timeout", table.timeout.is_some(), &[Webhook]),
    ];
    match keys.iter().find(|(_, given, kinds)| *given && !kinds.contains(&kind)) {
        Some((key, ..)) => Err(refused(name, key, "", "no such key for this kind")),
        None => Ok(()),
    }
}

fn refused(sink: &str, key: &str, given: &str, wanted: &str) -> ConfigError {
    ConfigError::Sink {
        sink: sink.to_owned(),
        key: key.to_owned(),
        given: given.to_owned(),
        wanted: wanted.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Vec<SinkConfig>, String> {
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
        assert_eq!(
            sinks[1].outlet,
            OutletConfig::File { path: "/x".into(), max_bytes: 64 << 20, max_files: 5 }
        );
        assert_eq!(sinks[3].filter, [("types", "oom_kill,lost".to_owned()), ("pod", "a".to_owned())]);
        assert_eq!((sinks[3].batch_events, sinks[3].longest_pause), (100, Duration::from_secs(30)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, wanted) in [
            ("", &["kind", "webhook"][..]),
            ("kind = \"kafka\"", &["kafka", "journald"]),
            ("kind = \"file\"", &["file", "path", "absolute"]),
            ("kind = \"file\"\npath = \"x\"", &["path", "\"x\"", "absolute"]),
            ("kind = \"file\"\npath = \"/x\"\nmax_bytes = 1", &["max_bytes", "4096"]),
            ("kind = \"file\"\npath = \"/x\"\nurl = \"http://h\"", &["url", "no such key"]),
            ("kind = \"webhook\"", &["url", "http://"]),
            ("kind = \"webhook\"\nurl = \"ftp://h\"", &["ftp://h", "https://"]),
            ("kind = \"webhook\"\nurl = \"http://h\"\ntimeout = \"0s\"", &["timeout", "1s to 1h"]),
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
