//! Counts tests by the lines of Rust's test runner.

/// Counts of the test runner's lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that passed, including those that skipped themselves.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Whether there was a line with the result. Without it the tests did not run to their end.
    pub complete: bool,
    /// The names of the failed ones.
    pub names: Vec<String>,
    /// A note `skipped: NAME: why` for each test that is not part of every run.
    pub ignored: Vec<String>,
}

impl Counts {
    /// `test NAME ... FAILED`, `test NAME ... ignored, why`, or `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    /// Other lines are ignored.
    pub fn line(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += count(result, "passed");
            self.failed += count(result, "failed");
            self.complete = true;
            return;
        }
        match line.strip_prefix("test ").and_then(|l| l.split_once(" ... ")) {
            Some((name, "FAILED")) => self.names.push(name.to_owned()),
            Some((name, outcome)) if outcome.starts_with("ignored") => {
                let why = outcome.trim_start_matches("ignored").trim_start_matches(", ");
                self.ignored.push(format!("skipped: {name}: not part of every run: {why}"));
            }
            _ => {}
        }
    }
}

fn count(result: &str, what: &str) -> u64 {
    let mut words = result.split([' ', ';', '.']).filter(|w| !w.is_empty());
    let mut last = "";
    words
        .find_map(|word| {
            let number = if word == what { last.parse().ok() } else { None };
            last = word;
            number
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runners_lines_are_counted() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test a::d ... ignored, a measurement",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.02s",
            "test result: ok. 10 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.02s",
        ] {
            counts.line(line);
        }
        assert_eq!((counts.passed, counts.failed, counts.complete), (12, 1, true));
        assert_eq!(counts.names, ["a::c"]);
        assert_eq!(counts.ignored, ["skipped: a::d: not part of every run: a measurement"]);
    }

    #[test]
    fn a_line_without_counts_counts_nothing() {
        let mut counts = Counts::default();
        counts.line("test result: passed");
        assert_eq!(counts, Counts { complete: true, ..Counts::default() });
        let mut counts = Counts::default();
        counts.line("test a::b has been running for over 60 seconds");
        assert_eq!(counts, Counts::default());
    }
}
