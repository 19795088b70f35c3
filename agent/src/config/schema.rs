//! `cgtap config schema`: a JSON Schema of the file, made of the declarations.

use serde_json::{Map, Value, json};

use super::declare::Setting;
use super::form::Form;
use super::settings::SETTINGS;
use super::sinks::SINK_KEYS;

/// The JSON Schema of the file.
#[must_use]
pub fn schema() -> Value {
    // Of two kinds of sinks that share a key, the first describes it.
    let keys = SINK_KEYS.iter().rev().flat_map(|(_, keys)| *keys);
    let sink: Map<String, Value> = keys.map(property).collect();
    let sink =
        json!({"type": "object", "required": ["kind"], "additionalProperties": false, "properties": sink});
    let mut properties: Map<String, Value> = SETTINGS.iter().map(property).collect();
    properties.insert("sink".to_owned(), json!({"type": "array", "items": sink}));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cgtap.toml",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

fn property(setting: &Setting) -> (String, Value) {
    let mut property = match &setting.form {
        Form::Switch => json!({"type": "boolean"}),
        Form::Number(_) | Form::Ring => json!({"type": "integer"}),
        Form::Time(_) | Form::Text(..) => json!({"type": "string"}),
        Form::Choice(words, _) => json!({"type": "string", "enum": words}),
        Form::List(..) | Form::Globs => json!({"type": "array", "items": {"type": "string"}}),
    };
    let mut set = |key: &str, value: Value| {
        property.as_object_mut().map(|property| property.insert(key.to_owned(), value));
    };
    if let Some(bounds) = setting.form.bounds() {
        set("minimum", json!(bounds.start()));
        set("maximum", json!(bounds.end()));
    }
    let wanted = setting.form.wanted();
    set("description", json!(format!("{}: {wanted}", setting.help.trim())));
    if let Some(value) = setting.default_value() {
        set("default", json!(value));
    }
    (setting.key.to_owned(), property)
}
