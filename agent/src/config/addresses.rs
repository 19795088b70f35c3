//! Settings that are addresses: where the agent serves, and the sockets of container runtimes.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

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
