//! The forms of values: how the file and the command line write them, and which of them are allowed.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use toml::Value;

use super::addresses::{ListenAddr, RuntimeSocket};
use crate::snapshot::Shown;

/// The greatest size of a BPF ring.
const MAX_RING_BYTES: i64 = 1 << 30;

/// The form of a value.
#[derive(Debug)]
pub(super) enum Form {
    /// `true` or `false`.
    Switch,
    /// A number within bounds.
    Number(RangeInclusive<i64>),
    /// The size of a BPF ring: the kernel takes a power of two of whole pages and nothing else.
    Ring,
    /// A length of time within bounds.
    Time(RangeInclusive<Duration>),
    /// A string. What is allowed: in words, and as a rule.
    Text(&'static str, fn(&str) -> bool),
    /// One of these words; what each of them means.
    Choice(&'static [&'static str], &'static [&'static str]),
    /// Strings, on the command line with commas between them. What is allowed: in words, and as a rule.
    List(&'static str, fn(&[&str]) -> bool),
    /// Globs of paths of cgroups. A comma in a glob is between alternatives: `{a,b}`.
    Globs,
}

pub(super) const ANY_TEXT: Form = Form::Text("a string", |_| true);
pub(super) const ABSOLUTE_PATH: Form = Form::Text("an absolute path", |path| path.starts_with('/'));
/// An empty name is most often a slip: `a,,b`.
pub(super) const NAMES: Form =
    Form::List("names, none of them empty", |names| names.iter().all(|name| !name.trim().is_empty()));
pub(super) const ADDRESSES: Form =
    Form::List("at least one ADDRESS:PORT or unix:/absolute/path, each once", |words| {
        let is_new = |at, address: &ListenAddr| {
            !words.iter().take(at).any(|other| other.parse().as_ref() == Ok(address))
        };
        let mut numbered = words.iter().enumerate();
        !words.is_empty() && numbered.all(|(at, word)| word.parse().is_ok_and(|address| is_new(at, &address)))
    });
pub(super) const SOCKETS: Form =
    Form::List("cri=/path, docker=/path, podman=/path, or none alone", |words| match words {
        ["none"] => true,
        words => {
            let is_path =
                |word: &&str| word.parse().is_ok_and(|socket: RuntimeSocket| socket != RuntimeSocket::None);
            !words.is_empty() && words.iter().all(is_path)
        }
    });

impl Form {
    /// The smallest and the greatest number, of numbers.
    pub(super) fn bounds(&self) -> Option<RangeInclusive<i64>> {
        match self {
            Self::Number(bounds) => Some(bounds.clone()),
            Self::Ring => Some(i64::try_from(rustix::param::page_size()).ok()?..=MAX_RING_BYTES),
            _ => None,
        }
    }

    /// What it allows, in words.
    pub(super) fn wanted(&self) -> String {
        let text = humantime::format_duration;
        match self {
            Self::Switch => "`true`, `false`".to_owned(),
            Self::Number(bounds) if *bounds.end() == i64::MAX => format!("{} or more", bounds.start()),
            Self::Number(bounds) => format!("{} to {}", bounds.start(), bounds.end()),
            Self::Ring => format!("a power of two, one page to {MAX_RING_BYTES}"),
            Self::Time(bounds) => format!("{} to {}", text(*bounds.start()), text(*bounds.end())),
            Self::Text(wanted, _) | Self::List(wanted, _) => (*wanted).to_owned(),
            Self::Choice(words, _) => format!("`{}`", words.join("`, `")),
            Self::Globs => "globs of a cgroup's path, as /system.slice/*.service".to_owned(),
        }
    }

    /// The value that these words of the command line stand for.
    pub(super) fn value(&self, words: &[&str]) -> Value {
        let text = words.join(",");
        let is_none = text.is_empty();
        match self {
            Self::Switch => text.parse().map_or(Value::String(text), Value::Boolean),
            Self::Number(_) | Self::Ring => text.parse().map_or(Value::String(text), Value::Integer),
            Self::Time(_) | Self::Text(..) | Self::Choice(..) => Value::String(text),
            // A list of one empty word is an empty list, as in `--disable=`.
            Self::List(..) | Self::Globs if is_none => Value::Array(Vec::new()),
            Self::List(..) | Self::Globs => {
                Value::Array(words.iter().map(|word| Value::from(word.trim())).collect())
            }
        }
    }

    /// # Errors
    /// The value is not allowed; the text says what is.
    pub(super) fn check(&self, value: &Value) -> Result<(), String> {
        let refused = |wanted: String| format!("{value} is not allowed; wanted: {wanted}");
        let is_allowed = match self {
            Self::Switch => value.is_bool(),
            Self::Number(_) | Self::Ring => value.as_integer().is_some_and(|number| {
                let is_whole = !matches!(self, Self::Ring) || number.count_ones() == 1;
                is_whole && self.bounds().is_some_and(|bounds| bounds.contains(&number))
            }),
            Self::Time(bounds) => {
                bounds.contains(&time(value.as_str().unwrap_or_default()).map_err(refused)?)
            }
            Self::Text(_, allows) => value.as_str().is_some_and(allows),
            Self::Choice(words, _) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::List(_, allows) => strings(value).is_some_and(|words| allows(&words)),
            // Each path begins with `/`: a glob that does not can match none of them.
            Self::Globs => {
                let globs: Vec<String> = value.clone().try_into().map_err(|_type| refused(self.wanted()))?;
                Shown::new(&globs, &[]).map_err(|error| error.to_string())?;
                globs.iter().all(|glob| glob.starts_with(['/', '*', '{']))
            }
        };
        if is_allowed { Ok(()) } else { Err(refused(self.wanted())) }
    }
}

fn strings(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

/// A length of time as people write it: `1s`, `250ms`, `1h 30m`.
fn time(text: &str) -> Result<Duration, String> {
    let wanted = |_error| "a duration as a string with its unit, as 1s, 250ms or 10m".to_owned();
    humantime::parse_duration(text).map_err(wanted)
}

pub(super) fn duration<'de, D: Deserializer<'de>>(text: D) -> Result<Duration, D::Error> {
    time(&String::deserialize(text)?).map_err(D::Error::custom)
}
