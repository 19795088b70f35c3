//! Reads the settings file, and merges it with the command line and the environment.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::{Table, Value};

pub use super::declare::Given;
use super::declare::Origin;
use super::{Config, ConfigError};
use crate::durable;

/// The file that is read when none is named.
pub const USUAL_FILE: &str = "/etc/cgtap/cgtap.toml";

/// The most bytes of a file that the settings name, and of their own.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The flags of `cgtap serve` and `cgtap check`, which clap has merged with the environment.
#[derive(Clone, Debug, Default, Args)]
pub struct Flags {
    /// Read settings from this file instead of /etc/cgtap/cgtap.toml
    #[arg(long, env = "CGTAP_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The settings themselves.
    #[command(flatten)]
    pub given: Given,
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
        let mut given = Self::read(flags.config.as_deref())?;
        given.values.extend(flags.given.values);
        Ok(given)
    }

    /// The file alone. A file that is named must be there; the usual one need not.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub fn read(named: Option<&Path>) -> Result<Self, ConfigError> {
        let path = named.unwrap_or(Path::new(USUAL_FILE));
        let text = read_file(path).and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
        match text {
            Ok(text) => Self::parse(path, &text),
            Err(error)
                if named.is_none()
                    && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(Self::default())
            }
            Err(error) => {
                let place = path.display().to_string();
                Err(ConfigError::at(&place, format!("cannot read the settings: {error}")))
            }
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let line_ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
        let place = |start: usize| {
            let line = line_ends.partition_point(|&end| end < start) + 1;
            format!("{}: line {line}", path.display())
        };
        let mut given = Self::default();
        let table = DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let found = text.get(span.clone()).unwrap_or_default();
            ConfigError::at(&place(span.start), format!("{}: `{found}`", error.message()))
        })?;
        for (key, value) in table.into_inner() {
            let place_of_key = place(key.span().start);
            let key = key.into_inner().into_owned();
            let refused = |problem: &str| ConfigError::at(&place_of_key, format!("{key}: {problem}"));
            if key != "sink" {
                // A number beyond 64 bits stays text, as on the command line: its check lists what is allowed.
                let huge = value.get_ref().as_integer().map(|number| Value::from(number.as_str()));
                let value = Value::deserialize(ValueDeserializer::from(value));
                let value = value.or_else(|error| huge.ok_or_else(|| refused(error.message())))?;
                given.values.insert(key, (value, Origin::File(place_of_key)));
                continue;
            }
            let DeValue::Array(tables) = value.into_inner() else {
                return Err(refused("wanted a table `[[sink]]` for each sink"));
            };
            for table in tables {
                let place = place(table.span().start);
                let table = Table::deserialize(ValueDeserializer::from(table));
                given.sinks.push((place, table.map_err(|error| refused(error.message()))?));
            }
        }
        Ok(given)
    }
}

/// Reads a small file that the settings name.
///
/// # Errors
/// As [`durable::read_file`].
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    durable::read_file(path, MAX_FILE_BYTES)
}
