//! `cgtap config show`: the settings in force, as a file that gives the same ones.

use std::fmt::Write;

use toml::Value;

use super::ConfigError;
use super::declare::Fallback;
use super::file::Given;
use super::settings::SETTINGS;

/// What stands for a secret.
const HIDDEN: &str = "(not shown)";

/// The settings in force as TOML, each with where it comes from. Secrets of sinks are left out.
///
/// # Errors
/// A value is not allowed.
pub fn show(given: &Given) -> Result<String, ConfigError> {
    given.check()?;
    let mut text = String::new();
    for setting in SETTINGS {
        let (key, given) = (setting.key, given.settings.0.get(setting.key));
        text.push_str(&match (given, setting.default_value(), setting.default) {
            (Some((value, origin)), ..) => format!("{key} = {value} # {}\n", origin.as_str()),
            (None, Some(value), _) => format!("{key} = {value} # default\n"),
            (None, None, Fallback::Absent("")) => format!("# {key} # default: nothing\n"),
            (None, None, Fallback::Absent(text) | Fallback::Is(text)) => {
                format!("# {key} # default: {text}\n")
            }
        });
    }
    let sinks = given.settings.0.get("sink").and_then(|(sinks, _)| sinks.as_array());
    for sink in sinks.into_iter().flatten() {
        text.push_str("\n[[sink]] # file\n");
        for (key, value) in sink.as_table().into_iter().flatten() {
            // Cannot fail: it is a string.
            let _ = writeln!(text, "{key} = {}", public(value));
        }
    }
    Ok(text)
}

/// The value without what an address has beside host and path. Secrets are in files of their own.
fn public(value: &Value) -> Value {
    match value {
        Value::String(text) if text.contains("://") => Value::String(without_credentials(text)),
        value => value.clone(),
    }
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
