//! Where code that needs more care may be: the keyword that turns checks off, and what opens files.

use super::Problem;
use crate::source::{has_word, is_test_module, product_lines};

/// Folders that cannot work without it, and the load program that starts a process which shares its memory.
const UNCHECKED: [&str; 3] = ["ebpf/", "agent/src/kernel/", "tests/src/bin/cgtap-load-shared.rs"];
/// How far above its reason may stand, in lines.
const REASON_WITHIN: usize = 8;
const KEYWORD: &str = concat!("un", "safe");

/// Folders of the agent that may open files, and why.
const OPENERS: &[(&str, &str)] = &[
    ("agent/src/files/", "the one reader of the host's files, below the host root"),
    ("agent/src/kernel/", "BTF, tracefs and its mount"),
    ("agent/src/config", "its own file"),
    ("agent/src/durable.rs", "files that the agent replaces, locks"),
    ("agent/src/events/disk/", "the event log"),
    ("agent/src/sinks/", "cursors, and what events are written to"),
    ("agent/src/serve/", "the files of unix sockets"),
    ("agent/src/restart/", "the state directory"),
    ("agent/src/main.rs", "the command line"),
    ("agent/src/cli", "the command line"),
];
/// Calls that open files.
pub(super) const OPENING: &[&str] = &["fs::", "File::open", "File::create", "OpenOptions"];

/// All breaches in one file.
pub(super) fn check(file: &str, text: &str) -> Vec<Problem> {
    let mut found = unchecked(file, text);
    if file.starts_with("agent/src/") && !is_test_module(file) {
        found.extend(opening(file, text));
    }
    found
}

fn unchecked(file: &str, text: &str) -> Vec<Problem> {
    let all: Vec<&str> = text.lines().collect();
    let lines = product_lines(text).into_iter();
    let uses = lines.filter(|l| has_word(&l.code, KEYWORD) && !is_attribute(&l.code));
    let mut found = Vec::new();
    for line in uses.map(|l| l.number) {
        if !UNCHECKED.iter().any(|folder| file.starts_with(folder)) {
            found.push(Problem::new(line, format!("{KEYWORD} is for {} only", UNCHECKED.join(", "))));
        }
        let first = line.saturating_sub(REASON_WITHIN + 1);
        let near = all.iter().take(line).skip(first);
        if !near.into_iter().any(|l| l.contains("SAFETY") || l.contains("# Safety")) {
            found.push(Problem::new(
                line,
                format!("{KEYWORD} without a SAFETY line that says why it is sound"),
            ));
        }
    }
    found
}

/// `#[unsafe(no_mangle)]` and the like are no code.
fn is_attribute(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

fn opening(file: &str, text: &str) -> Vec<Problem> {
    if OPENERS.iter().any(|(place, _)| file.starts_with(place)) {
        return Vec::new();
    }
    let lines = product_lines(text).into_iter();
    let uses = lines.filter_map(|l| OPENING.iter().find(|w| has_word(&l.code, w)).map(|w| (l.number, w)));
    uses.map(|(line, word)| {
        Problem::new(line, format!("opens files (`{word}`), which is for agent/src/files/"))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unchecked_code_has_its_place_and_its_reason() {
        let bare = format!("{KEYWORD} {{ f() }}\n");
        assert_eq!(check("tests/src/x.rs", &bare).len(), 2);
        assert_eq!(check("agent/src/kernel/x.rs", &bare).len(), 1);
        let good = format!("// SAFETY: f has no preconditions.\n{bare}");
        assert!(check("agent/src/kernel/x.rs", &good).is_empty());
        assert!(check("ebpf/src/x.rs", &format!("#[{KEYWORD}(no_mangle)]\n")).is_empty());
        let far = format!("// SAFETY: no.\n{}{bare}", "\n".repeat(REASON_WITHIN + 2));
        assert_eq!(check("ebpf/src/x.rs", &far).len(), 1);
    }

    #[test]
    fn files_are_opened_in_few_places() {
        for text in ["std::fs::read(p)", "File::open(p)", "tokio::fs::read(p)", "OpenOptions::new()"] {
            assert_eq!(check("agent/src/export/x.rs", text).len(), 1, "{text}");
            assert!(check("agent/src/files/x.rs", text).is_empty(), "{text}");
            assert!(check("xtask/src/x.rs", text).is_empty(), "{text}");
        }
        assert!(check("agent/src/export/x.rs", "use procfs::X; // fs::read\n").is_empty());
    }
}
