//! The declaration of a setting, and what follows from it: its flag, its variable, its value, its check.

use std::collections::BTreeMap;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use toml::{Table, Value};

use super::form::Form;
use super::{ConfigError, settings::SETTINGS};

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
    /// It must be given.
    Required,
}

/// Declares a struct of settings: each with its help, key, type, name of its value, default and form. Makes the table of
/// their declarations.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $table:ident: $name:ident {
            $($(#[doc = $help:literal])+ $key:ident: $type:ty [$value:literal] = $default:expr, $form:expr;)+
        }
        $($(#[$more_meta:meta])+ $more:ident: $more_type:ty;)*
    ) => {
        $(#[$meta])*
        pub struct $name {
            $($(#[doc = $help])+ pub $key: $type,)+
            $($(#[$more_meta])+ pub $more: $more_type,)*
        }

        pub(super) static $table: &[Setting] = &[$(Setting {
            key: stringify!($key),
            help: concat!($($help),+),
            value_name: $value,
            default: $default,
            form: $form,
        }),+];
    };
}
pub(super) use settings;

/// Where a value comes from. A flag wins over the environment, and the environment over the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Flag,
    Environment,
    /// The file, and its line.
    File(String),
}

impl Origin {
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File(_) => "file",
        }
    }

    /// How a message names this setting.
    pub(super) fn name(&self, key: &str) -> String {
        match self {
            Self::Flag => format!("--{}", flag(key)),
            Self::Environment => variable(key),
            Self::File(place) => format!("{place}: {key}"),
        }
    }
}

/// `--host-root` without its dashes.
pub(super) fn flag(key: &str) -> String {
    key.replace('_', "-")
}

fn variable(key: &str) -> String {
    format!("CGTAP_{}", key.to_uppercase())
}

/// The settings that are given, each with its origin, and the `[[sink]]` tables of the file, each with its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    pub(super) values: BTreeMap<String, (Value, Origin)>,
    pub(super) sinks: Vec<(String, Table)>,
}

/// The declared settings, each checked, with the defaults of those that are not given. `name` is how a message names a key.
pub(super) fn complete(
    declared: &[&[Setting]],
    mut given: Table,
    name: impl Fn(&str) -> String,
) -> Result<Table, ConfigError> {
    let mut complete = Table::new();
    for setting in declared.iter().copied().flatten() {
        let refused = |problem| ConfigError::at(&name(setting.key), problem);
        match given.remove(setting.key).or_else(|| setting.default_value()) {
            Some(value) => {
                setting.form.check(&value).map_err(refused)?;
                complete.insert(setting.key.to_owned(), value);
            }
            None if matches!(setting.default, Fallback::Required) => {
                return Err(refused(format!("must be given; wanted: {}", setting.form.wanted())));
            }
            None => {}
        }
    }
    let Some(unknown) = given.keys().next() else { return Ok(complete) };
    let known: Vec<_> = declared.iter().copied().flatten().map(|setting| setting.key).collect();
    Err(ConfigError::at(&name(unknown), format!("unknown key; wanted one of `{}`", known.join("`, `"))))
}

impl Setting {
    /// The value where none is given.
    pub(super) fn default_value(&self) -> Option<Value> {
        match self.default {
            Fallback::Is(text) => Some(self.form.value(&[text])),
            Fallback::Absent(_) | Fallback::Required => None,
        }
    }

    fn arg(&self) -> Arg {
        let help = match self.default {
            Fallback::Absent("") | Fallback::Required => self.help.trim().to_owned(),
            Fallback::Is(default) | Fallback::Absent(default) => {
                format!("{} [default: {default}]", self.help.trim())
            }
        };
        let arg = Arg::new(self.key).long(flag(self.key)).help(help).value_name(self.value_name);
        let arg = arg.env(variable(self.key));
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

impl Args for Given {
    fn augment_args(command: Command) -> Command {
        command.args(SETTINGS.iter().map(Setting::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Self::default();
        for setting in SETTINGS {
            let Some(words) = matches.get_many::<String>(setting.key) else { continue };
            let value = setting.form.value(&words.map(String::as_str).collect::<Vec<_>>());
            let origin = match matches.value_source(setting.key) {
                Some(ValueSource::EnvVariable) => Origin::Environment,
                _ => Origin::Flag,
            };
            setting.form.check(&value).map_err(|problem| {
                let error = ConfigError::at(&origin.name(setting.key), problem);
                clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n"))
            })?;
            given.values.insert(setting.key.to_owned(), (value, origin));
        }
        Ok(given)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
