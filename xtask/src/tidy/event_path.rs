//! The thread of the event path opens no file.
//!
//! Folders that never open files are the business of `places`. Here are the files of the other folders whose methods that thread
//! calls. Their free functions run on threads that may block; a method hands them over in one line with `spawn_blocking`.

use super::Problem;
use super::places::OPENING;
use crate::source::{Line, has_call, is_test_module, product_lines};

/// What the event path calls, and methods that run before its thread starts.
const PARTS: &[(&str, &[&str])] = &[
    ("agent/src/run/event_path.rs", &[]),
    ("agent/src/restart/saver.rs", &["note_start"]),
    ("agent/src/sources/cgroups.rs", &[]),
    ("agent/src/sources/look_up.rs", &[]),
    ("agent/src/sources/walks.rs", &[]),
    ("agent/src/last_values/mod.rs", &["start"]),
    ("agent/src/kernel/ring.rs", &[]),
    ("agent/src/kernel/sequence.rs", &[]),
    ("agent/src/kernel/counters.rs", &[]),
];
/// Methods of the state directory that open its files.
const OF_STATE: [&str; 3] = [".save_agent(", ".save_cgroups(", ".note_end("];

/// All breaches in one file of the agent.
pub(super) fn check(file: &str, text: &str) -> Vec<Problem> {
    let Some((_, before)) = PARTS.iter().find(|(part, _)| file == *part) else { return Vec::new() };
    if is_test_module(file) {
        return Vec::new();
    }
    let lines = product_lines(text);
    let of_state = OF_STATE.into_iter().filter(|_| file.starts_with("agent/src/restart/"));
    let opening = OPENING.iter().copied().chain(["files::"]).chain(of_state).map(str::to_owned);
    let calls: Vec<String> = opening.chain(imported(&lines).map(|name| format!("{name}("))).collect();
    let mut found = Vec::new();
    // A free function has no indent, a method one of four.
    let mut is_method = false;
    for line in &lines {
        let code = line.code.trim_start();
        match line.code.len() - code.len() {
            0 => is_method = false,
            4 => is_method = name_of(code).map_or(is_method, |name| !before.contains(&name)),
            _ => {}
        }
        if !is_method || code.contains("spawn_blocking") {
            continue;
        }
        let breaches = calls.iter().filter(|call| has_call(code, call));
        let what = |call| format!("`{call}` opens a file, on the thread of the event path");
        found.extend(breaches.map(|call| Problem::new(line.number, what(call))));
    }
    let calls_before =
        PARTS.iter().flat_map(|(_, before)| *before).filter(|_| file.starts_with("agent/src/run/"));
    for call in calls_before.map(|name| format!(".{name}(")) {
        let breaches = lines.iter().filter(|line| line.code.contains(&call) && call != ".start(");
        found.extend(breaches.map(|line| Problem::new(line.number, format!("`{call}` is for the start"))));
    }
    found
}

/// The functions that the file imports from `files`; types have capitals.
fn imported(lines: &[Line]) -> impl Iterator<Item = &str> {
    let uses = lines.iter().filter_map(|line| line.code.trim().strip_prefix("use crate::files::"));
    let names = uses.flat_map(|names| names.split(['{', '}', ',', ';']).map(str::trim));
    names.filter(|name| name.starts_with(|c: char| c.is_lowercase()))
}

/// The name of the function that begins on this line.
fn name_of(code: &str) -> Option<&str> {
    let (before, rest) = code.split_once("fn ")?;
    let is_head =
        before.split_whitespace().all(|word| word.starts_with("pub") || ["async", "const"].contains(&word));
    rest.split(['(', '<']).next().filter(|_| is_head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &str, text: &str) -> Vec<usize> {
        check(file, text).into_iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn a_method_opens_no_file_and_a_free_function_may() {
        let text = "\
use crate::files::{HostRoot, comm};
impl LookUps {
    pub(crate) fn start(&mut self) {
        let look = spawn_blocking(move || look_up(&host));
        let name = comm(&host);
        self.comm();
        HostRoot::new(path);
    }
}
fn look_up(host: &HostRoot) {
    comm(host);
}
";
        assert_eq!(lines("agent/src/sources/look_up.rs", text), [5]);
        assert!(lines("agent/src/sources/tree.rs", text).is_empty(), "on a thread of its own");
    }

    #[test]
    fn the_state_is_saved_by_threads_that_may_block() {
        let text = "\
impl Saver {
    pub(crate) fn note_start(&mut self) {
        self.dir.save_agent(&self.agent);
    }
    pub(crate) async fn note_end(&mut self) {
        spawn_blocking(move || dir.save_agent(&agent)).await;
        self.dir.save_agent(&self.agent);
    }
}
";
        assert_eq!(lines("agent/src/restart/saver.rs", text), [7]);
        let text = "impl Follow {\n    fn run() {\n        self.saver.note_start();\n    }\n}\n";
        assert_eq!(lines("agent/src/run/event_path.rs", text), [3]);
    }
}
