//! Reads the settings file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Config, ConfigError, Flags, Settings};

/// The file that is read when none is named.
const DEFAULT_PATH: &str = "/etc/cgtap/cgtap.toml";

impl Config {
    /// The flags (which clap has merged with the environment) over the file over the defaults, checked.
    ///
    /// # Errors
    /// The file cannot be read or understood, or a value is not allowed.
    pub fn load(flags: Flags) -> Result<Self, ConfigError> {
        let file = match flags.config {
            Some(path) => read(&path)?,
            None => read_if_there(Path::new(DEFAULT_PATH))?,
        };
        Self::check(flags.settings.over(file))
    }
}

pub(super) fn read_if_there(path: &Path) -> Result<Settings, ConfigError> {
    match read(path) {
        Err(ConfigError::Unreadable { source, .. })
            if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
        {
            Ok(Settings::default())
        }
        other => other,
    }
}

fn read(path: &Path) -> Result<Settings, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: PathBuf::from(path), source })?;
    toml::from_str(&text)
        .map_err(|source| ConfigError::Invalid { path: PathBuf::from(path), source: Box::new(source) })
}
