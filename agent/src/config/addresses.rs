//! Settings that are addresses: where the agent serves, and the sockets of container runtimes.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::values::Word;

/// An address to serve at: `ADDRESS:PORT` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddr {
    /// An address and port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A socket file; absolute.
    Unix(PathBuf),
}

impl FromStr for ListenAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(PathBuf::from(path))),
            Some(_) => Err(format!("{text:?}: wanted an absolute path, as unix:/run/cgtap.sock")),
            None => text.parse().map(Self::Tcp).map_err(|err| {
                format!(
                    "{text:?}: {err}; wanted ADDRESS:PORT, as 127.0.0.1:8080 or [::1]:8080, or unix:/path"
                )
            }),
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RuntimeSocket {
    /// No socket at all.
    None,
    /// The container runtime interface of Kubernetes.
    Cri(PathBuf),
    /// Docker's API.
    Docker(PathBuf),
    /// Podman's API.
    Podman(PathBuf),
}

impl FromStr for RuntimeSocket {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = |path: &str| path.starts_with('/').then(|| PathBuf::from(path));
        let socket = match text.split_once('=') {
            None if text == "none" => Some(Self::None),
            Some(("cri", place)) => path(place).map(Self::Cri),
            Some(("docker", place)) => path(place).map(Self::Docker),
            Some(("podman", place)) => path(place).map(Self::Podman),
            _ => None,
        };
        socket.ok_or_else(|| format!("{text:?}: wanted cri=/path, docker=/path, podman=/path or none"))
    }
}

impl fmt::Display for RuntimeSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Cri(path) => write!(f, "cri={}", path.display()),
            Self::Docker(path) => write!(f, "docker={}", path.display()),
            Self::Podman(path) => write!(f, "podman={}", path.display()),
        }
    }
}

macro_rules! words {
    ($($type:ty),+) => {
        $(impl Word for $type {
            const DELIMITER: Option<char> = Some(',');

            fn read(word: &str) -> Result<Self, String> {
                word.parse()
            }

            fn word(&self) -> String {
                self.to_string()
            }
        })+
    };
}

words!(ListenAddr, RuntimeSocket);
