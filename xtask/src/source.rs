//! Reads Rust source without parsing it: which lines are code of the product. Good enough for rules about words and
//! for counting lines, on text that rustfmt wrote.

/// One line of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: usize,
    /// The code on it, without comments and without what stands between quotes.
    pub(crate) code: String,
    /// Whether the line has anything beside comments; the inside of a text over several lines counts.
    pub(crate) is_code: bool,
}

/// The lines of code of the product: no comments, no blank lines, and no item under `#[cfg(test)]`.
pub(crate) fn product_lines(text: &str) -> Vec<Line> {
    let mut lines = lines_of(text).into_iter();
    let mut product = Vec::new();
    while let Some(line) = lines.next() {
        if line.code.trim() == "#[cfg(test)]" {
            skip_item(&mut lines);
        } else if line.is_code {
            product.push(line);
        }
    }
    product
}

/// The modules that a file declares for tests alone: `#[cfg(test)] mod NAME;`.
pub(crate) fn test_modules(text: &str) -> Vec<String> {
    let lines = lines_of(text);
    let declared =
        lines.iter().zip(lines.iter().skip(1)).filter(|(first, _)| first.code.trim() == "#[cfg(test)]");
    let names = declared.filter_map(|(_, second)| {
        let (_, name) = second.code.trim().strip_suffix(';')?.split_once("mod ")?;
        Some(name.to_owned())
    });
    names.collect()
}

/// Whether the file is a module of tests beside the code, `x/tests.rs` or `x/tests/y.rs`.
pub(crate) fn is_test_module(file: &str) -> bool {
    let inside = file.split_once("/src/").map_or("", |(_, inside)| inside);
    inside.ends_with("/tests.rs") || inside == "tests.rs" || format!("/{inside}").contains("/tests/")
}

/// Where `word` stands as a whole word; `::` may follow or lead.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let ends_as_name = word.ends_with(is_name);
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|s| s.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|s| s.chars().next());
        !(before.is_some_and(is_name) || ends_as_name && after.is_some_and(is_name))
    })
}

/// Whether the line has this call: of a function as a whole word and not as a method, of a method with its point.
pub(crate) fn has_call(line: &str, call: &str) -> bool {
    if call.starts_with('.') {
        let after = |at: usize| line.get(at + call.len()..).and_then(|rest| rest.chars().next());
        return line
            .match_indices(call)
            .any(|(at, _)| call.ends_with('(') || !after(at).is_some_and(is_name));
    }
    has_word(&line.replace(&format!(".{call}"), ""), call)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Skips the item below an attribute: up to its `;` or `,`, or to the end of its block.
fn skip_item(lines: &mut impl Iterator<Item = Line>) {
    let mut open = 0usize;
    for line in lines {
        let code = line.code.trim();
        for c in code.chars() {
            match c {
                '{' | '(' | '[' => open += 1,
                '}' | ')' | ']' => open = open.saturating_sub(1),
                _ => {}
            }
        }
        if open == 0 && code.ends_with([';', '}', ',']) {
            return;
        }
    }
}

/// What the reader is in the middle of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    LineComment,
    /// How many are open: block comments nest.
    BlockComment(usize),
    Quotes,
    /// How many `#` close it.
    RawQuotes(usize),
}

fn lines_of(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut inside = Inside::Code;
    for (at, text) in text.lines().enumerate() {
        let mut line = Line { number: at + 1, code: String::new(), is_code: false };
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let (length, next) = step(inside, rest, c, &mut line);
            inside = next;
            rest = rest.get(length..).unwrap_or_default();
        }
        if inside == Inside::LineComment {
            inside = Inside::Code;
        }
        lines.push(line);
    }
    lines
}

