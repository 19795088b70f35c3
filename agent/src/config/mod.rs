//! Flags, environment and file to one checked [`Config`].
//!
//! `settings.rs` declares each setting once. Flags win over `CGTAP_*`, which win over the file, which wins over the
//! defaults. The file is `/etc/cgtap/cgtap.toml`, which need not exist, or the one that `--config` names, which must. Its
//! keys are the flags' names with underscores. A key, flag or value that is not known is an error that names it and what is
//! allowed: a misspelt limit must not become the default in silence.

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
mod sink_keys;
mod sinks;

use std::path::PathBuf;

pub use addresses::{ListenAddr, RuntimeSocket};
pub use choices::LogFormat;
pub use file::{Flags, Given, USUAL_FILE};
pub use form::HumanDuration;
pub use schema::schema;
pub use settings::Config;
pub use show::show;
pub use sinks::{FileSettings, OutletSettings, SinkSettings, WebhookSettings};

/// Why there is no [`Config`]. The command line ends with status 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: cannot read the configuration: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML, or has a key or value that is not allowed.
    #[error("{}: {source}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What and where, and what is allowed.
        source: Box<toml::de::Error>,
    },
    /// The file of `--perf-events-config` asks for what cannot be.
    #[error("--perf-events-config {}: {problem}", path.display())]
    PerfEvents {
        /// Which file.
        path: PathBuf,
        /// What and where, and what is allowed.
        problem: String,
    },
    /// A sink's table has a key or a value that is not allowed.
    #[error("[[sink]] {sink}: {problem}")]
    Sink {
        /// The sink's name.
        sink: String,
        /// Which key, what was given, and what is allowed.
        problem: String,
    },
    /// The file has a key that is not known.
    #[error("unknown key `{key}`; wanted one of `{known}`")]
    UnknownKey {
        /// The key.
        key: String,
        /// All keys.
        known: String,
    },
    /// A value that is allowed by its form has not its type. A fault in the declaration of a setting.
    #[error("the declaration of a setting is wrong: {0}")]
    Declaration(#[from] toml::de::Error),
    /// Something in the file is not allowed.
    #[error("{}: line {line}: {problem}", path.display())]
    InFile {
        /// Which file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is not allowed, and what is.
        problem: Box<ConfigError>,
    },
    /// A value is outside of what is allowed, wherever it came from.
    #[error("--{} (key {key}): {given} is not allowed; wanted: {wanted}", key.replace('_', "-"))]
    Value {
        /// The setting's key; its flag has dashes instead.
        key: &'static str,
        /// What was given.
        given: String,
        /// What is allowed.
        wanted: String,
    },
}

#[cfg(test)]
mod tests;
