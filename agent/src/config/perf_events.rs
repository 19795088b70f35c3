//! The file of `--perf-events-config`: which performance events are counted, in cAdvisor's form.
//!
//! ```json
//! {"core": {"events": ["instructions", ["cycles", "cache-misses"]],
//!           "custom_events": [{"type": 4, "config": ["0x5300c0"], "name": "instructions_retired"}]},
//!  "uncore": {"events": ["uncore_imc/cas_count_read"]}}
//! ```
//! A list in the list is a group: counted at the same time or not at all. An event of `custom_events` that no list names
//! is counted by itself.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;

use super::read_file;
use crate::model::{CustomEvent, PerfCode, PerfSection, PerfWishes};

/// Events of a section. Each is a descriptor for each container and processor.
const MAX_EVENTS: usize = 256;

/// A name is a label's value.
const MAX_NAME_BYTES: usize = 128;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    core: Section,
    uncore: Section,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Section {
    events: Vec<Group>,
    custom_events: Vec<Custom>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "an event's name or a list of names")]
enum Group {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Custom {
    #[serde(default, rename = "type")]
    pmu: u32,
    config: Vec<String>,
    name: String,
}

/// Reads and checks the file. Whether this host knows the names is asked of the host later.
pub(super) fn read(path: &Path) -> Result<PerfWishes, String> {
    let wishes = read_file(path).map_err(|error| error.to_string()).and_then(|text| wishes(&text));
    wishes.map_err(|problem| format!("{}: {problem}", path.display()))
}

fn wishes(text: &[u8]) -> Result<PerfWishes, String> {
    let file: File = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    Ok(PerfWishes { core: section("core", file.core)?, uncore: section("uncore", file.uncore)? })
}

fn section(name: &str, given: Section) -> Result<PerfSection, String> {
    let groups = given.events.into_iter().map(|group| match group {
        Group::One(event) => vec![event],
        Group::Many(events) => events,
    });
    let mut groups: Vec<Vec<String>> = groups.collect();
    if groups.iter().any(Vec::is_empty) {
        return Err(format!("{name}.events has an empty group; wanted: at least one name in each"));
    }
    let custom: Vec<CustomEvent> =
        given.custom_events.into_iter().map(|event| custom(name, event)).collect::<Result<_, _>>()?;
    each_once(&format!("{name}.events"), groups.iter().flatten())?;
    each_once(&format!("{name}.custom_events"), custom.iter().map(|event| &event.name))?;
    let named: HashSet<&str> = groups.iter().flatten().flat_map(|event| names(event)).collect();
    let alone = custom.iter().filter(|event| !named.contains(event.name.as_str()));
    let alone: Vec<_> = alone.map(|event| vec![event.name.clone()]).collect();
    groups.extend(alone);
    let events = groups.iter().map(Vec::len).sum::<usize>();
    if events > MAX_EVENTS {
        return Err(format!("{name} has {events} events; wanted: at most {MAX_EVENTS}"));
    }
    Ok(PerfSection { groups, custom })
}

/// What an event of `custom_events` may be named by: the event with its unit, and without it.
fn names(event: &str) -> [&str; 2] {
    [event, event.rsplit('/').next().unwrap_or(event)]
}

fn each_once<'a>(place: &str, names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for name in names {
        if name.trim().is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(format!("{place}: {name:?} is no name; wanted: 1 to {MAX_NAME_BYTES} printed bytes"));
        }
        if !seen.insert(name) {
            return Err(format!("{place}: event {name:?} stands twice; wanted: each once"));
        }
    }
    Ok(())
}

fn custom(section: &str, event: Custom) -> Result<CustomEvent, String> {
    let Custom { pmu, config: given, name } = event;
    let numbers: Option<Vec<u64>> = given.iter().map(|text| parse_number(text)).collect();
    let config = match numbers.as_deref() {
        Some(&[first]) => [first, 0, 0],
        Some(&[first, second]) => [first, second, 0],
        Some(&[first, second, third]) => [first, second, third],
        _ => {
            return Err(format!(
                "{section}.custom_events: event {name:?} has the config {given:?}; \
                 wanted: one to three numbers as text, such as \"0x5300c0\""
            ));
        }
    };
    Ok(CustomEvent { name, code: PerfCode { pmu, config } })
}

/// Decimal, or hexadecimal after `0x`.
fn parse_number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, radix).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cadvisors_form() {
        let text = br#"{"core":{"events":["instructions",["cycles","mine"]],
            "custom_events":[{"type":4,"config":["0x5300c0"],"name":"mine"},
                             {"type":4,"config":["1","2","3"],"name":"alone"}]},
            "uncore":{"events":["uncore_imc/cas"],"custom_events":[{"config":["0x1"],"name":"cas"}]}}"#;
        let wishes = wishes(text).unwrap();
        assert_eq!(wishes.core.groups, [vec!["instructions"], vec!["cycles", "mine"], vec!["alone"]]);
        let code = wishes.core.custom("alone").unwrap().code;
        assert_eq!(code, PerfCode { pmu: 4, config: [1, 2, 3] });
        assert_eq!(wishes.uncore.groups, [["uncore_imc/cas"]]);
        assert_eq!(wishes.uncore.custom("cas").unwrap().code.pmu, 0);
        assert_eq!(super::wishes(b"{}").unwrap(), PerfWishes::default());
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let many: Vec<String> = (0..=MAX_EVENTS).map(|n| format!("\"e{n}\"")).collect();
        let many = format!(r#"{{"core":{{"events":[{}]}}}}"#, many.join(","));
        for (text, wanted) in [
            ("", "EOF"),
            ("7", "line 1"),
            (r#"{"cores":{}}"#, "unknown field `cores`, expected `core` or `uncore`"),
            (r#"{"core":{"events":[1]}}"#, "an event's name or a list of names"),
            (r#"{"core":{"events":[[]]}}"#, "core.events has an empty group"),
            (r#"{"core":{"events":["a",["b","a"]]}}"#, "event \"a\" stands twice"),
            (r#"{"core":{"events":[" "]}}"#, "is no name"),
            (
                r#"{"uncore":{"custom_events":[{"config":[],"name":"x"}]}}"#,
                "uncore.custom_events: event \"x\"",
            ),
            (r#"{"core":{"custom_events":[{"config":["0xg"],"name":"x"}]}}"#, "0x5300c0"),
            (r#"{"core":{"custom_events":[{"config":["+1"],"name":"x"}]}}"#, "0x5300c0"),
            (r#"{"core":{"custom_events":[{"config":["1","1","1","1"],"name":"x"}]}}"#, "one to three"),
            (r#"{"core":{"custom_events":[{"config":["1"]}]}}"#, "missing field `name`"),
            (many.as_str(), "wanted: at most 256"),
        ] {
            let error = wishes(text.as_bytes()).expect_err(text);
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
