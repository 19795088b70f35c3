//! Where a running agent answers.

use std::path::PathBuf;
use std::str::FromStr;

use crate::config::http_uri;

/// `http://HOST[:PORT]` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AgentUrl {
    /// Host (brackets of an IPv6 address removed) and port.
    Tcp { host: String, port: u16 },
    /// A socket file.
    Unix(PathBuf),
}

impl FromStr for AgentUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("{text:?} is neither http://HOST:PORT nor unix:/path");
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(wanted()) };
        }
        let is_plain = |rest: &str| !rest.trim_end_matches('/').contains(['/', '?', '#', '@']);
        let is_agent = text.strip_prefix("http://").is_some_and(is_plain);
        let uri = http_uri(text).filter(|_| is_agent).ok_or_else(wanted)?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        Ok(Self::Tcp { host: host.to_owned(), port: uri.port_u16().unwrap_or(80) })
    }
}

/// Anything as a query's value.
pub(super) fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/,:".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    value.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        let tcp = |host: &str, port| Ok(AgentUrl::Tcp { host: host.to_owned(), port });
        for (text, wanted) in [
            ("http://127.0.0.1:8080", tcp("127.0.0.1", 8080)),
            ("http://node-1/", tcp("node-1", 80)),
            ("http://[::1]:9", tcp("::1", 9)),
            ("http://[::1]", tcp("::1", 80)),
            ("unix:/run/c.sock", Ok(AgentUrl::Unix("/run/c.sock".into()))),
        ] {
            assert_eq!(text.parse(), wanted, "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "127.0.0.1:8080",
            "https://a",
            "http://",
            "http://:80",
            "http://a:b",
            "http://a:70000",
            "http://a/events",
            "http://::1",
            "http://u@a",
            "unix:c.sock",
        ] {
            assert!(text.parse::<AgentUrl>().is_err_and(|err| err.contains("http://HOST:PORT")), "{text}");
        }
    }

    #[test]
    fn encodes_what_a_query_gives_meaning_to() {
        assert_eq!(encode("/a b&c=+%\u{e9}"), "/a%20b%26c%3D%2B%25%C3%A9");
    }
}
