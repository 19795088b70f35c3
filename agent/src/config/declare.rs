//! What is declared of a setting, and what follows from that: its flag, its variable, its key in the file, its check.

use clap::builder::{PossibleValue, PossibleValuesParser, ValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::ConfigError;
use super::rules::Rule;
use super::values::{Shape, Value};

/// A setting as it is declared.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its key in the file. The flag has dashes for underscores, the variable is `CGTAP_` and the key in capitals.
    pub key: &'static str,
    /// What it does.
    pub help: String,
    /// What stands for its value in the help.
    pub value_name: &'static str,
    /// Its value where none is given.
    pub default: Fallback,
    /// How the file writes it.
    pub shape: Shape,
    /// What its rule allows, in words; empty where the type says all.
    pub wanted: String,
    /// The smallest and the greatest number, of numbers.
    pub bounds: Option<(u64, u64)>,
    /// Every word that is allowed, where they can be listed.
    pub choices: Vec<PossibleValue>,
    delimiter: Option<char>,
    parser: ValueParser,
}

/// The value of a setting that is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// This one, as on the command line.
    Value(&'static str),
    /// None; what happens then.
    Absent(&'static str),
}

impl Fallback {
    fn words(self) -> Vec<String> {
        match self {
            Self::Value(word) => vec![word.to_owned()],
            Self::Absent(_) => Vec::new(),
        }
    }

    /// The value or what happens without one; empty where nothing happens.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Value(text) | Self::Absent(text) => text,
        }
    }
}

impl Setting {
    pub(super) fn of<T: Value + 'static>(
        key: &'static str,
        help: &str,
        value_name: &'static str,
        default: Fallback,
        rule: Rule<T>,
    ) -> Self {
        let choices = T::choices();
        let parser = if choices.is_empty() {
            ValueParser::from(|word: &str| T::read(&[word.to_owned()]).map(|_| word.to_owned()))
        } else {
            PossibleValuesParser::new(choices.clone()).into()
        };
        Self {
            key,
            help: help.split_whitespace().collect::<Vec<_>>().join(" "),
            value_name,
            default,
            shape: T::SHAPE,
            wanted: rule.wanted,
            bounds: rule.bounds,
            choices,
            delimiter: T::DELIMITER,
            parser,
        }
    }

    /// `--host-root`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// `CGTAP_HOST_ROOT`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("CGTAP_{}", self.key.to_uppercase())
    }

    pub(super) fn arg(self) -> Arg {
        let help = match self.default.text() {
            "" => self.help.clone(),
            default => format!("{} [default: {default}]", self.help),
        };
        let arg = Arg::new(self.key).long(self.flag()).env(self.variable()).help(help);
        let arg = arg.value_name(self.value_name).value_parser(self.parser);
        match self.shape {
            Shape::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
            Shape::List => arg.action(ArgAction::Append).value_delimiter(self.delimiter),
            Shape::Number | Shape::Text => arg,
        }
    }
}

/// Where a value comes from; the first wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The command line.
    Flag,
    /// A variable `CGTAP_*`.
    Environment,
    /// The file.
    File,
    /// The declaration.
    Default,
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) origin: Origin,
}

/// Reads a setting's value in the file.
pub(super) fn from_file<'de, D, T>(file: D) -> Result<Option<Given<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Value,
{
    let words = match T::SHAPE {
        Shape::Switch => vec![bool::deserialize(file)?.to_string()],
        Shape::Number => vec![u64::deserialize(file)?.to_string()],
        Shape::Text => vec![String::deserialize(file)?],
        Shape::List => Vec::deserialize(file)?,
    };
    let value = match T::SHAPE {
        // An empty list is a value: it overrides a default.
        Shape::List if words.is_empty() => T::read(&[String::new()]),
        _ => T::read(&words),
    };
    Ok(Some(Given { value: value.map_err(D::Error::custom)?, origin: Origin::File }))
}

/// The value of a setting's flag or variable.
pub(super) fn from_flag<T: Value>(
    matches: &ArgMatches,
    key: &'static str,
) -> Result<Option<Given<T>>, clap::Error> {
    let Some(words) = matches.get_many::<String>(key) else { return Ok(None) };
    let words: Vec<String> = words.cloned().collect();
    let value = T::read(&words).map_err(|problem| {
        let (flag, given) = (key.replace('_', "-"), words.join(","));
        let text = format!("invalid value '{given}' for '--{flag}': {problem}\n");
        clap::Error::raw(ErrorKind::ValueValidation, text)
    })?;
    let origin = match matches.value_source(key) {
        Some(ValueSource::EnvVariable) => Origin::Environment,
        _ => Origin::Flag,
    };
    Ok(Some(Given { value, origin }))
}

/// The value to use: the given one or the default, if the rule allows it.
pub(super) fn checked<T: Value>(
    key: &'static str,
    default: Fallback,
    rule: &Rule<T>,
    given: Option<&Given<T>>,
) -> Result<T, ConfigError> {
    let words = given.map_or_else(|| default.words(), |given| given.value.words());
    let refused =
        |wanted: &str| ConfigError::Value { key, given: words.join(","), wanted: wanted.to_owned() };
    let value = match given {
        Some(given) => given.value.clone(),
        None => T::read(&words).map_err(|problem| refused(&problem))?,
    };
    (rule.accept)(value).ok_or_else(|| refused(&rule.wanted))
}
