//! Which folder of `agent/src` may use which: data flows one way, and this table is the rule.
//!
//! A new folder or top-level file gets a row here and in the code map of ARCHITECTURE.md.

use super::Problem;
use crate::source::{Line, is_test_module, product_lines};

/// The top of the agent: it puts the folders together, and makes no decision that belongs to one of them.
const ALL: &[&str] = &["*"];

/// A folder or file of `agent/src`, and what it may use beside itself and `model`.
#[rustfmt::skip]
const LAYERS: &[(&str, &[&str])] = &[
    ("model",       &[]),
    ("parse",       &[]),
    ("telemetry",   &[]),
    ("durable",     &[]),
    // Path rules are pure and instant, so a cgroup is never without its identity.
    ("identity",    &["parse", "telemetry"]),
    ("registry",    &["identity", "telemetry"]),
    // `kernel` for what neither std nor rustix offers: project quotas and the priority of a thread.
    ("files",       &["parse", "kernel", "telemetry"]),
    ("kernel",      &["durable", "telemetry"]),
    ("names",       &["parse", "identity", "files", "registry", "telemetry"]),
    ("kills",       &["parse", "identity", "registry", "telemetry"]),
    ("last_values", &["kernel", "files", "identity", "registry", "telemetry"]),
    ("events",      &["durable", "telemetry"]),
    ("sources",     &["kernel", "files", "parse", "identity", "registry", "telemetry"]),
    ("story",       &["parse", "identity", "registry", "kills", "telemetry"]),
    ("restart",     &["durable", "events", "registry", "kills", "story", "telemetry"]),
    ("snapshot",    &["telemetry"]),
    ("export",      &["snapshot", "events", "telemetry"]),
    ("serve",       &["export", "snapshot", "events", "config", "telemetry"]),
    ("sinks",       &["durable", "export", "events", "config", "telemetry"]),
    ("config",      &["durable", "events", "export", "files", "snapshot"]),
    ("fuzzing",     &["parse", "identity", "names", "events", "files", "kernel", "config"]),
    ("run",         ALL),
    ("cli",         ALL),
    ("main",        ALL),
    ("lib",         ALL),
];

/// The one file where the stages meet: it may use all that reads.
const MEETING: &str = "agent/src/snapshot/collect";
/// What even that file may not use: these come after the snapshot.
const AFTER_SNAPSHOT: [&str; 6] = ["export", "serve", "sinks", "run", "cli", "fuzzing"];

/// All breaches in one file of the agent.
pub(super) fn check(file: &str, text: &str) -> Vec<Problem> {
    let Some(name) = layer_of(file) else { return Vec::new() };
    let Some((_, uses)) = LAYERS.iter().find(|(layer, _)| *layer == name) else {
        let what = format!("{name} has no row in the table of xtask/src/tidy/layers.rs: what may it use?");
        return vec![Problem::new(0, what)];
    };
    if is_test_module(file) {
        return Vec::new();
    }
    let used = used(&product_lines(text)).into_iter();
    let breaches = used.filter(|(_, used)| !allowed(file, name, uses, used));
    breaches.map(|(line, used)| Problem::new(line, format!("{name} may not use {used}"))).collect()
}

/// The first part of the path below `agent/src`, without `.rs`.
fn layer_of(file: &str) -> Option<&str> {
    file.strip_prefix("agent/src/")?.split(['/', '.']).next()
}

fn allowed(file: &str, layer: &str, uses: &[&str], used: &str) -> bool {
    // What is no layer is an item of the library's root.
    if used == "model" || used == layer || uses == ALL || !LAYERS.iter().any(|(name, _)| *name == used) {
        return true;
    }
    if file.starts_with(MEETING) {
        return !AFTER_SNAPSHOT.contains(&used);
    }
    uses.contains(&used)
}

