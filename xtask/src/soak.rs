//! `cargo xtask soak`: the tests of the stream of events, for as long as it takes to believe them.
//!
//! `cargo xtask test` runs the same tests with few rounds. Each prints its figures on a line of its own.

use anyhow::Result;
use cgtap_tests::soak::SOAK;

use crate::exec;

/// What has a long form: a test program, and which of its tests.
const LONG: [(&str, &str); 2] = [("events", ""), ("live", "pinned")];

/// Runs them one after the other, because each would change the figures of the others. `only` is a
/// part of the names of the tests to run.
///
/// # Errors
/// A test failed.
pub(crate) fn run(only: Option<&str>) -> Result<()> {
    for (program, tests) in LONG {
        let mut command = exec::cargo();
        command.args(["test", "--release", "--locked", "--package", "cgtap-tests", "--test", program, "--"]);
        command.args(["--nocapture", "--test-threads=1"]).args([only.unwrap_or(tests)]);
        exec::run(command.env(SOAK, "1"))?;
    }
    Ok(())
}
