//! Where a container's logs are: by its id alone, in the places of the kubelet, Docker and Podman.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use crate::files::HostRoot;

/// The kubelet's links: `POD_NAMESPACE_CONTAINER-ID.log`.
const LINKS: &str = "/var/log/containers";
/// Where they lead: `NAMESPACE_POD_UID/CONTAINER/N.log`, older ones beside the newest.
const PODS: &str = "/var/log/pods";
/// Links that are remembered; a node has one for each container.
const MAX_LINKS: usize = 20_000;
const ID_DIGITS: usize = 64;

/// Finds logs. Keeps the list of the kubelet's links until their directory changes.
pub(super) struct Logs {
    host: HostRoot,
    listed: Option<SystemTime>,
    /// By the container's id.
    links: HashMap<String, OsString>,
}

impl Logs {
    pub(super) fn new(host: HostRoot) -> Self {
        Self { host, listed: None, links: HashMap::new() }
    }

    /// Directories and files of the host that may hold a container's logs. Not all of them are there.
    pub(super) fn of(&mut self, container: &str, layer: &Path) -> Vec<PathBuf> {
        let mut found = Vec::from_iter(self.of_kubelet(container));
        let docker = storage(layer, "overlay2").unwrap_or_else(|| PathBuf::from("/var/lib/docker"));
        found.push(docker.join("containers").join(container));
        let podman =
            storage(layer, "overlay").unwrap_or_else(|| PathBuf::from("/var/lib/containers/storage"));
        found.push(podman.join("overlay-containers").join(container).join("userdata/ctr.log"));
        found
    }

    /// The directory of all logs of the container, whatever number its restart has.
    fn of_kubelet(&mut self, container: &str) -> Option<PathBuf> {
        self.list();
        let name = self.links.get(container)?;
        let target = std::fs::read_link(self.host.join(LINKS).join(name)).ok()?;
        let inside = target.strip_prefix(PODS).ok()?;
        let plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
        (plain && inside.components().count() == 3).then(|| target.parent().map(Path::to_owned))?
    }

    fn list(&mut self) {
        let dir = self.host.join(LINKS);
        let changed = std::fs::metadata(&dir).and_then(|found| found.modified()).ok();
        if changed.is_some() && changed == self.listed {
            return;
        }
        self.links.clear();
        self.listed = changed;
        let Ok(entries) = std::fs::read_dir(&dir) else { return };
        for entry in entries.flatten().take(MAX_LINKS) {
            let name = entry.file_name();
            if let Some(id) = id_of(name.as_bytes()) {
                self.links.insert(id.to_owned(), name);
            }
        }
    }
}

/// The id at the end of a link's name.
fn id_of(name: &[u8]) -> Option<&str> {
    let stem = name.strip_suffix(b".log")?;
    let at = stem.len().checked_sub(ID_DIGITS)?;
    let (before, id) = stem.split_at_checked(at)?;
    let digits = id.iter().all(u8::is_ascii_hexdigit);
    if digits && before.ends_with(b"-") { std::str::from_utf8(id).ok() } else { None }
}

/// `/x` of a layer `/x/DRIVER/ID/diff`: where Docker or Podman is configured to keep its data.
fn storage(layer: &Path, driver: &str) -> Option<PathBuf> {
    let above = layer.parent()?.parent()?;
    (layer.file_name()? == "diff" && above.file_name()? == driver)
        .then(|| above.parent().map(Path::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;

    const ID: &str = "4f1b6a0d9e8c7b6a5f4e3d2c1b0a99887766554433221100ffeeddccbbaa9988";

    #[test]
    fn the_kubelets_link_leads_to_the_directory() {
        let fixture = Fixture::new();
        let mut logs = Logs::new(fixture.host());
        let other = Path::new("/run/x");
        let first = |logs: &mut Logs| logs.of(ID, other).remove(0);
        assert_eq!(first(&mut logs), Path::new("/var/lib/docker/containers").join(ID));
        let link = format!("var/log/containers/pod_default_main-{ID}.log");
        fixture.link(&link, "/var/log/pods/default_pod_uid/main/3.log");
        assert_eq!(first(&mut logs), Path::new("/var/log/pods/default_pod_uid/main"));
        for bad in ["/etc/shadow", "/var/log/pods/../../etc/x", "/var/log/pods/0.log", "relative"] {
            std::fs::remove_file(fixture.path(&link)).unwrap();
            fixture.link(&link, bad);
            assert_eq!(first(&mut logs), Path::new("/var/lib/docker/containers").join(ID), "{bad}");
        }
    }

    #[test]
    fn docker_and_podman_keep_logs_beside_their_layers() {
        let mut logs = Logs::new(HostRoot::new("/nowhere"));
        let docker = logs.of(ID, Path::new("/data/docker/overlay2/x/diff"));
        assert_eq!(docker[0], Path::new("/data/docker/containers").join(ID));
        let podman = logs.of(ID, Path::new("/u/storage/overlay/x/diff"));
        assert_eq!(podman[1], Path::new("/u/storage/overlay-containers").join(ID).join("userdata/ctr.log"));
    }

    #[test]
    fn names_without_an_id_are_none() {
        let name = format!("a_b_c-{ID}.log");
        assert_eq!(id_of(name.as_bytes()), Some(ID));
        for bad in [ID.to_owned(), format!("{ID}.log"), "x.log".to_owned(), format!("a-{ID}.txt")] {
            assert_eq!(id_of(bad.as_bytes()), None, "{bad}");
        }
    }
}
