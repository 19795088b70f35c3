//! `cargo xtask tidy`: the rules that no compiler knows.
//!
//! | module | rule |
//! |---|---|
//! | [`layers`] | which folder of `agent/src` may use which; a folder without a row is refused |
//! | [`never`] | what a folder never does: locks, clocks, files |
//! | [`event_path`] | which methods run on the thread of the event path, so that they open no file |
//! | [`locks`] | no lock is held across I/O |
//! | [`shape`] | module docs, length of files and functions |
//! | [`places`] | where `unsafe` and opening files may be |
//! | [`words`] | text that does not belong in the repository |
//! | [`changelog`] | headings in the form of Keep a Changelog |

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::exec;

mod changelog;
mod event_path;
mod layers;
mod locks;
mod never;
mod places;
mod shape;
mod words;

/// One broken rule: `file:line: what`.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    /// Counted from 1; 0 for the whole file.
    line: usize,
    what: String,
}

impl Problem {
    fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

/// Checks every file that git knows or would add.
///
/// # Errors
/// A rule is broken; each breach was printed.
pub(crate) fn run() -> Result<()> {
    let mut count = 0;
    let files = files()?;
    for file in &files {
        let Some(text) = read_text(file)? else { continue };
        for problem in check(file, &text) {
            eprintln!("{file}:{}: {}", problem.line, problem.what);
            count += 1;
        }
    }
    if count > 0 {
        bail!(
            "{count} breaches of the project's rules; ARCHITECTURE.md and CONTRIBUTING.md have their reasons"
        );
    }
    println!("{} files are tidy", files.len());
    Ok(())
}

fn files() -> Result<Vec<String>> {
    let mut git = std::process::Command::new("git");
    git.current_dir(exec::root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = exec::read(&mut git)?;
    let mut files: Vec<String> = listed.split('\0').filter(|f| !f.is_empty()).map(str::to_owned).collect();
    files.sort();
    files.dedup();
    Ok(files)
}

/// A file's text; `None` for one that is gone, is a link, or is not text.
fn read_text(file: &str) -> Result<Option<String>> {
    let path = exec::root().join(file);
    if !std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_file()) {
        return Ok(None);
    }
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    Ok(String::from_utf8(bytes).ok())
}

fn check(file: &str, text: &str) -> Vec<Problem> {
    let mut found = words::check(file, text);
    if Path::new(file).extension().is_some_and(|e| e == "rs") {
        found.extend(shape::check(file, text));
        found.extend(layers::check(file, text));
        found.extend(never::check(file, text));
        found.extend(event_path::check(file, text));
        found.extend(locks::check(file, text));
        found.extend(places::check(file, text));
    }
    if file == "CHANGELOG.md" {
        found.extend(changelog::check(text));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_reached_from_the_list_of_files() {
        let text = "fn f() {}\nuse crate::export::X;\nlet x = std::fs::read(p);\nunsafe { Instant::now() }\n";
        let found = check("agent/src/model/x.rs", text);
        for part in ["module doc", "may not use", "opens files", "SAFETY", "clock"] {
            assert!(found.iter().any(|p| p.what.contains(part)), "{part}: {found:?}");
        }
        assert!(check("README.md", "fn f() {}\n").is_empty());
        assert!(!check("CHANGELOG.md", "## 1\n").is_empty());
    }
}
