//! The types of settings: how each is written on the command line, in the environment and in the file.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::PossibleValue;

/// How the file writes a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `true` or `false`.
    Switch,
    /// A number from 0.
    Number,
    /// A string.
    Text,
    /// An array of strings.
    List,
}

/// A type of settings.
///
/// Each way in leads through words: a flag and a variable have one, or several where commas part them, and the file has a
/// value or an array of them.
pub(super) trait Value: Clone {
    /// How the file writes it.
    const SHAPE: Shape = Shape::Text;
    /// What parts the words of one flag.
    const DELIMITER: Option<char> = None;

    /// The value that these words give.
    ///
    /// # Errors
    /// Names what is wrong and what is wanted.
    fn read(words: &[String]) -> Result<Self, String>;

    /// The words that give this value.
    fn words(&self) -> Vec<String>;

    /// Every word that is allowed, where they can be listed.
    fn choices() -> Vec<PossibleValue> {
        Vec::new()
    }
}

/// The one word of a setting that is no list.
pub(super) fn only(words: &[String]) -> Result<&str, String> {
    match words {
        [word] => Ok(word),
        _ => Err("wanted one value".to_owned()),
    }
}

impl Value for bool {
    const SHAPE: Shape = Shape::Switch;

    fn read(words: &[String]) -> Result<Self, String> {
        only(words)?.parse().map_err(|_wanted| "wanted true or false".to_owned())
    }

    fn words(&self) -> Vec<String> {
        vec![self.to_string()]
    }

    fn choices() -> Vec<PossibleValue> {
        ["true", "false"].map(PossibleValue::new).into()
    }
}

impl Value for Duration {
    fn read(words: &[String]) -> Result<Self, String> {
        only(words)?.parse().map(|HumanDuration(duration)| duration)
    }

    fn words(&self) -> Vec<String> {
        vec![humantime::format_duration(*self).to_string()]
    }
}

impl Value for PathBuf {
    fn read(words: &[String]) -> Result<Self, String> {
        only(words).map(Self::from)
    }

    fn words(&self) -> Vec<String> {
        vec![self.display().to_string()]
    }
}

/// Nothing when no word is given.
impl<T: Value> Value for Option<T> {
    const SHAPE: Shape = T::SHAPE;
    const DELIMITER: Option<char> = T::DELIMITER;

    fn read(words: &[String]) -> Result<Self, String> {
        if words.is_empty() { Ok(None) } else { T::read(words).map(Some) }
    }

    fn words(&self) -> Vec<String> {
        self.as_ref().map(Value::words).unwrap_or_default()
    }

    fn choices() -> Vec<PossibleValue> {
        T::choices()
    }
}

macro_rules! numbers {
    ($($type:ty),+) => {
        $(impl Value for $type {
            const SHAPE: Shape = Shape::Number;

            fn read(words: &[String]) -> Result<Self, String> {
                only(words)?.parse().map_err(|error: std::num::ParseIntError| error.to_string())
            }

            fn words(&self) -> Vec<String> {
                vec![self.to_string()]
            }
        })+
    };
}

numbers!(u32, u64, usize);

/// A word of a list. A list of one empty word is an empty list, as in `--disable=`.
pub(super) trait Word: Clone {
    const DELIMITER: Option<char>;
    fn read(word: &str) -> Result<Self, String>;
    fn word(&self) -> String;
}

impl<T: Word> Value for Vec<T> {
    const SHAPE: Shape = Shape::List;
    const DELIMITER: Option<char> = T::DELIMITER;

    fn read(words: &[String]) -> Result<Self, String> {
        match words {
            [word] if word.is_empty() => Ok(Self::new()),
            words => words.iter().map(|word| T::read(word)).collect(),
        }
    }

    fn words(&self) -> Vec<String> {
        self.iter().map(Word::word).collect()
    }
}

impl Word for String {
    const DELIMITER: Option<char> = Some(',');

    /// An empty word is most often a slip in a list (`a,,b`).
    fn read(word: &str) -> Result<Self, String> {
        match word.trim() {
            "" => Err("a name is empty; wanted: names between commas, none of them empty".to_owned()),
            word => Ok(word.to_owned()),
        }
    }

    fn word(&self) -> String {
        self.clone()
    }
}

/// A pattern of cgroup paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(pub String);

impl Word for Glob {
    /// A comma parts alternatives: `{a,b}`.
    const DELIMITER: Option<char> = None;

    /// Paths begin with `/`: a glob that does not can match none of them.
    fn read(word: &str) -> Result<Self, String> {
        if word.starts_with(['/', '*', '{']) {
            return Ok(Self(word.to_owned()));
        }
        Err(format!("{word:?}: wanted a glob of a cgroup's path, as /system.slice/*.service"))
    }

    fn word(&self) -> String {
        self.0.clone()
    }
}

/// A length of time as people write it: `1s`, `250ms`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct HumanDuration(pub Duration);

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|err| format!("{text:?}: {err}; wanted a duration with its unit, as 1s, 250ms or 10m"))
    }
}

impl TryFrom<String> for HumanDuration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
