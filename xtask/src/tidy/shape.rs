//! Module docs, and the length of files and functions.

use super::Problem;
use crate::source::is_test_module;

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;
const MAIN_LINES: usize = 150;

/// Files that are longer than the limit, and why that is right.
const LONG_FILES: [(&str, &str); 0] = [];

/// All breaches in one file.
pub(super) fn check(file: &str, text: &str) -> Vec<Problem> {
    let mut found = Vec::new();
    if !text.starts_with("//! ") && !is_test_module(file) {
        found.push(Problem::new(1, "the first line is no module doc (`//! ...`)"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES && !LONG_FILES.iter().any(|(name, _)| *name == file) {
        found.push(Problem::new(0, format!("{lines} lines, and a file has at most {FILE_LINES}: split it")));
    }
    if file == "agent/src/main.rs" && lines > MAIN_LINES {
        found.push(Problem::new(0, format!("{lines} lines, and main.rs has at most {MAIN_LINES}")));
    }
    found.extend(long_functions(text));
    found
}

/// rustfmt puts the closing brace of a function under its first line.
fn long_functions(text: &str) -> Vec<Problem> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, l)| begins_function(l)) {
        let indent = line.len() - line.trim_start().len();
        let close = format!("{}}}", line.get(..indent).unwrap_or_default());
        let Some(length) = lines.iter().skip(at).position(|l| *l == close) else { continue };
        let declared_only =
            lines.iter().skip(at).take(length).any(|l| l.ends_with(';') && l.trim_start().starts_with(')'));
        if length + 1 > FUNCTION_LINES && !declared_only && !line.ends_with(';') && !line.ends_with('}') {
            let what = format!("a function of {} lines, and one has at most {FUNCTION_LINES}", length + 1);
            found.push(Problem::new(at + 1, what));
        }
    }
    found
}

fn begins_function(line: &str) -> bool {
    let mut words = line.split_whitespace().take_while(|w| !w.contains("//"));
    let before =
        ["pub", "pub(crate)", "pub(super)", "const", "async", "extern", "\"C\"", concat!("un", "safe")];
    words.find(|w| !before.contains(w)) == Some("fn")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_doc_comes_first() {
        assert_eq!(check("a/x.rs", "use std::fmt;\n").len(), 1);
        assert!(check("a/x.rs", "//! X.\n").is_empty());
        assert!(check("a/src/tests.rs", "use super::*;\n").is_empty());
    }

    #[test]
    fn lengths_are_limited() {
        let long = format!("//! X.\n{}", "\n".repeat(FILE_LINES));
        assert_eq!(check("a/x.rs", &long).len(), 1);
        let main = format!("//! X.\n{}", "\n".repeat(MAIN_LINES));
        assert_eq!(check("agent/src/main.rs", &main).len(), 1);
        assert!(check("agent/src/run.rs", &main).is_empty());
    }

    #[test]
    fn a_long_function_is_named_by_its_line() {
        let body = "        x();\n".repeat(FUNCTION_LINES - 1);
        let text = format!("//! X.\nimpl A {{\n    pub(crate) async fn f() {{\n{body}    }}\n}}\n");
        let found = check("a/x.rs", &text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].line, 3);
        let fits = format!("//! X.\nfn f() {{\n{}}}\n", "    x();\n".repeat(FUNCTION_LINES - 2));
        assert!(check("a/x.rs", &fits).is_empty());
    }
}
