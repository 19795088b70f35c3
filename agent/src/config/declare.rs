//! The declaration of a setting, and what follows from it: its flag, its variable, its value, its check.

use std::collections::BTreeMap;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use toml::Value;

use super::form::Form;
use super::{ConfigError, settings::SETTINGS};
use crate::model::named;

/// A setting, or a key of a sink.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its key in the file. The flag has dashes for underscores, the variable is `CGTAP_` and the key in capitals.
    pub(super) key: &'static str,
    pub(super) help: &'static str,
    /// What stands for its value in the help.
    pub(super) value_name: &'static str,
    pub(super) default: Fallback,
    pub(super) form: Form,
}

/// The value of a setting that is not given.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fallback {
    /// This one, as on the command line.
    Is(&'static str),
    /// None; what happens then.
    Absent(&'static str),
}

named! {
    /// Where a value comes from. A flag wins over the environment, and the environment over the file.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Origin {
        /// The command line.
        Flag = "flag",
        /// A variable `CGTAP_*`.
        Environment = "environment",
        /// The file.
        File = "file",
    }
}

/// Each value that is given, by its key, and where it comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(pub(super) BTreeMap<&'static str, (Value, Origin)>);

impl Setting {
    /// `host-root`.
    pub(super) fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// The value where none is given.
    pub(super) fn default_value(&self) -> Option<Value> {
        match self.default {
            Fallback::Is(text) => Some(self.form.value(&[text])),
            Fallback::Absent(_) => None,
        }
    }

    /// # Errors
    /// The value is not allowed.
    pub(super) fn check(&self, value: &Value) -> Result<(), ConfigError> {
        let refused = |wanted| ConfigError::Value { key: self.key, given: value.to_string(), wanted };
        self.form.check(value).map_err(refused)
    }

    fn arg(&self) -> Arg {
        let help = match self.default {
            Fallback::Absent("") => self.help.trim().to_owned(),
            Fallback::Is(default) | Fallback::Absent(default) => {
                format!("{} [default: {default}]", self.help.trim())
            }
        };
        let arg = Arg::new(self.key).long(self.flag()).help(help).value_name(self.value_name);
        let arg = arg.env(format!("CGTAP_{}", self.key.to_uppercase()));
        match &self.form {
            Form::Switch => {
                let arg = arg.value_parser(["true", "false"]).num_args(0..=1);
                arg.require_equals(true).default_missing_value("true")
            }
            Form::Choice(words, help) => {
                let choice = |(word, help): (&&'static str, &&'static str)| {
                    PossibleValue::new(*word).help(help.trim())
                };
                arg.value_parser(PossibleValuesParser::new(words.iter().zip(*help).map(choice)))
            }
            Form::List(..) => arg.action(ArgAction::Append).value_delimiter(','),
            Form::Globs => arg.action(ArgAction::Append),
            Form::Number(_) | Form::Ring | Form::Time(_) | Form::Text(..) => arg,
        }
    }
}

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        command.args(SETTINGS.iter().map(Setting::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = BTreeMap::new();
        for setting in SETTINGS {
            let Some(words) = matches.get_many::<String>(setting.key) else { continue };
            let value = setting.form.value(&words.map(String::as_str).collect::<Vec<_>>());
            setting
                .check(&value)
                .map_err(|error| clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n")))?;
            let is_variable = matches.value_source(setting.key) == Some(ValueSource::EnvVariable);
            given.insert(setting.key, (value, if is_variable { Origin::Environment } else { Origin::Flag }));
        }
        Ok(Self(given))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