/// Takes the first character or mark of `rest`: its length in bytes, and what the reader is inside of then.
fn step(inside: Inside, rest: &str, c: char, line: &mut Line) -> (usize, Inside) {
    let in_text = matches!(inside, Inside::Code | Inside::Quotes | Inside::RawQuotes(_));
    match inside {
        Inside::Code if rest.starts_with("//") => return (2, Inside::LineComment),
        Inside::Code if rest.starts_with("/*") => return (2, Inside::BlockComment(1)),
        _ => line.is_code |= in_text && !c.is_whitespace(),
    }
    match inside {
        Inside::Code if c == '"' => (1, raw_hashes(&line.code).map_or(Inside::Quotes, Inside::RawQuotes)),
        Inside::Code if c == '\'' => (character_literal(rest), Inside::Code),
        Inside::Code => {
            line.code.push(c);
            (c.len_utf8(), Inside::Code)
        }
        Inside::BlockComment(open) if rest.starts_with("/*") => (2, Inside::BlockComment(open + 1)),
        Inside::BlockComment(1) if rest.starts_with("*/") => (2, Inside::Code),
        Inside::BlockComment(open) if rest.starts_with("*/") => (2, Inside::BlockComment(open - 1)),
        Inside::Quotes if c == '\\' => (1 + rest.chars().nth(1).map_or(0, char::len_utf8), inside),
        Inside::Quotes if c == '"' => (1, Inside::Code),
        Inside::RawQuotes(hashes) if c == '"' && closes(rest, hashes) => (1 + hashes, Inside::Code),
        _ => (c.len_utf8(), inside),
    }
}

/// The number of `#` when the code before a quote ends in `r`, `br` or `cr` and hashes.
fn raw_hashes(before: &str) -> Option<usize> {
    let word = before.trim_end_matches('#');
    let name = word.rsplit(|c| !is_name(c)).next()?;
    ["r", "br", "cr"].contains(&name).then(|| before.len() - word.len())
}

fn closes(rest: &str, hashes: usize) -> bool {
    rest.chars().skip(1).take_while(|c| *c == '#').count() >= hashes
}

/// The length of `'x'` or `'\n'`; 1 for a lifetime, which has no second quote.
fn character_literal(rest: &str) -> usize {
    let escaped = rest.starts_with("'\\");
    let content = if escaped {
        2 + rest.chars().nth(2).map_or(0, char::len_utf8)
    } else {
        rest.chars().take(2).map(char::len_utf8).sum()
    };
    let close = rest.get(content..).and_then(|r| r.find('\''));
    match close {
        Some(0) => content + 1,
        Some(further) if escaped => content + further + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Vec<String> {
        product_lines(text).into_iter().map(|l| l.code.trim().to_owned()).collect()
    }

    fn numbers(text: &str) -> Vec<usize> {
        product_lines(text).into_iter().map(|l| l.number).collect()
    }

    #[test]
    fn comments_and_quotes_are_no_code() {
        let text = "a(\"b // c\", d); // e\n/// f\n\n/* g\n/* h */ i */ j\nk('\"', \"l\\\"m\", '\\'', '\\u{41}') + n::<'o>()\n";
        assert_eq!(code(text), ["a(, d);", "j", "k(, , , ) + n::<o>()"]);
        assert_eq!(numbers(text), [1, 5, 6]);
    }

    #[test]
    fn a_text_over_lines_is_code_without_words() {
        let text = "let a = \"b {\n  // c\n\n  d\";\nlet e = r#\"{\n}\" \"#;\nlet f = br\"\\\";\ng();\n";
        assert_eq!(numbers(text), [1, 2, 4, 5, 6, 7, 8]);
        assert_eq!(code(text), ["let a =", "", ";", "let e = r#", ";", "let f = br;", "g();"]);
    }

    #[test]
    fn only_the_item_for_tests_is_left_out() {
        let text = "a();\n#[cfg(test)]\nmod tests;\nb();\n#[cfg(test)]\npub(crate) use c::{\n    d,\n};\ne();\n\
            #[cfg(test)]\n#[expect(x, reason = \"y;\")]\nmod f {\n    fn g() {\n    }\n}\nh();\n#[cfg(test)] mod i {}\nj();\n";
        assert_eq!(numbers(text), [1, 4, 9, 16, 17, 18]);
        assert_eq!(test_modules(text), ["tests"]);
    }

    #[test]
    fn test_modules_are_not_the_package_of_tests() {
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
        assert!(has_call("x = comm(host)", "comm(") && !has_call("self.comm(); a_comm(b)", "comm("));
        assert!(has_call("dir.save(x).await", ".save(") && has_call("dir.save(x).await?", ".await"));
        assert!(!has_call("ring.awaits(x)", ".await"));
    }
}
