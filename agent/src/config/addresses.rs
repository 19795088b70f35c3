//! Settings that are addresses: where the agent serves, and the sockets of container runtimes.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use hyper::Uri;
use serde_with::DeserializeFromStr;

use crate::model::NamesSource;

/// An address to serve at: `ADDRESS:PORT` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq, DeserializeFromStr)]
pub enum ListenAddr {
    /// An address and port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A socket file; absolute.
    Unix(PathBuf),
}

impl FromStr for ListenAddr {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(PathBuf::from(path))),
            Some(_) => Err("wanted an absolute path, as unix:/run/cgtap.sock"),
            None => text.parse().map(Self::Tcp).map_err(|_error| "wanted ADDRESS:PORT or unix:/path"),
        }
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket of a container runtime that is asked for names: `cri=/path`, `docker=/path`, `podman=/path`, or `none`.
#[derive(Clone, Debug, PartialEq, Eq, DeserializeFromStr)]
pub enum RuntimeSocket {
    /// No socket at all.
    None,
    /// The API of this runtime, at this path.
    At(NamesSource, PathBuf),
}

impl FromStr for RuntimeSocket {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text == "none" {
            return Ok(Self::None);
        }
        let socket = text.split_once("=/").and_then(|(runtime, path)| {
            let source = NamesSource::from_name(runtime).filter(|source| *source != NamesSource::Logs)?;
            Some(Self::At(source, PathBuf::from(format!("/{path}"))))
        });
        socket.ok_or("wanted cri=/path, docker=/path, podman=/path or none")
    }
}

/// An address `http://HOST[:PORT]...` or `https://HOST[:PORT]...`. A port beyond 65535 is refused: [`Uri`] reads it as none.
pub fn http_uri(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    let without_user = authority.as_str().rsplit('@').next()?;
    let port = without_user.strip_prefix(authority.host())?;
    let is_port = port.is_empty() || authority.port_u16().is_some_and(|port| port > 0);
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    (is_http && is_port && !authority.host().is_empty()).then_some(uri)
}

/// The address without what it has beside host, port and path.
pub fn without_credentials(url: &str) -> String {
    const HIDDEN: &str = "(not shown)";
    let Some(uri) = http_uri(url) else { return HIDDEN.to_owned() };
    let (scheme, authority) = (uri.scheme_str().unwrap_or_default(), uri.authority());
    let host = authority.map_or("", |authority| authority.as_str());
    let host = host.rsplit_once('@').map_or(host.to_owned(), |(_, host)| format!("{HIDDEN}@{host}"));
    let query = if uri.query().is_some() { format!("?{HIDDEN}") } else { String::new() };
    format!("{scheme}://{host}{}{query}", uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_possible_port() {
        for text in
            ["http://h", "https://h:65535/x?y", "http://[::1]:9/", "http://u:p@h:1", "http://127.0.0.1"]
        {
            assert!(http_uri(text).is_some(), "{text}");
        }
        for text in [
            "",
            "h",
            "ftp://h",
            "http://",
            "http://:80",
            "http://h:70000",
            "http://h:0",
            "http://h:",
            "http://h:b",
            "http://u@h:99999/",
            "http://::1",
            "http://[::1",
            "http://a b",
            "/x",
            "http:///x",
        ] {
            assert_eq!(http_uri(text), None, "{text}");
        }
    }
}
