//! Flags, environment and file to one checked [`Config`].
//!
//! `settings.rs` and `sinks.rs` declare each setting once. Flags win over `CGTAP_*`, which win over the file, which wins
//! over the defaults. The file is `/etc/cgtap/cgtap.toml`, which need not exist, or the one that `--config` names, which
//! must. Its keys are the flags' names with underscores. An unknown key, flag or value is an error that names it and lists
//! what is allowed: a misspelt limit must not become the default in silence.

mod addresses;
mod choices;
mod declare;
mod file;
mod form;
pub(crate) mod options;
mod perf_events;
mod schema;
mod settings;
mod show;
mod sinks;

pub use addresses::{ListenAddr, RuntimeSocket, http_uri, without_credentials};
pub use choices::LogFormat;
pub use file::{Flags, Given, USUAL_FILE, read_file};
pub use schema::schema;
pub use settings::Config;
pub use show::show;
pub use sinks::{FileSettings, OutletSettings, SinkSettings, WebhookSettings};

/// Why there is no [`Config`]: the file and line, the flag or the variable, the given value, and what is allowed. The
/// command line ends with status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// The most bytes of a message. The file may hold much more.
const MAX_MESSAGE_BYTES: usize = 4096;

impl ConfigError {
    /// An error at this place. A message that is too long loses its middle: it names the place first and what is allowed
    /// last.
    pub(crate) fn at(place: &str, problem: impl std::fmt::Display) -> Self {
        let text = format!("{place}: {problem}");
        if text.len() <= MAX_MESSAGE_BYTES {
            return Self(text);
        }
        let head = text.floor_char_boundary(MAX_MESSAGE_BYTES / 2);
        let tail = text.ceil_char_boundary(text.len() - MAX_MESSAGE_BYTES / 2);
        let part = |range| text.get(range).unwrap_or_default();
        Self(format!("{} [...] {}", part(0..head), part(tail..text.len())))
    }
}

#[cfg(test)]
mod tests;
