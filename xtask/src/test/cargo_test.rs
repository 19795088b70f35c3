//! `cargo test` with its output shown as it comes and counted.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result};
use cgtap_tests::counts::Counts;
use cgtap_tests::host::{CADVISOR, CADVISOR_WHY, SKIP_LOG};

use super::tally::Tally;
use crate::{debian, exec};

/// Builds all, then runs every test of the workspace.
pub(super) fn run(tally: &mut Tally) {
    tally.step("build", || {
        exec::run(exec::cargo().args(["build", "--quiet", "--workspace", "--bins", "--locked"]))
    });
    println!("\n== tests");
    match tests() {
        Ok((counts, good, mut skips)) => {
            let passed = counts.passed + u64::try_from(counts.ignored.len()).unwrap_or(0);
            let unnamed = counts.failed.saturating_sub(u64::try_from(counts.names.len()).unwrap_or(0));
            let silent = !good && counts.failed == 0;
            skips.extend(counts.ignored);
            tally.add(passed, counts.names, unnamed, skips);
            if silent {
                tally.step("tests", || anyhow::bail!("cargo test failed without a failed test: see above"));
            }
        }
        Err(error) => tally.step("tests", || Err(error)),
    }
}

fn tests() -> Result<(Counts, bool, Vec<String>)> {
    let log = exec::cache()?.join(format!("skips-{}", std::process::id()));
    let mut command = exec::cargo();
    command.args(["test", "--workspace", "--no-fail-fast", "--locked"]);
    command.env(SKIP_LOG, &log).env("RUST_BACKTRACE", "0").stdout(Stdio::piped());
    match debian::cadvisor() {
        Ok(path) => command.env(CADVISOR, path),
        // The test that compares with it says that it was not there.
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
    Ok((counts, good, skips))
}
