//! JSON whose objects keep the order of their fields and leave out those that are absent.

use serde::{Serialize, Serializer};
use serde_json::Value;

pub(super) enum Json {
    /// A text, a number, a list of them; null is absent.
    Plain(Value),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    pub(super) const ABSENT: Self = Self::Plain(Value::Null);

    pub(super) fn list<T>(items: &[T], one: fn(&T) -> Self) -> Self {
        Self::List(items.iter().map(one).collect())
    }
}

impl<T: Into<Value>> From<T> for Json {
    fn from(value: T) -> Self {
        Self::Plain(value.into())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_there = |field: &&(&str, Self)| !matches!(field.1, Self::Plain(Value::Null));
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::List(items) => items.serialize(serializer),
            Self::Object(fields) => {
                serializer.collect_map(fields.iter().filter(is_there).map(|(name, value)| (name, value)))
            }
        }
    }
}

/// An object: `object! { name: value, .. }`.
macro_rules! object {
    ($($name:ident: $value:expr),+ $(,)?) => {
        Json::Object(vec![$((stringify!($name), Json::from($value))),+])
    };
}

pub(super) use object;
