//! Bytes, lines and numbers: what all parsers share. Nothing here allocates.

pub(super) use crate::model::text_of as text;

use super::ParseError;

/// One line, its number for errors, and without its newline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: usize,
    pub(super) text: &'a [u8],
}

impl<'a> Line<'a> {
    /// The error that this line is not `wanted`.
    pub(super) fn refused(&self, wanted: &'static str) -> ParseError {
        ParseError::line(self.number, self.text, wanted)
    }

    /// `text` as a decimal number, or the error that quotes this line.
    pub(super) fn number(&self, text: &[u8], wanted: &'static str) -> Result<u64, ParseError> {
        decimal(text).ok_or_else(|| self.refused(wanted))
    }

    /// `text` as a decimal number times `factor`; a product that does not fit is refused.
    pub(super) fn scaled(&self, text: &[u8], factor: u64, wanted: &'static str) -> Result<u64, ParseError> {
        decimal(text).and_then(|n| n.checked_mul(factor)).ok_or_else(|| self.refused(wanted))
    }

    /// What stands between runs of blanks.
    pub(super) fn words(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        words(self.text)
    }
}

/// The text with its escapes undone. `escape` reads one at the beginning of what it gets: the byte, and what comes after.
pub(super) fn unescape(text: &[u8], escape: impl Fn(&[u8]) -> Option<(u8, &[u8])>) -> Vec<u8> {
    let (mut rest, mut plain) = (text, Vec::with_capacity(text.len()));
    while let Some((&first, after)) = rest.split_first() {
        let (byte, tail) = escape(rest).unwrap_or((first, after));
        plain.push(byte);
        rest = tail;
    }
    plain
}

/// The lines that are not empty.
pub(super) fn lines(input: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let numbered = input.split(|&b| b == b'\n').enumerate();
    numbered.filter(|(_, text)| !text.is_empty()).map(|(index, text)| Line { number: index + 1, text })
}

/// What stands between runs of blanks.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&b| b == b' ' || b == b'\t').filter(|word| !word.is_empty())
}

/// Decimal digits alone, no sign; `None` for anything else and for what does not fit.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// `text` before and after the first `separator`.
pub(super) fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&b| b == separator)?;
    let (before, rest) = text.split_at_checked(at)?;
    Some((before, rest.get(1..)?))
}

/// A device number `MAJOR:MINOR`.
pub(super) fn device_number(text: &[u8]) -> Option<(u32, u32)> {
    let (major, minor) = split_once(text, b':')?;
    Some((u32::try_from(decimal(major)?).ok()?, u32::try_from(decimal(minor)?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_alone_and_fit() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for refused in [&b""[..], b"-1", b"+1", b" 1", b"1 ", b"0x1", b"18446744073709551616"] {
            assert_eq!(decimal(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn device_numbers() {
        assert_eq!(device_number(b"259:12"), Some((259, 12)));
        assert_eq!(device_number(b"259"), None);
        assert_eq!(device_number(b"259:4294967296"), None);
    }

    #[test]
    fn lines_are_numbered_as_they_stand() {
        let found: Vec<_> = lines(b"a\n\nb\n").map(|l| (l.number, l.text)).collect();
        assert_eq!(found, [(1, &b"a"[..]), (3, b"b")]);
    }

    #[test]
    fn odd_names_stay_apart() {
        assert_eq!(text(b"eth0"), "eth0");
        assert_ne!(text(b"a\xfe"), text(b"a\xff"));
    }
}