/// The modules after each `crate::`, with the lines. A group `crate::{a::B, c}` names each of its own.
fn used(lines: &[Line]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, Line { number, code, .. }) in lines.iter().enumerate() {
        for (start, word) in code.match_indices("crate::") {
            let rest = code.get(start + word.len()..).unwrap_or_default();
            if let Some(group) = rest.strip_prefix('{') {
                let following = lines.iter().skip(at + 1).map(|l| l.code.as_str());
                let text: String = std::iter::once(group).chain(following).collect();
                found.extend(group_names(&text).into_iter().map(|name| (*number, name)));
            } else {
                found.push((*number, first_name(rest)));
            }
        }
    }
    found
}

/// The first name of each member of a group, up to its closing brace.
fn group_names(text: &str) -> Vec<String> {
    let (mut depth, mut member, mut names) = (0usize, String::new(), Vec::new());
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(first_name(std::mem::take(&mut member).trim())),
            c => member.push(c),
        }
    }
    names.push(first_name(member.trim()));
    names.retain(|n| !n.is_empty());
    names
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(file: &str, text: &str) -> Vec<String> {
        check(file, text).into_iter().map(|p| format!("{}: {}", p.line, p.what)).collect()
    }

    #[test]
    fn a_lower_layer_may_not_use_a_higher_one() {
        assert_eq!(
            breaches("agent/src/parse/cpu.rs", "//! x\nuse crate::files::A;\n"),
            ["2: parse may not use files"]
        );
        assert_eq!(
            breaches("agent/src/files/v1.rs", "use crate::parse::A;\nuse crate::model::B;\n"),
            [""; 0]
        );
        assert_eq!(
            breaches("agent/src/events/log.rs", "let x = crate::export::y();"),
            ["1: events may not use export"]
        );
        assert_eq!(breaches("agent/src/config.rs", "use crate::serve::A;"), ["1: config may not use serve"]);
    }

    #[test]
    fn groups_are_read_over_lines() {
        let text = "use crate::{\n    model::{A, B},\n    serve::C,\n    kernel,\n};\nuse std::{fmt};\n";
        assert_eq!(
            breaches("agent/src/export/x.rs", text),
            ["1: export may not use serve", "1: export may not use kernel"]
        );
    }

    #[test]
    fn the_stages_meet_in_one_file_only() {
        let text = "use crate::files::A;\n";
        assert!(breaches("agent/src/snapshot/collect.rs", text).is_empty());
        assert_eq!(breaches("agent/src/snapshot/mod.rs", text).len(), 1);
        assert_eq!(breaches("agent/src/snapshot/collect.rs", "use crate::serve::A;\n").len(), 1);
    }

    #[test]
    fn the_assembly_tests_and_names_that_are_no_layer_are_free() {
        let text = "use crate::serve::A;\n";
        for file in ["agent/src/run/mod.rs", "agent/src/cli.rs", "agent/src/main.rs", "agent/src/lib.rs"] {
            assert!(breaches(file, text).is_empty(), "{file}");
        }
        assert!(breaches("agent/src/events/tests.rs", text).is_empty());
        assert!(
            breaches("agent/src/model/x.rs", "#[cfg(test)]\nmod tests { use crate::serve::A; }").is_empty()
        );
        assert!(breaches("agent/src/model/x.rs", "//! [`crate::serve::A`]\nuse crate::Error;").is_empty());
    }

    #[test]
    fn the_assembly_is_used_by_nobody_below_it() {
        assert_eq!(breaches("agent/src/serve/x.rs", "use crate::run::A;\n"), ["1: serve may not use run"]);
        assert_eq!(breaches("agent/src/snapshot/collect.rs", "use crate::run::A;\n").len(), 1);
    }

    #[test]
    fn a_folder_or_file_without_a_row_is_refused() {
        for file in ["agent/src/helpers/x.rs", "agent/src/helpers.rs", "agent/src/helpers/tests.rs"] {
            let found = breaches(file, "//! X.\n");
            assert!(found.len() == 1 && found[0].contains("helpers has no row"), "{found:?}");
        }
        assert!(breaches("tests/src/helpers.rs", "//! X.\n").is_empty());
    }

    #[test]
    fn code_below_a_test_module_is_read() {
        let text = "#[cfg(test)]\nmod tests;\nuse crate::serve::A;\n";
        assert_eq!(breaches("agent/src/model/x.rs", text), ["3: model may not use serve"]);
    }
}
