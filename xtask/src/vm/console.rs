//! Reads the console of a machine.

/// The parts of a console that the report needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Console {
    /// The kernel's release and the layout of cgroups.
    pub(super) kernel: Option<String>,
    /// How many tests passed and failed, from the last line.
    pub(super) counts: Option<(u64, u64)>,
    /// `NAME: why` of each skipped test.
    pub(super) skips: Vec<String>,
    /// The names of the failed tests.
    pub(super) failed: Vec<String>,
    /// `KIND RUNG FIELDS` of each thing that a test learned of the kernel.
    pub(super) facts: Vec<String>,
    /// What the failed tests printed.
    pub(super) failures: String,
    /// What the init could not do.
    pub(super) error: Option<String>,
    /// Whether the kernel panicked.
    pub(super) panicked: bool,
    /// The last lines.
    pub(super) tail: String,
}

/// How lines of the init itself begin.
const INIT: &str = "cgtap-init: ";
const TAIL_LINES: usize = 30;

impl Console {
    /// Reads all that a machine wrote.
    pub(super) fn read(text: &str) -> Self {
        let text = text.replace('\r', "");
        let mut console = Self { failures: failures(&text), tail: tail(&text), ..Self::default() };
        for line in text.lines() {
            console.panicked |= line.contains("Kernel panic");
            // The firmware may leave an escape sequence before the first of them.
            if let Some((_, said)) = line.split_once(INIT) {
                console.init(said);
            }
        }
        console
    }

    fn init(&mut self, said: &str) {
        if let Some(kernel) = said.strip_prefix("kernel ") {
            self.kernel = Some(kernel.to_owned());
        } else if let Some(note) = said.strip_prefix("skipped: ") {
            self.skips.push(note.to_owned());
        } else if let Some(name) = said.strip_prefix("FAILED: ") {
            self.failed.push(name.to_owned());
        } else if let Some(fact) = said.strip_prefix("fact: ") {
            self.facts.push(fact.to_owned());
        } else if let Some(error) = said.strip_prefix("error: ") {
            self.error = Some(error.to_owned());
        } else if let Some(counts) = counts(said) {
            self.counts = Some(counts);
        }
    }
}

/// `N passed, N failed, N skipped`.
fn counts(said: &str) -> Option<(u64, u64)> {
    let (passed, rest) = said.split_once(" passed, ")?;
    let (failed, rest) = rest.split_once(" failed, ")?;
    rest.strip_suffix(" skipped")?.parse::<u64>().ok()?;
    Some((passed.parse().ok()?, failed.parse().ok()?))
}

/// The test runner prints the output of failed tests between two lines `failures:`; the second lists their names.
fn failures(text: &str) -> String {
    let Some((_, rest)) = text.split_once("\nfailures:\n") else { return String::new() };
    rest.split_once("\nfailures:\n").map_or(rest, |(outputs, _)| outputs).to_owned()
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\x1bccgtap-init: kernel 6.1.0-1-cloud-amd64, cgroups v1\r\n\
        \r\nrunning 3 tests\r\ntest a::b ... ok\r\ntest a::c ... FAILED\r\n\r\nfailures:\r\n\r\n---- a::c stdout ----\r\n\
        why\r\n\r\n\r\nfailures:\r\n    a::c\r\n\r\ntest result: FAILED. 2 passed; 1 failed; 0 ignored\r\n\
        cgtap-init: skipped: a::d: needs ip\r\ncgtap-init: fact: oom_kill kmsg victim.pid\r\ncgtap-init: FAILED: a::c\r\n\
        cgtap-init: 1 passed, 1 failed, 1 skipped\r\n";

    #[test]
    fn a_whole_run_is_read() {
        let console = Console::read(TEXT);
        assert_eq!(console.kernel.as_deref(), Some("6.1.0-1-cloud-amd64, cgroups v1"));
        assert_eq!(console.counts, Some((1, 1)));
        assert_eq!(console.skips, ["a::d: needs ip"]);
        assert_eq!(console.facts, ["oom_kill kmsg victim.pid"]);
        assert_eq!(console.failed, ["a::c"]);
        assert_eq!(console.failures, "\n---- a::c stdout ----\nwhy\n\n");
        assert!(console.error.is_none() && !console.panicked);
        assert!(console.tail.ends_with("1 skipped"), "{}", console.tail);
    }

    #[test]
    fn what_is_no_count_counts_nothing() {
        for text in
            ["", "cgtap-init: x passed, 1 failed, 1 skipped", "cgtap-init: 1 passed, 1 failed, 1", "1 passed"]
        {
            assert_eq!(Console::read(text).counts, None, "{text}");
        }
        assert!(Console::read("[ 1.0] Kernel panic - not syncing").panicked);
        assert_eq!(Console::read("cgtap-init: error: no").error.as_deref(), Some("no"));
    }
}
