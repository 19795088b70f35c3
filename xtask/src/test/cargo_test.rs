//! `cargo test`, one program after the other, with its output shown as it comes and counted.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result};
use cgtap_tests::agent;
use cgtap_tests::counts::Counts;
use cgtap_tests::host::{CADVISOR, CADVISOR_WHY, SKIP_LOG};

use super::tally::Tally;
use crate::{debian, exec};

/// Builds the agent and all tests at once.
pub(super) fn build(tally: &mut Tally) {
    tally.step("build", || {
        exec::run(exec::cargo().args(["build", "--quiet", "--workspace", "--all-targets", "--locked"]))
    });
}

/// Runs every test of the workspace.
pub(super) fn run(tally: &mut Tally) {
    let cadvisor = tally.timed("cAdvisor", |_| debian::cadvisor());
    let programs = match programs() {
        Ok(programs) => programs,
        Err(error) => return tally.step("tests", || Err(error)),
    };
    for (name, selection) in programs {
        println!("\n== {name}");
        let ran = tally.timed(&name, |_| tests(&selection, &cadvisor));
        match ran {
            Ok(ran) => add(tally, &name, &selection, ran),
            Err(error) => tally.step(&name, || Err(error)),
        }
    }
}

/// Names, and what cargo calls them: the tests beside the code, then each program of the package of tests.
fn programs() -> Result<Vec<(String, Vec<String>)>> {
    let mut programs = vec![("unit tests".to_owned(), vec!["--lib".to_owned(), "--bins".to_owned()])];
    let folder = exec::root().join("tests/tests");
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let folders = entries.flatten().filter(|entry| entry.path().join("main.rs").exists());
    let mut names: Vec<String> =
        folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    programs
        .extend(names.into_iter().map(|name| (format!("tests: {name}"), vec!["--test".to_owned(), name])));
    programs.push(("tests in the documentation".to_owned(), vec!["--doc".to_owned()]));
    Ok(programs)
}

/// What a program of tests did.
struct Ran {
    counts: Counts,
    good: bool,
    skips: Vec<String>,
}

fn add(tally: &mut Tally, name: &str, selection: &[String], ran: Ran) {
    let Ran { counts, good, mut skips } = ran;
    let repeat = format!("cargo test --workspace {}", selection.join(" "));
    let passed = counts.passed + u64::try_from(counts.ignored.len()).unwrap_or(0);
    let unnamed = counts.failed.saturating_sub(u64::try_from(counts.names.len()).unwrap_or(0));
    skips.extend(counts.ignored);
    tally.add(passed, unnamed, skips);
    for test in &counts.names {
        tally.fail(test, &format!("{repeat} -- --exact {test}"));
    }
    if !good && counts.failed == 0 {
        tally.fail(&format!("{name}: ended badly without a failed test, see above"), &repeat);
    }
}

fn tests(selection: &[String], cadvisor: &Result<PathBuf>) -> Result<Ran> {
    let log = exec::cache()?.join(format!("skips-{}", std::process::id()));
    let mut command = exec::cargo();
    // The whole workspace, also for one program: with other features cargo would build the crates below anew.
    command.args(["test", "--workspace", "--no-fail-fast", "--locked"]).args(selection);
    command.env(SKIP_LOG, &log).env("RUST_BACKTRACE", "0").stdout(Stdio::piped());
    // Tests that build it themselves would build the package alone, with other features of the crates below.
    command.env(agent::BINARY, exec::target().join("debug/cgtap"));
    match cadvisor {
        Ok(path) => command.env(CADVISOR, path),
        // The test that compares with it prints the reason and skips itself.
        Err(why) => command.env(CADVISOR, "").env(CADVISOR_WHY, format!("{why:#}").replace('\n', " ")),
    };
    let mut child = command.spawn().with_context(|| format!("cannot start `{}`", exec::typed(&command)))?;
    let mut counts = Counts::default();
    for line in BufReader::new(child.stdout.take().context("no pipe")?).lines() {
        let line = line?;
        println!("{line}");
        counts.line(&line);
    }
    let good = child.wait()?.success();
    // No file: nothing was skipped.
    let skips = std::fs::read_to_string(&log).unwrap_or_default().lines().map(str::to_owned).collect();
    let _ = std::fs::remove_file(&log);
    Ok(Ran { counts, good, skips })
}
