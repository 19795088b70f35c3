//! The changelog's headings: Keep a Changelog 1.1.

use super::Problem;

const KINDS: [&str; 6] = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

/// All breaches: one title, `[Unreleased]` first, then versions with their dates, and the known kinds of change.
pub(super) fn check(text: &str) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut versions = 0;
    if !text.starts_with("# Changelog\n") {
        found.push(Problem::new(1, "begins with `# Changelog`"));
    }
    for (at, line) in text.lines().enumerate() {
        let breach = if let Some(kind) = line.strip_prefix("### ") {
            (!KINDS.contains(&kind)).then(|| format!("{kind:?} is none of {}", KINDS.join(", ")))
        } else if let Some(version) = line.strip_prefix("## ") {
            versions += 1;
            (!good_version(version, versions == 1))
                .then(|| format!("{version:?}: wanted [Unreleased] first, then [1.2.3] - 2026-01-31"))
        } else {
            None
        };
        found.extend(breach.map(|what| Problem::new(at + 1, what)));
    }
    if versions == 0 {
        found.push(Problem::new(0, "has no `## [Unreleased]`"));
    }
    found
}

fn good_version(heading: &str, first: bool) -> bool {
    if first || heading == "[Unreleased]" {
        return first && heading == "[Unreleased]";
    }
    let Some((version, date)) = heading.split_once(" - ") else { return false };
    let numbers = version.strip_prefix('[').and_then(|v| v.strip_suffix(']')).unwrap_or_default();
    are_numbers(numbers, '.', &[]) && are_numbers(date, '-', &[4, 2, 2])
}

/// Three numbers with `between` between them, of these lengths where lengths are given.
fn are_numbers(text: &str, between: char, lengths: &[usize]) -> bool {
    let parts: Vec<&str> = text.split(between).collect();
    let digits = |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
    let fit = lengths.is_empty() || parts.iter().map(|p| p.len()).eq(lengths.iter().copied());
    parts.len() == 3 && parts.iter().all(digits) && fit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_changelog_passes() {
        let text = "# Changelog\n\n## [Unreleased]\n### Added\n- x\n## [0.1.0] - 2026-01-31\n### Fixed\n";
        assert_eq!(check(text), []);
    }

    #[test]
    fn each_other_form_is_refused() {
        for (text, line) in [
            ("# Changes\n## [Unreleased]\n", 1),
            ("# Changelog\n", 0),
            ("# Changelog\n## [0.1.0] - 2026-01-31\n", 2),
            ("# Changelog\n## [Unreleased]\n## 0.1.0 - 2026-01-31\n", 3),
            ("# Changelog\n## [Unreleased]\n## [0.1.0] - 31.1.2026\n", 3),
            ("# Changelog\n## [Unreleased]\n### New\n", 3),
        ] {
            assert_eq!(check(text).first().map(|p| p.line), Some(line), "{text}");
        }
    }
}
