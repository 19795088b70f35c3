//! `cgtap config show`: the settings in force, as a file that gives the same ones.

use std::fmt::Write;

use toml::Value;

use super::declare::{Fallback, Given};
use super::settings::SETTINGS;
use super::{ConfigError, without_credentials};

/// The settings in force as TOML, each with where it comes from. Secrets of sinks are left out.
///
/// # Errors
/// A value is not allowed.
pub fn show(given: &Given) -> Result<String, ConfigError> {
    given.check()?;
    let mut text = String::new();
    for setting in SETTINGS {
        let key = setting.key;
        let (value, origin) = match given.values.get(key) {
            Some((value, origin)) => (Some(value.clone()), origin.as_str()),
            None => (setting.default_value(), "default"),
        };
        text.push_str(&match (value, setting.default) {
            (Some(value), _) => format!("{key} = {value} # {origin}\n"),
            (None, Fallback::Absent(text)) if !text.is_empty() => format!("# {key} # default: {text}\n"),
            (None, _) => format!("# {key} # default: nothing\n"),
        });
    }
    for (_, sink) in &given.sinks {
        text.push_str("\n[[sink]] # file\n");
        for (key, value) in sink {
            let value = match (key.as_str(), value) {
                ("url", Value::String(url)) => &Value::String(without_credentials(url)),
                _ => value,
            };
            // Cannot fail: it is a string.
            let _ = writeln!(text, "{key} = {value}");
        }
    }
    Ok(text)
}
