//! Text that does not belong in the repository.

use super::Problem;

/// Spelled in halves, or this file would be its own first breach.
const FORBIDDEN: [(&str, &str); 3] = [
    (concat!("TO", "DO"), "unfinished work is an issue, not a comment"),
    (concat!("FIX", "ME"), "unfinished work is an issue, not a comment"),
    (concat!("/ho", "me/"), "a path of one machine"),
];

/// All breaches in one file. Cargo writes its lock files by itself.
pub(super) fn check(file: &str, text: &str) -> Vec<Problem> {
    if file.ends_with("Cargo.lock") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for (word, why) in FORBIDDEN.iter().filter(|(word, _)| line.contains(word)) {
            found.push(Problem::new(at + 1, format!("{word:?}: {why}")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_seen_with_its_line() {
        for (word, _) in FORBIDDEN {
            let found = check("docs/x.md", &format!("fine\nsome {word} here\n"));
            assert_eq!(found.first().map(|p| p.line), Some(2), "{word}");
            assert!(check("ebpf/Cargo.lock", word).is_empty());
        }
        assert!(check("docs/x.md", "nothing of the kind\n").is_empty());
    }
}
