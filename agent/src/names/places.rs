//! Where names can be asked for.

use std::fmt;
use std::path::{Path, PathBuf};

/// A source of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The socket of a container runtime interface.
    Cri(PathBuf),
    /// Sockets of Docker, of which the first that is there is asked.
    Docker(Vec<PathBuf>),
    /// Sockets of Podman's interface that is like Docker's.
    Podman(Vec<PathBuf>),
    /// The directory with the `containers` and `pods` of the kubelet's logs.
    Logs(PathBuf),
}

impl Place {
    /// Where runtimes listen on a host, below its root.
    #[must_use]
    pub fn usual(host_root: &Path) -> Vec<Self> {
        let below = |path: &str| host_root.join(path);
        let cri = [
            "run/containerd/containerd.sock",
            "run/crio/crio.sock",
            "run/cri-dockerd.sock",
            "run/k3s/containerd/containerd.sock",
        ];
        let mut places: Vec<Self> = cri.iter().map(|path| Self::Cri(below(path))).collect();
        places.push(Self::Docker(vec![below("run/docker.sock"), below("var/run/docker.sock")]));
        places.push(Self::Podman(vec![below("run/podman/podman.sock")]));
        places.push(Self::logs(host_root));
        places
    }

    /// The kubelet's logs on a host.
    #[must_use]
    pub fn logs(host_root: &Path) -> Self {
        Self::Logs(host_root.join("var/log"))
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Cri(_) => "cri",
            Self::Docker(_) => "docker",
            Self::Podman(_) => "podman",
            Self::Logs(_) => "logs",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self {
            Self::Cri(path) | Self::Logs(path) => Some(path),
            Self::Docker(paths) | Self::Podman(paths) => paths.first(),
        };
        path.map_or(Ok(()), |path| path.display().fmt(f))
    }
}
