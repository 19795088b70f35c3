//! `KEY=VALUE` lines: a device's `uevent` in sysfs, and `os-release`.
//!
//! Manual: <https://www.freedesktop.org/software/systemd/man/latest/os-release.html>
//!
//! ```text
//! MAJOR=254                 PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
//! DEVNAME=vda               ID=debian
//! ```
//! Values of `os-release` may be quoted as a shell would; a device's name is plain and may hold `/` (`cciss/c0d0`).

use super::scan::{lines, text, unescape};

/// The value of the first line `key=...`, without quotes; `None` when there is no such line or it is empty.
pub fn assignment(input: &[u8], key: &str) -> Option<String> {
    let value = lines(input).find_map(|line| line.text.strip_prefix(key.as_bytes())?.strip_prefix(b"="))?;
    let value = value.trim_ascii();
    let unquoted =
        [b'"', b'\''].into_iter().find_map(|quote| value.strip_prefix(&[quote])?.strip_suffix(&[quote]));
    let value = text(&unescape(unquoted.unwrap_or(value), escape));
    (!value.is_empty()).then_some(value)
}

/// A backslash before what a shell would need one for.
fn escape(rest: &[u8]) -> Option<(u8, &[u8])> {
    match rest {
        [b'\\', escaped @ (b'"' | b'$' | b'\\' | b'`' | b'\''), tail @ ..] => Some((*escaped, tail)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_quoted_values() {
        assert_eq!(assignment(b"MAJOR=254\nDEVNAME=vda\n", "DEVNAME").as_deref(), Some("vda"));
        let text = br#"NAME='x'
PRETTY_NAME="Debian \"12\" (bookworm)"
"#;
        assert_eq!(assignment(text, "PRETTY_NAME").as_deref(), Some("Debian \"12\" (bookworm)"));
        assert_eq!(assignment(text, "NAME").as_deref(), Some("x"), "a key is not found inside another");
    }

    #[test]
    fn what_is_not_there_is_absent() {
        assert_eq!(assignment(b"", "DEVNAME"), None);
        assert_eq!(assignment(b"DEVNAME=\n", "DEVNAME"), None);
        assert_eq!(assignment(b"DEVNAME\n", "DEVNAME"), None);
    }
}
