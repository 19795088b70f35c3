//! What a folder or file of the agent never does, whichever folders it may use.

use super::Problem;
use super::places::OPENING;
use crate::source::{has_word, is_test_module, product_lines};

/// A place in the tree by the start of its path, the calls that it never has, and why.
struct Never {
    place: &'static str,
    calls: &'static [&'static str],
    why: &'static str,
}

const fn never(place: &'static str, calls: &'static [&'static str], why: &'static str) -> Never {
    Never { place, calls, why }
}

const CLOCK: &[&str] = &["SystemTime::now", "Instant::now"];
const LOCK: &[&str] = &["Mutex", "RwLock"];
const THREAD: &[&str] = &["thread::spawn", "thread::Builder", "spawn_blocking", "tokio::spawn"];

const NO_CLOCK: &str = "reads no clock: the time is an argument";
const EVENT_PATH: &str = "opens no file: it runs on the thread of the event path";

const TABLE: &[Never] = &[
    never("agent/src/model/", CLOCK, NO_CLOCK),
    never("agent/src/model/", &["serde::"], "knows no format: each API has structs of its own"),
    never("agent/src/parse/", CLOCK, NO_CLOCK),
    never("agent/src/registry/", &["aya::"], "knows no BPF: events arrive as model"),
    never("agent/src/kills/", OPENING, EVENT_PATH),
    never("agent/src/kills/", CLOCK, NO_CLOCK),
    never("agent/src/story/", OPENING, EVENT_PATH),
    never("agent/src/story/", CLOCK, NO_CLOCK),
    never("agent/src/story/", LOCK, "takes no lock: nobody else has its state"),
    never("agent/src/story/", THREAD, "starts no thread: facts in, deeds out"),
    never("agent/src/export/", LOCK, "takes no lock: an exporter is a function of a snapshot"),
    never("agent/src/export/", &["async"], "waits for nothing: an exporter is a function of a snapshot"),
    never("agent/src/export/", &["std::net"], "knows no sockets: those are in serve"),
];

/// All breaches in one file.
pub(super) fn check(file: &str, text: &str) -> Vec<Problem> {
    if !file.starts_with("agent/src/") || is_test_module(file) {
        return Vec::new();
    }
    let rows: Vec<&Never> = TABLE.iter().filter(|row| file.starts_with(row.place)).collect();
    let mut found = Vec::new();
    for line in product_lines(text) {
        if makes_error_early(&line.code) {
            let what = "`ok_or` makes the error where there is none too; wanted: `ok_or_else`";
            found.push(Problem::new(line.number, what.to_owned()));
        }
        for Never { place, calls, why } in &rows {
            let calls = calls.iter().filter(|call| has_word(&line.code, call));
            found.extend(calls.map(|call| Problem::new(line.number, format!("`{call}`: {place} {why}"))));
        }
    }
    found
}

/// Whether `ok_or` has a call of a function: one that formats a text costs more than what it is asked for. A variant of an enum
/// begins with a capital.
fn makes_error_early(code: &str) -> bool {
    code.split(".ok_or(").skip(1).any(|argument| {
        let name =
            argument.split(|c: char| !(c.is_alphanumeric() || "_:!.".contains(c))).next().unwrap_or_default();
        let last = name.rsplit(':').next().unwrap_or_default();
        last.starts_with(char::is_lowercase)
            && argument.get(name.len()..).is_some_and(|rest| rest.starts_with('('))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_refused_only_in_its_place() {
        for (file, text, breaches) in [
            ("agent/src/model/x.rs", "let t = SystemTime::now();", 1),
            ("agent/src/export/x.rs", "async fn f() {}\nstatic A: Mutex<u8>;", 2),
            ("agent/src/serve/x.rs", "async fn f() {}", 0),
            ("agent/src/story/x.rs", "let a = rustix::fs::openat(b);\nlet c = Instant::now();", 2),
            ("agent/src/kills/x.rs", "fn f(now: Instant) { File::create(p) }", 1),
            ("agent/src/kills/tests.rs", "fn f() { File::create(p) }", 0),
        ] {
            assert_eq!(check(file, text).len(), breaches, "{file}");
        }
    }

    #[test]
    fn an_error_is_made_where_there_is_one() {
        for (code, breaches) in [
            ("x.ok_or(error(bytes))?", 1),
            ("x.ok_or(format!(text))", 1),
            ("x.ok_or(Self::error(bytes))", 1),
            ("x.ok_or(Errno::NOENT)?", 0),
            ("x.ok_or(ParseError::Empty { wanted })", 0),
            ("x.ok_or(Error::Of(bytes))", 0),
            ("x.ok_or_else(|| error(bytes))", 0),
        ] {
            assert_eq!(check("agent/src/kernel/x.rs", code).len(), breaches, "{code}");
        }
    }

    #[test]
    fn a_breach_says_the_call_and_the_reason() {
        let found = check("agent/src/story/x.rs", "\nfs::read(p)");
        assert_eq!(found[0].line, 2);
        assert!(found[0].what.contains("fs::") && found[0].what.contains("event path"), "{found:?}");
    }
}
