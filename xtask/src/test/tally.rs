//! Counts what passed, failed and was skipped.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Steps that are faster are not in the report.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

/// The outcome so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: u64,
    failures: Vec<String>,
    more_failed: u64,
    skips: Vec<String>,
    times: Vec<(String, Duration)>,
}

impl Tally {
    /// Runs a step, which counts as one test.
    pub(crate) fn step(&mut self, name: &str, step: impl FnOnce() -> Result<()>) {
        println!("\n== {name}");
        match self.timed(name, |_| step()) {
            Ok(()) => {
                self.passed += 1;
                println!("passed: {name}");
            }
            Err(error) => {
                println!("FAILED: {name}: {error:#}");
                self.failures.push(format!("{name}: {error:#}"));
            }
        }
    }

    /// Runs something whose time the report shall have.
    pub(crate) fn timed<T>(&mut self, name: &str, run: impl FnOnce(&mut Self) -> T) -> T {
        let begun = Instant::now();
        let result = run(self);
        self.took(name, begun.elapsed());
        result
    }

    /// The time of something that was measured elsewhere.
    pub(crate) fn took(&mut self, name: &str, time: Duration) {
        self.times.push((name.to_owned(), time));
    }

    /// A step that cannot run here.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        println!("\n== {name}\nskipped: {name}: {why}");
        self.skips.push(format!("skipped: {name}: {why}"));
    }

    /// What failed, with the command that repeats it.
    pub(crate) fn fail(&mut self, what: &str, repeat: &str) {
        self.failures.push(format!("{what}\n        {repeat}"));
    }

    /// Tests of a test runner, and the notes `skipped: NAME: why` of those among its passed ones that did not run.
    ///
    /// Failed tests whose names are known come one by one by [`Self::fail`].
    pub(crate) fn add(&mut self, passed: u64, unnamed_failed: u64, skips: Vec<String>) {
        self.passed += passed.saturating_sub(u64::try_from(skips.len()).unwrap_or(u64::MAX));
        self.more_failed += unnamed_failed;
        self.skips.extend(skips);
    }

    /// How many failed.
    pub(crate) fn failed(&self) -> u64 {
        u64::try_from(self.failures.len()).unwrap_or(u64::MAX).saturating_add(self.more_failed)
    }

    /// Whether nothing passed, failed or was skipped.
    pub(crate) fn is_empty(&self) -> bool {
        self.passed == 0 && self.failed() == 0 && self.skips.is_empty()
    }

    /// The time of each step, what was skipped and what failed, and the counts alone on the last line.
    pub(crate) fn report(&self) -> String {
        let mut text = String::new();
        for (name, time) in self.times.iter().filter(|(_, time)| *time >= WORTH_A_LINE) {
            let _ = writeln!(text, "{:>6} s  {name}", time.as_secs());
        }
        for skip in folded(&self.skips) {
            let _ = writeln!(text, "{skip}");
        }
        for failure in &self.failures {
            let _ = writeln!(text, "FAILED: {failure}");
        }
        let _ =
            write!(text, "{} passed, {} failed, {} skipped", self.passed, self.failed(), self.skips.len());
        text
    }
}

/// Notes `skipped: [WHERE: ]MODULE::TEST: why`; those of one module with one reason become one, with their number.
fn folded(skips: &[String]) -> Vec<String> {
    let mut groups: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for skip in skips {
        let (module, why) = split_note(skip).unwrap_or((skip, ""));
        match groups.iter_mut().find(|(m, w, _)| (*m, *w) == (module, why)) {
            Some((_, _, notes)) => notes.push(skip),
            None => groups.push((module, why, vec![skip])),
        }
    }
    let line = |(module, why, notes): (&str, &str, Vec<&str>)| match notes.as_slice() {
        [one] => (*one).to_owned(),
        many => format!("{module}:: ({} tests): {why}", many.len()),
    };
    groups.into_iter().map(line).collect()
}

/// The part before the test's own name, and the part after it.
fn split_note(note: &str) -> Option<(&str, &str)> {
    let (_, tail) = note.split_once("::")?;
    let (path, why) = tail.split_once(": ")?;
    let name = path.rsplit("::").next()?;
    let module = note.strip_suffix(why)?.strip_suffix(": ")?.strip_suffix(name)?.strip_suffix("::")?;
    Some((module, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_counts_alone() {
        let mut tally = Tally::default();
        tally.step("good", || Ok(()));
        tally.step("bad", || anyhow::bail!("no"));
        tally.skip("far", "needs a moon");
        tally.fail("x::y", "cargo test x::y");
        tally.add(10, 2, vec!["skipped: a: b".to_owned()]);
        let report = tally.report();
        assert_eq!(report.lines().last(), Some("10 passed, 4 failed, 2 skipped"));
        assert!(
            report.contains("FAILED: bad: no") && report.contains("skipped: far: needs a moon"),
            "{report}"
        );
    }

    #[test]
    fn a_failure_is_said_with_the_command_that_repeats_it() {
        let mut tally = Tally::default();
        tally.fail("x::y", "cargo test --workspace --test live -- --exact x::y");
        let report = tally.report();
        let lines: Vec<&str> = report.lines().map(str::trim).collect();
        assert_eq!(lines[..2], ["FAILED: x::y", "cargo test --workspace --test live -- --exact x::y"]);
    }

    #[test]
    fn a_slow_step_is_in_the_report_with_its_time() {
        let mut tally = Tally::default();
        tally.times.push(("quick".to_owned(), Duration::from_millis(20)));
        tally.times.push(("slow".to_owned(), Duration::from_millis(2_900)));
        assert_eq!(tally.report().lines().next(), Some("     2 s  slow"));
    }

    #[test]
    fn a_skipped_test_is_not_a_passed_one() {
        let mut tally = Tally::default();
        tally.add(0, 0, vec![]);
        assert!(tally.is_empty());
        tally.add(1, 0, vec!["skipped: a: b".to_owned()]);
        assert_eq!(tally.report().lines().last(), Some("0 passed, 0 failed, 1 skipped"));
        assert!(!tally.is_empty());
    }

    #[test]
    fn one_reason_of_many_tests_is_one_line() {
        let notes =
            ["skipped: 6.1-v1: a::b::c: no: x", "skipped: 6.1-v1: a::b::d: no: x", "skipped: far: no moon"];
        let notes = notes.map(str::to_owned);
        assert_eq!(folded(&notes), ["skipped: 6.1-v1: a::b:: (2 tests): no: x", "skipped: far: no moon"]);
        assert_eq!(folded(&notes[1..2]), ["skipped: 6.1-v1: a::b::d: no: x"]);
        let mut tally = Tally::default();
        tally.add(2, 0, notes[..2].to_vec());
        assert_eq!(tally.report().lines().last(), Some("0 passed, 0 failed, 2 skipped"));
    }
}
