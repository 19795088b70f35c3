//! Reads the settings file, and merges it with the command line and the environment.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::declare::{Origin, Settings};
use super::settings::SETTINGS;
use super::{Config, ConfigError, sinks};

/// The file that is read when none is named.
pub const USUAL_FILE: &str = "/etc/cgtap/cgtap.toml";

/// The flags of `cgtap serve` and `cgtap check`, which clap has merged with the environment.
#[derive(Clone, Debug, Default, Args)]
pub struct Flags {
    /// Read settings from this file instead of /etc/cgtap/cgtap.toml
    #[arg(long, env = "CGTAP_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The settings themselves.
    #[command(flatten)]
    pub settings: Settings,
}

/// The settings that are given, and the file that some of them come from.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// What is given.
    pub settings: Settings,
    /// Its path and text.
    file: Option<(PathBuf, String)>,
}

impl Config {
    /// The flags over the file over the defaults, checked.
    ///
    /// # Errors
    /// The file cannot be read or understood, or a value is not allowed.
    pub fn load(flags: Flags) -> Result<Self, ConfigError> {
        Given::load(flags)?.check()
    }
}

impl Given {
    /// The flags over the file that they name, or over the usual one where it is there.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub fn load(flags: Flags) -> Result<Self, ConfigError> {
        let below = match flags.config {
            Some(path) => Self::read(&path)?,
            None => Self::read_if_there(Path::new(USUAL_FILE))?,
        };
        let mut settings = below.settings;
        settings.0.extend(flags.settings.0);
        Ok(Self { settings, file: below.file })
    }

    /// The file alone.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let path = path.to_owned();
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
        let table: Table = toml::from_str(&text)
            .map_err(|source| ConfigError::Invalid { path: path.clone(), source: Box::new(source) })?;
        let mut given = Self { settings: Settings::default(), file: Some((path, text)) };
        let keys: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).chain(["sink"]).collect();
        for (key, value) in table {
            let Some(key) = keys.iter().find(|known| **known == key) else {
                let known = keys.join("`, `");
                return Err(given.with_line(ConfigError::UnknownKey { key, known }));
            };
            given.settings.0.insert(key, (value, Origin::File));
        }
        Ok(given)
    }

    /// The file alone, or nothing where there is none.
    ///
    /// # Errors
    /// The file is there and cannot be read or understood.
    pub fn read_if_there(path: &Path) -> Result<Self, ConfigError> {
        match Self::read(path) {
            Err(ConfigError::Unreadable { source, .. })
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(Self::default())
            }
            other => other,
        }
    }

    /// All settings in force. A value of the file that is not allowed is reported with its line.
    ///
    /// # Errors
    /// A value is not allowed.
    pub fn check(&self) -> Result<Config, ConfigError> {
        self.settings.check().map_err(|problem| self.with_line(problem))
    }

    fn with_line(&self, problem: ConfigError) -> ConfigError {
        match self.line_of(&problem) {
            Some((path, line)) => ConfigError::InFile { path, line, problem: Box::new(problem) },
            None => problem,
        }
    }

    fn line_of(&self, problem: &ConfigError) -> Option<(PathBuf, usize)> {
        let (path, text) = self.file.as_ref()?;
        let table = DeTable::parse(text).ok()?;
        let at = |key: &str| Some(table.get_ref().get_key_value(key)?.0.span().start);
        let at = match problem {
            ConfigError::UnknownKey { key, .. } => at(key)?,
            ConfigError::Value { key, .. } => {
                self.settings.0.get(key).filter(|(_, origin)| *origin == Origin::File)?;
                at(key)?
            }
            ConfigError::Sink { sink, .. } => {
                let DeValue::Array(spans) = table.get_ref().get("sink")?.get_ref() else { return None };
                let (given, _) = self.settings.0.get("sink")?;
                let is_it = |given: &Value| given.as_table().is_some_and(|table| sinks::name(table) == *sink);
                spans.get(given.as_array()?.iter().position(is_it)?)?.span().start
            }
            _ => return None,
        };
        let line = text.get(..at)?.matches('\n').count() + 1;
        Some((path.clone(), line))
    }
}
