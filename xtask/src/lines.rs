//! `cargo xtask lines [--base REV]`: how many lines of code the agent has, by folder.
//!
//! Counted are the lines of `agent/src` with code on them. Comments, doc comments, blank lines and tests are not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::exec;
use crate::source::{is_test_module, product_lines, test_modules};

const SOURCE: &str = "agent/src/";
const TOTAL: &str = "total";

/// Texts of files by their paths.
type Sources = BTreeMap<String, String>;
/// Lines by row of the table: `events` has all below it, `events/disk` those of one of its folders.
type Counts = BTreeMap<String, usize>;

/// Prints the lines of the working tree; with `base` those of that revision too, and the difference.
///
/// # Errors
/// git does not know the revision, or a file cannot be read.
pub(crate) fn run(base: Option<&str>) -> Result<()> {
    let now = count(&working_tree()?);
    match base {
        Some(revision) => print!("{}", compared(&count(&at_revision(revision)?), &now)),
        None => print!("{}", listed(&now)),
    }
    Ok(())
}

fn working_tree() -> Result<Sources> {
    let listed = git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", SOURCE])?;
    let mut sources = Sources::new();
    for file in rust_files(&listed) {
        let path = exec::root().join(file);
        // One that git knows may be gone.
        if path.exists() {
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            sources.insert(file.to_owned(), text);
        }
    }
    Ok(sources)
}

fn at_revision(revision: &str) -> Result<Sources> {
    let listed = git(&["ls-tree", "-r", "-z", "--name-only", revision, "--", SOURCE])?;
    let show = |file: &str| Ok((file.to_owned(), git(&["show", &format!("{revision}:{file}")])?));
    rust_files(&listed).map(show).collect()
}

fn rust_files(listed: &str) -> impl Iterator<Item = &str> {
    listed.split('\0').filter(|file| file.ends_with(".rs"))
}

fn git(arguments: &[&str]) -> Result<String> {
    exec::read(Command::new("git").current_dir(exec::root()).args(arguments))
}

fn count(sources: &Sources) -> Counts {
    let folders: BTreeSet<&Path> = sources.keys().filter_map(|file| Path::new(file).parent()).collect();
    let for_tests: BTreeSet<PathBuf> =
        sources.iter().flat_map(|(file, text)| declared_for_tests(file, text)).collect();
    let mut counts = Counts::new();
    for (file, text) in sources {
        let module = module_path(file);
        if is_test_module(file) || module.ancestors().any(|above| for_tests.contains(above)) {
            continue;
        }
        let lines = product_lines(text).len();
        *counts.entry(TOTAL.to_owned()).or_default() += lines;
        for folder in rows_of(&module, &folders) {
            *counts.entry(folder).or_default() += lines;
        }
    }
    counts
}

fn declared_for_tests(file: &str, text: &str) -> Vec<PathBuf> {
    test_modules(text).into_iter().map(|name| module_path(file).join(name)).collect()
}

/// Where the modules of a file are: `a/b` for `a/b.rs` and for `a/b/mod.rs`.
fn module_path(file: &str) -> PathBuf {
    let path = Path::new(file).with_extension("");
    let is_root = ["mod", "lib"].iter().any(|name| path.ends_with(name));
    if is_root { path.parent().map(Path::to_path_buf).unwrap_or_default() } else { path }
}

/// The rows that a module counts in: its first folder or file below the source, and the folder in that.
fn rows_of(module: &Path, folders: &BTreeSet<&Path>) -> Vec<String> {
    let below = module.strip_prefix(SOURCE).unwrap_or(module);
    let mut parts = below.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    // The root of the library is a file beside the folders.
    let first = parts.next().unwrap_or_else(|| "lib".to_owned());
    let second = parts.next().map(|part| format!("{first}/{part}"));
    let is_folder = |row: &String| folders.contains(Path::new(&format!("{SOURCE}{row}")));
    let second = second.filter(is_folder);
    std::iter::once(first).chain(second).collect()
}

fn listed(now: &Counts) -> String {
    let mut text = format!("{:<24}{:>8}\n", "folder", "lines");
    for row in rows(now) {
        let _ = writeln!(text, "{:<24}{:>8}", shown(row), lines(now, row));
    }
    text
}

fn compared(base: &Counts, now: &Counts) -> String {
    let mut text = format!("{:<24}{:>8}{:>8}{:>8}\n", "folder", "before", "after", "change");
    let all: Counts = base.iter().chain(now).map(|(row, &lines)| (row.clone(), lines)).collect();
    for row in rows(&all) {
        let (before, after) = (lines(base, row), lines(now, row));
        let change = after.cast_signed() - before.cast_signed();
        let _ = writeln!(text, "{:<24}{before:>8}{after:>8}{change:>+8}", shown(row));
    }
    text
}

/// In order, the total last.
fn rows(counts: &Counts) -> impl Iterator<Item = &str> {
    counts.keys().map(String::as_str).filter(|row| *row != TOTAL).chain([TOTAL])
}

/// A folder in a folder is set in: its lines are in the row above too.
fn shown(row: &str) -> String {
    row.split_once('/').map_or_else(|| row.to_owned(), |(_, inner)| format!("  {inner}"))
}

fn lines(counts: &Counts, row: &str) -> usize {
    counts.get(row).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(files: &[(&str, &str)]) -> Counts {
        count(&files.iter().map(|(file, text)| (format!("{SOURCE}{file}"), (*text).to_owned())).collect())
    }

    #[test]
    fn folders_have_what_is_in_their_folders() {
        let counts = counts(&[
            ("lib.rs", "mod a;\n"),
            ("a/mod.rs", "//! A.\nmod b;\n\nmod c;\n"),
            ("a/b.rs", "f();\n"),
            ("a/b/d.rs", "g();\nh();\n"),
            ("a/c.rs", "i();\n"),
        ]);
        let expected = [("a", 6), ("a/b", 3), ("lib", 1), (TOTAL, 7)];
        assert_eq!(counts, expected.map(|(row, lines)| (row.to_owned(), lines)).into());
    }

    #[test]
    fn tests_are_not_counted() {
        let counts = counts(&[
            ("a/mod.rs", "#[cfg(test)]\nmod fixtures;\nmod b;\n#[cfg(test)]\nmod tests {\n    f();\n}\n"),
            ("a/fixtures/x.rs", "f();\n"),
            ("a/b.rs", "f();\n#[cfg(test)]\nmod samples;\n"),
            ("a/b/samples.rs", "f();\n"),
            ("a/b/tests.rs", "f();\n"),
        ]);
        assert_eq!(lines(&counts, TOTAL), 2);
    }

    #[test]
    fn a_comparison_has_folders_that_came_and_went() {
        let text = compared(&counts(&[("a/x.rs", "f();\n")]), &counts(&[("b/x.rs", "f();\ng();\n")]));
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1..], [["a", "1", "0", "-1"], ["b", "0", "2", "+2"], ["total", "1", "2", "+1"]]);
    }
}
