//! A cgroup's path inside its hierarchy.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A cgroup's path as the kernel writes it: bytes, `/` for the root, otherwise `/a/b` without a trailing slash.
///
/// A name may hold any byte but `/`, NUL and newline (`cgroup_mkdir` refuses newlines), so a path is not a `String`.
/// Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CgroupPath(Arc<[u8]>);

impl CgroupPath {
    /// The root cgroup of a hierarchy.
    pub fn root() -> Self {
        Self(Arc::from(*b"/"))
    }

    /// From the kernel's bytes; a missing leading slash is added, trailing ones are removed.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut trimmed = bytes;
        while let [rest @ .., b'/'] = trimmed {
            trimmed = rest;
        }
        match trimmed {
            [] => Self::root(),
            [b'/', ..] => Self(Arc::from(trimmed)),
            _ => Self(Arc::from([b"/", trimmed].concat())),
        }
    }

    /// The bytes as the kernel has them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root of its hierarchy.
    pub fn is_root(&self) -> bool {
        &*self.0 == b"/"
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|&b| b == b'/').next().unwrap_or_default()
    }

    /// The components from the root down; none for the root.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|part| !part.is_empty())
    }

    /// The cgroup above; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|&b| b == b'/').unwrap_or(0);
        Some(Self::from_bytes(self.0.get(..end).unwrap_or_default()))
    }

    /// The child of that name.
    pub fn join(&self, name: &[u8]) -> Self {
        let base: &[u8] = if self.is_root() { b"" } else { &self.0 };
        Self(Arc::from([base, b"/", name].concat()))
    }

    /// Whether this path is `ancestor` or lies below it.
    pub fn is_within(&self, ancestor: &Self) -> bool {
        ancestor.is_root()
            || self.0.strip_prefix(&*ancestor.0).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// This path with its leading `old` replaced by `new`; `None` when it is not within `old`.
    pub fn rebase(&self, old: &Self, new: &Self) -> Option<Self> {
        if !self.is_within(old) {
            return None;
        }
        let skip = if old.is_root() { 0 } else { old.0.len() };
        let rest = self.0.get(skip..)?;
        let base: &[u8] = if new.is_root() { b"" } else { &new.0 };
        Some(Self::from_bytes(&[base, rest].concat()))
    }

    /// The path as text, the same text for the same path and different text for different paths.
    ///
    /// Valid UTF-8 is given as it is. Any other path is quoted as git and `ls --quoting-style=c` do: in double
    /// quotes, with `\\`, `\"` and `\xNN`. As a plain path starts with `/`, the two forms never meet, so two
    /// cgroups cannot be made to share one label value.
    pub fn to_text(&self) -> Cow<'_, str> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(quote(&self.0)),
        }
    }

    /// The path of which this is the text, as [`CgroupPath::to_text`] gives it.
    pub fn from_text(text: &str) -> Self {
        let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        quoted.map_or_else(|| Self::from_bytes(text.as_bytes()), |quoted| Self::from_bytes(&unquote(quoted)))
    }
}

/// Bytes of the kernel that are nearly always UTF-8, as text; any other byte becomes `\xNN`, so that two names stay two.
pub fn text_of(bytes: &[u8]) -> String {
    escape(bytes, |_| false)
}

fn quote(bytes: &[u8]) -> String {
    format!("\"{}\"", escape(bytes, |c| matches!(c, '"' | '\\')))
}

/// Puts a backslash before each special character, and writes bytes that are not UTF-8 as `\xff`.
fn escape(bytes: &[u8], is_special: fn(char) -> bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_special(c) {
                text.push('\\');
            }
            text.push(c);
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

fn unquote(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find('\\') {
        let (plain, escaped) = rest.split_at(at);
        bytes.extend_from_slice(plain.as_bytes());
        let hex = escaped.strip_prefix("\\x").and_then(|digits| digits.get(..2));
        let byte = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        // Beside bytes only the quote and the backslash are escaped.
        let taken = if byte.is_some() { 4 } else { 2 };
        bytes.extend(byte.or_else(|| escaped.as_bytes().get(1).copied()));
        rest = escaped.get(taken..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

impl From<&str> for CgroupPath {
    fn from(text: &str) -> Self {
        Self::from_bytes(text.as_bytes())
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl fmt::Debug for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> CgroupPath {
        CgroupPath::from(text)
    }

    #[test]
    fn paths_are_normalised() {
        for (given, wanted) in [("", "/"), ("/", "/"), ("a", "/a"), ("/a/", "/a"), ("/a/b//", "/a/b")] {
            assert_eq!(path(given), path(wanted), "{given:?}");
        }
    }

    #[test]
    fn parents_and_names() {
        assert_eq!(path("/a/b").parent(), Some(path("/a")));
        assert_eq!(path("/a").parent(), Some(CgroupPath::root()));
        assert_eq!(CgroupPath::root().parent(), None);
        assert_eq!(path("/a/b").name(), b"b");
        assert_eq!(CgroupPath::root().name(), b"");
        assert_eq!(CgroupPath::root().join(b"a").join(b"b"), path("/a/b"));
    }

    #[test]
    fn within_is_by_component_and_not_by_text() {
        assert!(path("/a/b").is_within(&path("/a")));
        assert!(path("/a").is_within(&path("/a")));
        assert!(path("/a").is_within(&CgroupPath::root()));
        assert!(!path("/ab").is_within(&path("/a")), "cAdvisor's /a also matches /ab");
    }

    #[test]
    fn rebase_moves_a_subtree() {
        assert_eq!(path("/a/b/c").rebase(&path("/a/b"), &path("/x")), Some(path("/x/c")));
        assert_eq!(path("/a/bc").rebase(&path("/a/b"), &path("/x")), None);
    }

    #[test]
    fn text_of_odd_names_stays_unambiguous() {
        assert_eq!(path("/a \"b\"\\x2d").to_text(), "/a \"b\"\\x2d");
        assert_eq!(CgroupPath::from_bytes(b"/a\xff\\\"b").to_text(), r#""/a\xff\\\"b""#);
        assert_ne!(CgroupPath::from_bytes(b"/a\xff").to_text(), path("/a\\xff").to_text());
    }

    #[test]
    fn the_path_comes_back_from_its_text() {
        for bytes in [&b"/"[..], b"/a \"b\"\\x2d", b"/a\xff\\\"b", b"/\xff\\x41/\xc3\xa4", b"/\\\xfe\\\\"] {
            let path = CgroupPath::from_bytes(bytes);
            assert_eq!(CgroupPath::from_text(&path.to_text()), path);
        }
    }
}
