//! What `cgtap config show` and `cgtap config schema` print.

use super::super::{Given, schema, show};
use super::{FILE, parse};
use crate::config::settings::SETTINGS;

/// Writes the text to a file and loads it, with the flags over it.
fn given(text: &str, args: &[&str]) -> Given {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cgtap.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    Given::load(parse(&[&["--config", &path], args].concat()).unwrap()).unwrap()
}

#[test]
fn what_show_prints_gives_the_same_settings() {
    let sinks = "[[sink]]\nkind = \"file\"\npath = \"/x\"\ntypes = [\"lost\"]\n[[sink]]\nkind = \"stdout\"\n";
    for (file, args) in [
        ("", &[][..]),
        (FILE, &[]),
        (FILE, &["--tombstone=9s", "--runtime-sockets=none", "--disable="]),
        (sinks, &["--pin-replace"]),
    ] {
        let before = given(file, args);
        let shown = show(&before).unwrap();
        let after = given(&shown, &[]);
        assert_eq!(before.check().unwrap(), after.check().unwrap(), "{shown}");
    }
}

#[test]
fn show_says_where_each_value_comes_from() {
    let shown =
        show(&given("tombstone = \"1h\"\nlisten = [\"unix:/a\"]", &["--listen=127.0.0.1:1"])).unwrap();
    for line in [
        "listen = [\"127.0.0.1:1\"] # flag",
        "tombstone = \"1h\" # file",
        "max_connections = 256 # default",
        "# max_series # default: no limit",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line:?} is not in {shown}");
    }
    let refused = show(&given("max_connections = 0", &[])).unwrap_err().to_string();
    assert!(refused.contains("max_connections"), "{refused}");
}

#[test]
fn show_hides_secrets() {
    let file = "[[sink]]\nkind = \"webhook\"\nurl = \"https://user:hunter2@host:8/hook?key=hunter3\"\n\
                secret_file = \"/etc/key\"";
    let shown = show(&given(file, &[])).unwrap();
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(shown.contains("@host:8/hook?") && shown.contains("secret_file = \"/etc/key\""), "{shown}");
}

#[test]
fn the_schema_has_the_declared_keys() {
    let schema = schema();
    let properties = schema["properties"].as_object().unwrap();
    let keys: Vec<&str> = properties.keys().map(String::as_str).collect();
    let mut declared: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
    declared.push("sink");
    assert_eq!(keys, declared);
    assert_eq!(properties["max_connections"]["maximum"], 65_536);
    assert_eq!(properties["max_connections"]["default"], 256);
    assert_eq!(properties["log_format"]["enum"], serde_json::json!(["text", "json"]));
    assert_eq!(properties["listen"]["default"], serde_json::json!(["127.0.0.1:8080"]));
    assert_eq!(properties["timestamps"]["type"], "boolean");
    assert_eq!(properties["sink"]["items"]["properties"]["path"]["type"], "string");
}
