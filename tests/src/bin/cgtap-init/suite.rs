//! Runs the live tests, shows their output as it comes, and counts the results.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use cgtap_tests::counts::Counts;
use cgtap_tests::facts::FACTS;
use cgtap_tests::host::{SKIP_LOG, VIRTUAL};
use cgtap_tests::{agent, load};

const TESTS: &str = "/bin/live";
/// Tests that depend on the kernel, by parts of their names: events, kills, pinned programs, rungs and counters.
const OF_KERNEL: &[&str] = &[
    "containers::",
    "crash::",
    "degrade::",
    "event_path::",
    // The rest needs a disk, or a root that can be pivoted.
    "filesystem::a_mount",
    "finals::",
    "lifecycle::",
    "lifecycle_matrix::",
    "oom::",
    "oom_matrix::",
    "parity::",
    "perf::page_faults",
    "pinned::",
    "tasks::",
    "tree::",
];
/// Tests that end alike on each kernel and run on the host in each run. A module that is in neither list needs files of the
/// repository, programs that are not here, or a processor that is not emulated.
const OF_ANY: &[&str] = &["names::"];
const FACTS_FILE: &str = "/tmp/facts";
const SKIPS: &str = "/tmp/skips";

/// Which tests run here.
#[derive(Clone, Copy)]
pub(crate) enum Tests<'a> {
    /// Those that can.
    All,
    /// Those that depend on the kernel.
    OfKernel,
    /// Those with this in their names.
    Named(&'a str),
}

impl<'a> Tests<'a> {
    /// Parts of their names.
    fn names(self) -> Vec<&'a str> {
        match self {
            Self::All => [OF_KERNEL, OF_ANY].concat(),
            Self::OfKernel => OF_KERNEL.to_vec(),
            Self::Named(part) => vec![part],
        }
    }
}

/// Runs them and prints the closing line.
///
/// # Errors
/// They cannot be started, or their output not be read.
pub(crate) fn run(tests: Tests) -> Result<()> {
    let mut command = Command::new(TESTS);
    // One after the other: only one agent at a time uses the kernel, and the console stays readable.
    command.arg("--test-threads=1").args(tests.names()).stdin(Stdio::null()).stdout(Stdio::piped());
    command.env("PATH", "/bin").env("RUST_BACKTRACE", "0").env(SKIP_LOG, SKIPS).env(VIRTUAL, "1");
    command.env(FACTS, FACTS_FILE);
    command.env(agent::BINARY, "/bin/cgtap").env(load::BINARY, "/bin/cgtap-load");
    let mut child = command.spawn().context(TESTS)?;
    let mut counts = Counts::default();
    show_and_count(child.stdout.take().context("no pipe")?, std::io::stdout(), &mut counts)?;
    let status = child.wait()?;
    // No file: nothing was skipped.
    let skips = std::fs::read_to_string(SKIPS).unwrap_or_default();
    let facts = std::fs::read_to_string(FACTS_FILE).unwrap_or_default();
    for note in skips.lines().chain(facts.lines()).chain(counts.ignored.iter().map(String::as_str)) {
        println!("cgtap-init: {note}");
    }
    for name in &counts.names {
        println!("cgtap-init: FAILED: {name}");
    }
    if !counts.complete {
        println!("cgtap-init: FAILED: the tests ended early: {status}");
    }
    println!("cgtap-init: {}", closing(&counts, skips.lines().count()));
    Ok(())
}

/// Copies bytes instead of lines, so that the console shows the name of the running test.
fn show_and_count(mut from: impl Read, mut console: impl Write, counts: &mut Counts) -> Result<()> {
    let (mut buffer, mut line) = ([0u8; 4096], Vec::new());
    loop {
        let length = from.read(&mut buffer)?;
        let read = buffer.get(..length).unwrap_or_default();
        if read.is_empty() {
            return Ok(());
        }
        console.write_all(read)?;
        console.flush()?;
        for &byte in read {
            if byte == b'\n' {
                counts.line(&String::from_utf8_lossy(&line));
                line.clear();
            } else {
                line.push(byte);
            }
        }
    }
}

/// For the runner a test that skipped itself passed. Tests that ended early count as one failure.
fn closing(counts: &Counts, skipped: usize) -> String {
    let skipped_too = u64::try_from(skipped).unwrap_or(u64::MAX);
    let passed = counts.passed.saturating_sub(skipped_too);
    let failed = counts.failed + u64::from(!counts.complete);
    format!("{passed} passed, {failed} failed, {} skipped", skipped + counts.ignored.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_test_is_not_a_passed_one() {
        let mut counts = Counts::default();
        let text = "test a ... ok\ntest b ... FAILED\ntest result: FAILED. 3 passed; 1 failed; 0 ignored\n";
        let mut shown = Vec::new();
        show_and_count(text.as_bytes(), &mut shown, &mut counts).unwrap();
        assert_eq!(shown, text.as_bytes());
        assert_eq!(closing(&counts, 1), "2 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn tests_that_end_early_are_a_failure() {
        let mut counts = Counts::default();
        show_and_count(&b"test a ... ok\ntest b ... "[..], std::io::sink(), &mut counts).unwrap();
        assert_eq!(closing(&counts, 0), "0 passed, 1 failed, 0 skipped");
    }
}
