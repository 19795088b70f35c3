//! Names of containers: how a container runtime's socket is written, `cri=/run/containerd/containerd.sock`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

/// Who is asked for names of containers, and what is kept of the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesConfig {
    /// Where to ask; `None` where runtimes usually listen, empty nowhere.
    pub runtime_sockets: Option<Vec<RuntimeSocket>>,
    /// Whether all labels of containers are on their metrics.
    pub all_labels: bool,
    /// Labels of containers that are on their metrics in any case.
    pub labels: Vec<String>,
    /// Prefixes of the variables of containers that are on their metrics.
    pub env_prefixes: Vec<String>,
}

/// A place to ask for names of containers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum RuntimeSocket {
    /// No place at all.
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
        let wanted = || format!("{text:?}: wanted cri=/path, docker=/path, podman=/path or none");
        if text == "none" {
            return Ok(Self::None);
        }
        let (kind, path) =
            text.split_once('=').filter(|(_, path)| path.starts_with('/')).ok_or_else(wanted)?;
        let path = PathBuf::from(path);
        match kind {
            "cri" => Ok(Self::Cri(path)),
            "docker" => Ok(Self::Docker(path)),
            "podman" => Ok(Self::Podman(path)),
            _ => Err(wanted()),
        }
    }
}

impl TryFrom<String> for RuntimeSocket {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for RuntimeSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, path) = match self {
            Self::None => return f.write_str("none"),
            Self::Cri(path) => ("cri", path),
            Self::Docker(path) => ("docker", path),
            Self::Podman(path) => ("podman", path),
        };
        write!(f, "{kind}={}", path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_the_same() {
        for text in ["none", "cri=/a", "docker=/b/c", "podman=/d"] {
            assert_eq!(text.parse::<RuntimeSocket>().map(|socket| socket.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_kind_and_an_absolute_path_are_wanted() {
        for text in ["", "/a", "cri=a", "cri", "rkt=/a", "NONE", "cri:/a"] {
            assert!(text.parse::<RuntimeSocket>().unwrap_err().contains("wanted cri=/path"), "{text}");
        }
    }
}
