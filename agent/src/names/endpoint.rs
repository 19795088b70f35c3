//! Where a thread asks for names.

use std::path::{Path, PathBuf};

use crate::model::NamesSource;

/// One runtime to ask: the first path that exists is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeEndpoint {
    /// What is asked there.
    pub source: NamesSource,
    /// Sockets; for log files, the directory that has `containers` and `pods`.
    pub paths: Vec<PathBuf>,
}

impl RuntimeEndpoint {
    /// The endpoint of one path.
    pub fn new(source: NamesSource, path: impl Into<PathBuf>) -> Self {
        Self { source, paths: vec![path.into()] }
    }

    /// Where runtimes usually listen on a host.
    pub fn usual(host_root: &Path) -> Vec<Self> {
        let at = |source, path: &str| Self::new(source, host_root.join(path));
        let docker = ["run/docker.sock", "var/run/docker.sock"].map(|path| host_root.join(path));
        vec![
            at(NamesSource::Cri, "run/containerd/containerd.sock"),
            at(NamesSource::Cri, "run/crio/crio.sock"),
            at(NamesSource::Cri, "run/cri-dockerd.sock"),
            at(NamesSource::Cri, "run/k3s/containerd/containerd.sock"),
            Self { source: NamesSource::Docker, paths: docker.into() },
            at(NamesSource::Podman, "run/podman/podman.sock"),
            Self::logs(host_root),
        ]
    }

    /// The log files of the kubelet's containers on a host.
    pub fn logs(host_root: &Path) -> Self {
        Self::new(NamesSource::Logs, host_root.join("var/log"))
    }

    pub(super) fn existing(&self) -> Option<&Path> {
        self.paths.iter().find(|path| path.exists()).map(PathBuf::as_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_names_has_every_usual_path() {
        let page = include_str!("../../../docs/names.md");
        for endpoint in RuntimeEndpoint::usual(Path::new("/")) {
            for path in endpoint.paths {
                // The page names the two folders of the log files.
                let path = path.display().to_string();
                assert!(
                    page.contains(&format!("`{path}`")) || page.contains(&format!("`{path}/containers`")),
                    "{path}"
                );
            }
        }
    }
}
