//! Looks at Rust source without parsing it: good enough for rules about words, on text that rustfmt wrote.

/// The lines that are code of the product, numbered from 1: no comments, no text in quotes, and nothing from
/// `#[cfg(test)]` on, which is the last thing in a file here.
pub(super) fn product_lines(text: &str) -> Vec<(usize, String)> {
    let numbered = text.lines().enumerate().map(|(i, l)| (i + 1, l));
    let product = numbered.take_while(|(_, l)| l.trim() != "#[cfg(test)]");
    product.map(|(i, l)| (i, bare(l))).filter(|(_, l)| !l.trim().is_empty()).collect()
}

/// Whether the file is a module of tests beside the code, `x/tests.rs` or `x/tests/y.rs`.
pub(super) fn is_test_module(file: &str) -> bool {
    let inside = file.split_once("/src/").map_or("", |(_, inside)| inside);
    inside.ends_with("/tests.rs") || inside == "tests.rs" || format!("/{inside}").contains("/tests/")
}

/// A line without its comment and without what stands between quotes.
fn bare(line: &str) -> String {
    let mut bare = String::new();
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => {
                chars.next();
            }
            '"' => quoted = !quoted,
            '/' if !quoted && chars.peek() == Some(&'/') => break,
            // A character literal may hold a quote.
            '\'' if !quoted && chars.peek() == Some(&'"') => {
                chars.next();
            }
            c if !quoted => bare.push(c),
            _ => {}
        }
    }
    bare
}

/// Where `word` stands as a whole word; `::` may follow or lead.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let ends_as_name = word.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|s| s.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|s| s.chars().next());
        let name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !(name(before) || ends_as_name && name(after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_quotes_and_tests_are_no_product() {
        let text = "a(\"b // c\", d); // e\n/// f\ng('\"', \"h\\\"i\") + j\n#[cfg(test)]\nmod tests {}\n";
        let lines: Vec<String> = product_lines(text).into_iter().map(|(_, l)| l).collect();
        assert_eq!(lines, ["a(, d); ", "g(', ) + j"]);
        assert_eq!(product_lines(text).last().unwrap().0, 3);
    }

    #[test]
    fn test_modules_are_told_from_the_package_of_tests() {
        for file in
            ["agent/src/a/tests.rs", "agent/src/a/tests/b.rs", "xtask/src/tests/b.rs", "a/src/tests.rs"]
        {
            assert!(is_test_module(file), "{file}");
        }
        for file in ["tests/src/cgroup.rs", "tests/tests/live/oom.rs", "agent/src/a/contests.rs"] {
            assert!(!is_test_module(file), "{file}");
        }
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("x fs::read", "fs::"));
        assert!(has_word("std::fs::read", "fs::"));
        assert!(!has_word("procfs::read", "fs::"));
        assert!(!has_word("forbid(unsafe_code)", "unsafe"));
        assert!(has_word("= unsafe {", "unsafe"));
    }
}
