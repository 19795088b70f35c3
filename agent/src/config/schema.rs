//! `cgtap config schema`: a JSON Schema of the file, made of the declarations.

use serde_json::{Map, Value, json};

use super::Settings;
use super::declare::{Fallback, Setting};
use super::sink_keys::{KINDS, SINK_KEYS, SinkKey};
use super::values::Shape;

/// The JSON Schema of the file.
#[must_use]
pub fn schema() -> Value {
    let mut properties: Map<String, Value> =
        Settings::declared().iter().map(|setting| (setting.key.to_owned(), property(setting))).collect();
    properties.insert("sink".to_owned(), json!({"type": "array", "items": sink()}));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cgtap.toml",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

/// A key that two kinds share has one type.
fn sink() -> Value {
    let property = |SinkKey { key, kind, form, default, help }: &SinkKey| {
        let kind = if kind.is_empty() { "all kinds" } else { kind };
        let default = if default.is_empty() { String::new() } else { format!("; default: {default}") };
        ((*key).to_owned(), json!({"type": form, "description": format!("{help} ({kind}{default})")}))
    };
    let mut properties: Map<String, Value> = SINK_KEYS.iter().map(property).collect();
    properties.insert("kind".to_owned(), json!({"enum": KINDS}));
    json!({"type": "object", "required": ["kind"], "additionalProperties": false, "properties": properties})
}

fn property(setting: &Setting) -> Value {
    let mut property = match setting.shape {
        Shape::Switch => json!({"type": "boolean"}),
        Shape::Number => json!({"type": "integer", "minimum": 0}),
        Shape::Text => json!({"type": "string"}),
        Shape::List => json!({"type": "array", "items": {"type": "string"}}),
    };
    let mut set = |key: &str, value: Value| {
        property.as_object_mut().map(|property| property.insert(key.to_owned(), value));
    };
    let allowed = if setting.wanted.is_empty() { String::new() } else { format!(": {}", setting.wanted) };
    set("description", json!(format!("{}{allowed}", setting.help)));
    if let Some((least, greatest)) = setting.bounds {
        set("minimum", json!(least));
        set("maximum", json!(greatest));
    }
    if setting.shape == Shape::Text && !setting.choices.is_empty() {
        set("enum", setting.choices.iter().map(|choice| choice.get_name()).collect());
    }
    if let Fallback::Value(text) = setting.default {
        set("default", default(setting.shape, text));
    }
    property
}

fn default(shape: Shape, text: &str) -> Value {
    match shape {
        // A declared number or switch is one of JSON, too.
        Shape::Switch | Shape::Number => serde_json::from_str(text).unwrap_or_default(),
        Shape::Text => json!(text),
        Shape::List => json!([text]),
    }
}
