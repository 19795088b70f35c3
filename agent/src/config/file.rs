//! Reads the settings file, and merges it with the command line and the environment.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use toml::de::{DeTable, DeValue};

use super::declare::Origin;
use super::{Config, ConfigError, Settings};

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

/// A settings file.
#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    text: String,
}

/// The settings that are given, and the file that some of them come from.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// What is given.
    pub settings: Settings,
    file: Option<File>,
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
        Ok(Self { settings: flags.settings.over(below.settings), file: below.file })
    }

    /// The file alone.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let path = path.to_owned();
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
        match toml::from_str(&text) {
            Ok(settings) => Ok(Self { settings, file: Some(File { path, text }) }),
            Err(source) => Err(ConfigError::Invalid { path, source: Box::new(source) }),
        }
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
        self.settings.check().map_err(|problem| match self.line_of(&problem) {
            Some((path, line)) => ConfigError::InFile { path, line, problem: Box::new(problem) },
            None => problem,
        })
    }

    fn line_of(&self, problem: &ConfigError) -> Option<(PathBuf, usize)> {
        let file = self.file.as_ref()?;
        let table = DeTable::parse(&file.text).ok()?;
        let at = match problem {
            ConfigError::Value { key, .. } => {
                let is_here = |(known, _, origin): &(&str, Vec<String>, Origin)| {
                    known == key && *origin == Origin::File
                };
                self.settings.given().iter().find(|given| is_here(given))?;
                table.get_ref().get_key_value(*key)?.0.span().start
            }
            ConfigError::Sink { sink, .. } => sink_named(table.get_ref(), sink)?,
            _ => return None,
        };
        let line = file.text.get(..at)?.matches('\n').count() + 1;
        Some((file.path.clone(), line))
    }

    /// The tables `[[sink]]` of the file.
    pub(super) fn sink_tables(&self) -> Option<toml::Value> {
        let mut table: toml::Table = toml::from_str(&self.file.as_ref()?.text).ok()?;
        table.remove("sink")
    }
}

/// Where the table of that sink begins; its name is its kind where it has none.
fn sink_named(table: &DeTable<'_>, sink: &str) -> Option<usize> {
    let DeValue::Array(sinks) = table.get("sink")?.get_ref() else { return None };
    let name = |sink: &DeTable<'_>| {
        let name = sink.get("name").or_else(|| sink.get("kind"))?;
        name.get_ref().as_str().map(str::to_owned)
    };
    let found = sinks.iter().find(|given| match given.get_ref() {
        DeValue::Table(table) => name(table).unwrap_or_default() == sink,
        _ => false,
    });
    found.map(|given| given.span().start)
}
