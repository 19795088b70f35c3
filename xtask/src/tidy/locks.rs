//! No lock is held across I/O: the event path takes locks that others hold.
//!
//! A guard lives from its `let`, or from the head of its block, to `drop` or the end of the block. In between stands no call that
//! opens a file, waits, or writes a line of the log. The rule sees calls by their names, not what these call in turn.

use super::Problem;
use super::places::OPENING;
use crate::source::{Line, has_call, is_test_module, product_lines};

/// Ways to take a lock.
const TAKES: [&str; 5] = [".lock()", ".registry()", ".totals()", "table.read()", "table.write()"];
/// Calls that may block, or take as long as a disk, a pipe or another process does.
const IO: [&str; 8] =
    ["files::", "tracing::", ".await", "thread::sleep", "spawn_blocking", ".recv()", ".join()", "println!"];
/// Locks that the event path never takes, and why they are held across I/O.
const ELSEWHERE: &[(&str, &str)] = &[
    ("agent/src/files/", "of the threads that read the host's files"),
    ("agent/src/last_values/values.rs", "of the threads that read last values"),
    ("agent/src/cli/", "standard output, before or after the agent runs"),
    ("agent/src/sinks/stdout.rs", "standard output, on the thread of that sink"),
];

/// All breaches in one file of the agent.
pub(super) fn check(file: &str, text: &str) -> Vec<Problem> {
    let is_elsewhere = ELSEWHERE.iter().any(|(place, _)| file.starts_with(place));
    if !file.starts_with("agent/src/") || is_elsewhere || is_test_module(file) {
        return Vec::new();
    }
    let lines = product_lines(text);
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        for held in held(line, lines.get(at + 1..).unwrap_or_default()) {
            let calls = OPENING.iter().chain(&IO).find(|call| has_call(&held.code, call));
            let what = |call| format!("`{call}` while the lock of line {} is held", line.number);
            found.extend(calls.map(|call| Problem::new(held.number, what(call))));
        }
    }
    found
}

/// The lines while the guard that this line takes is held; none if it takes none that outlives the line.
fn held<'a>(line: &Line, after: &'a [Line]) -> &'a [Line] {
    let code = line.code.trim();
    if !TAKES.iter().any(|take| code.contains(take)) {
        return &[];
    }
    let binds = code.starts_with("let ") && TAKES.iter().any(|take| code.ends_with(&format!("{take};")));
    let opens = code.ends_with('{')
        && ["if let ", "while let ", "match ", "for "].iter().any(|k| code.starts_with(k));
    let name = code.trim_start_matches("let ").trim_start_matches("mut ").split([' ', ':']).next();
    let dropped = name.map(|name| format!("drop({name});")).filter(|_| binds);
    let outer = indent(&line.code);
    let ends = |later: &&Line| match (binds, opens) {
        (true, _) => indent(&later.code) < outer || dropped.as_deref() == Some(later.code.trim()),
        (_, true) => indent(&later.code) <= outer,
        _ => true,
    };
    let until = after.iter().position(|later| ends(&later)).unwrap_or(after.len());
    after.get(..until).unwrap_or_default()
}

fn indent(code: &str) -> usize {
    code.len() - code.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &str, text: &str) -> Vec<usize> {
        check(file, text).into_iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn a_guard_is_held_to_its_drop_or_the_end_of_its_block() {
        let text = "\
fn f() {
    let mut state = self.state.lock();
    state.a += 1;
    self.files.read().await;
    drop(state);
    self.files.read().await;
    {
        let registry = self.registry();
        tracing::info!(len = registry.len());
    }
    std::fs::read(path);
    if let Some(one) = self.sources.lock().get_mut(0) {
        files::look(one);
    }
    files::look(two);
    let len = self.registry().len();
    tracing::info!(len);
}
";
        assert_eq!(lines("agent/src/run/x.rs", text), [4, 9, 13]);
        assert!(lines("agent/src/files/usage/x.rs", text).is_empty());
        assert!(lines("agent/src/run/tests.rs", text).is_empty());
        assert!(lines("xtask/src/x.rs", text).is_empty());
    }
}
