//! Why a text was refused.

/// The most bytes of a refused line that an error quotes.
const QUOTED_BYTES: usize = 200;

/// A text that has not the shape of its file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A line does not have the form that its file requires.
    #[error("line {line}: {text:?} is not {wanted}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// The line, cut at 200 bytes; bytes that are not UTF-8 are replaced.
        text: String,
        /// What was wanted in its place.
        wanted: &'static str,
    },
    /// There is no text, or not the line that was looked for.
    #[error("no text where {wanted} was wanted")]
    Empty { wanted: &'static str },
}

impl ParseError {
    /// A refused line; `line` counts from 1.
    pub(super) fn line(line: usize, text: &[u8], wanted: &'static str) -> Self {
        let cut = text.get(..QUOTED_BYTES).unwrap_or(text);
        Self::Line { line, text: String::from_utf8_lossy(cut).into_owned(), wanted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_line_and_what_was_wanted() {
        let error = ParseError::line(3, b"low x", "a count");
        assert_eq!(error.to_string(), r#"line 3: "low x" is not a count"#);
        assert_eq!(ParseError::Empty { wanted: "a count" }.to_string(), "no text where a count was wanted");
    }

    #[test]
    fn a_long_line_is_cut() {
        let ParseError::Line { text, .. } = ParseError::line(1, &[b'a'; 1000], "short") else { panic!() };
        assert_eq!(text.len(), QUOTED_BYTES);
    }
}
