//! Which folder of `agent/src` may use which: data flows one way, and this is the table that says so.

use super::Problem;
use super::code::{has_word, is_test_module, product_lines};

/// A folder (or file) of `agent/src`, what it may use beside itself and `model`, and what it never contains.
struct Layer {
    name: &'static str,
    uses: &'static [&'static str],
    never: &'static [(&'static str, &'static str)],
}

const CLOCK: &str = "reads a clock; the time comes in as an argument";
const LOCK: &str = "locks; an exporter is a function of a snapshot";

const LAYERS: [Layer; 12] = [
    Layer {
        name: "model",
        uses: &[],
        never: &[
            ("SystemTime::now", CLOCK),
            ("Instant::now", CLOCK),
            ("serde::", "serialises; each API has structs of its own"),
        ],
    },
    Layer { name: "parse", uses: &[], never: &[("SystemTime::now", CLOCK), ("Instant::now", CLOCK)] },
    Layer { name: "files", uses: &["parse"], never: &[] },
    Layer { name: "kernel", uses: &[], never: &[] },
    Layer { name: "identity", uses: &["parse"], never: &[] },
    // Path rules are pure and instant, so a cgroup is never without its identity.
    Layer { name: "registry", uses: &["identity"], never: &[("aya::", "knows BPF; events arrive as model")] },
    Layer { name: "snapshot", uses: &[], never: &[] },
    Layer { name: "events", uses: &[], never: &[] },
    Layer {
        name: "export",
        uses: &["snapshot", "events"],
        never: &[
            ("Mutex", LOCK),
            ("RwLock", LOCK),
            ("async", "waits; an exporter is a function of a snapshot"),
            ("std::net", "knows sockets; that is serve's"),
        ],
    },
    Layer { name: "serve", uses: &["export", "snapshot", "events", "config"], never: &[] },
    Layer { name: "sinks", uses: &["export", "events"], never: &[] },
    Layer { name: "config", uses: &[], never: &[] },
];

/// The one file of a layer where the stages meet.
const MEETING: &str = "agent/src/snapshot/collect";
/// What even that file does not use.
const ABOVE_SNAPSHOT: [&str; 2] = ["export", "serve"];

/// All breaches in one file. Files outside the layers (the assembly, the command line) may use all.
pub(super) fn check(file: &str, text: &str) -> Vec<Problem> {
    let Some(layer) = layer_of(file) else { return Vec::new() };
    let mut found = Vec::new();
    let lines = product_lines(text);
    for (line, used) in used(&lines) {
        if !allowed(file, layer, &used) {
            found.push(Problem::new(line, format!("{} may not use {used}", layer.name)));
        }
    }
    for (line, code) in &lines {
        for (word, why) in layer.never.iter().filter(|(word, _)| has_word(code, word)) {
            found.push(Problem::new(*line, format!("{} never {why} (`{word}`)", layer.name)));
        }
    }
    found
}

fn layer_of(file: &str) -> Option<&'static Layer> {
    if is_test_module(file) {
        return None;
    }
    let name = file.strip_prefix("agent/src/")?.split(['/', '.']).next()?;
    LAYERS.iter().find(|l| l.name == name)
}

fn allowed(file: &str, layer: &Layer, used: &str) -> bool {
    if used == "model" || used == layer.name || !LAYERS.iter().any(|l| l.name == used) {
        return true;
    }
    if file.starts_with(MEETING) {
        return !ABOVE_SNAPSHOT.contains(&used);
    }
    layer.uses.contains(&used)
}

/// The modules after each `crate::`, with the lines. A group `crate::{a::B, c}` names each of its own.
fn used(lines: &[(usize, String)]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, (line, code)) in lines.iter().enumerate() {
        for (start, word) in code.match_indices("crate::") {
            let rest = code.get(start + word.len()..).unwrap_or_default();
            if let Some(group) = rest.strip_prefix('{') {
                let following = lines.iter().skip(at + 1).map(|(_, l)| l.as_str());
                let text: String = std::iter::once(group).chain(following).collect();
                found.extend(group_names(&text).into_iter().map(|name| (*line, name)));
            } else {
                found.push((*line, first_name(rest)));
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
    fn assembly_tests_and_names_that_are_no_layer_are_free() {
        let text = "use crate::serve::A;\n";
        assert!(breaches("agent/src/run.rs", text).is_empty());
        assert!(breaches("agent/src/events/tests.rs", text).is_empty());
        assert!(
            breaches("agent/src/model/x.rs", "#[cfg(test)]\nmod tests { use crate::serve::A; }").is_empty()
        );
        assert!(breaches("agent/src/model/x.rs", "//! [`crate::serve::A`]\nuse crate::Error;").is_empty());
    }

    #[test]
    fn what_a_layer_never_does_is_seen() {
        assert_eq!(breaches("agent/src/model/x.rs", "let t = SystemTime::now();").len(), 1);
        assert_eq!(breaches("agent/src/export/x.rs", "async fn f() {}\nstatic A: Mutex<u8>;").len(), 2);
        assert!(breaches("agent/src/serve/x.rs", "async fn f() {}").is_empty());
    }
}
