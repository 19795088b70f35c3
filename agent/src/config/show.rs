//! `cgtap config show`: the settings in force, as a file that gives the same ones.

use std::fmt::Write;

use toml::{Table, Value};

use super::declare::{Fallback, Origin, Setting};
use super::file::Given;
use super::values::Shape;
use super::{ConfigError, Settings};

/// What stands for a secret.
const HIDDEN: &str = "(not shown)";

impl Origin {
    /// The word in the comment.
    fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

/// The settings in force as TOML, each with where it comes from. Secrets of sinks are left out.
///
/// # Errors
/// A value is not allowed.
pub fn show(given: &Given) -> Result<String, ConfigError> {
    given.check()?;
    let mut text = String::new();
    let words = given.settings.given();
    for setting in Settings::declared() {
        let found = words.iter().find(|(key, ..)| *key == setting.key);
        text.push_str(&match (found, setting.default) {
            (Some((_, words, origin)), _) => line(&setting, words, *origin),
            (None, Fallback::Value(word)) => line(&setting, &[word.to_owned()], Origin::Default),
            (None, Fallback::Absent("")) => format!("# {} # default: nothing\n", setting.key),
            (None, Fallback::Absent(text)) => format!("# {} # default: {text}\n", setting.key),
        });
    }
    for sink in given.sink_tables().as_ref().and_then(Value::as_array).into_iter().flatten() {
        text.push_str("\n[[sink]] # file\n");
        for (key, value) in sink.as_table().into_iter().flatten() {
            // Cannot fail: it is a string.
            let _ = writeln!(text, "{key} = {}", public(key, value));
        }
    }
    Ok(text)
}

fn line(setting: &Setting, words: &[String], origin: Origin) -> String {
    let first = words.first().cloned().unwrap_or_default();
    let value = match setting.shape {
        Shape::Switch | Shape::Number => first,
        Shape::Text => Value::String(first).to_string(),
        Shape::List => Value::Array(words.iter().cloned().map(Value::String).collect()).to_string(),
    };
    format!("{} = {value} # {}\n", setting.key, origin.as_str())
}

/// The value without secrets: those of keys that say so, and what an address has beside host and path.
fn public(key: &str, value: &Value) -> Value {
    let is_secret = ["secret", "password", "token", "header"].iter().any(|word| key.contains(word));
    match value {
        Value::Table(table) => {
            let inner = |(key, value): (&String, &Value)| {
                (key.clone(), if is_secret { hidden() } else { public(key, value) })
            };
            Value::Table(table.iter().map(inner).collect::<Table>())
        }
        _ if is_secret && !key.ends_with("_file") => hidden(),
        Value::String(text) if text.contains("://") => Value::String(without_credentials(text)),
        value => value.clone(),
    }
}

fn hidden() -> Value {
    Value::String(HIDDEN.to_owned())
}

fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (rest, query) =
        rest.split_once('?').map_or((rest, String::new()), |(rest, _)| (rest, format!("?{HIDDEN}")));
    let host_ends = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(host_ends);
    let host = host.rsplit_once('@').map_or(host.to_owned(), |(_, host)| format!("{HIDDEN}@{host}"));
    format!("{scheme}://{host}{path}{query}")
}
