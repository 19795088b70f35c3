//! Which of the host's mounts are served, and under which name: `/proc/1/mountinfo`, read again when it changes.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use super::statfs::Target;
use crate::files::devices::DeviceNames;
use crate::files::{FilesError, HostRoot};
use crate::model::text_of;
use crate::parse::{Mount, mounts};

/// File systems that are served at most; a node has tens.
const MAX_SERVED: usize = 256;

/// The most bytes of the list: the kernel allows 100,000 mounts.
const MAX_BYTES: u64 = 64 << 20;

/// Types with blocks of their own, as cAdvisor serves them, and a few that it lacks. `ext` and `nfs` stand for families.
const LOCAL: [&str; 12] = [
    "xfs", "btrfs", "f2fs", "zfs", "vfat", "exfat", "jfs", "reiserfs", "bcachefs", "tmpfs", "overlay",
    "ntfs3",
];
const NETWORK: [&str; 5] = ["cifs", "smb3", "ceph", "9p", "virtiofs"];

/// Where container runtimes and the kubelet mount a tmpfs for each container or pod: of no use as node metrics, and
/// there may be thousands.
const OF_CONTAINERS: [&str; 6] = [
    "/var/lib/kubelet/pods/",
    "/run/containerd/",
    "/var/lib/containerd/",
    "/var/lib/docker/",
    "/var/lib/containers/",
    "/run/netns",
];

/// A file system that is served.
#[derive(Clone, Debug)]
pub(super) struct Served {
    /// Its name in labels.
    pub(super) label: String,
    pub(super) source: Vec<u8>,
    /// Whether it may be far away.
    pub(super) network: bool,
    /// How to ask it.
    pub(super) target: Arc<Target>,
}

#[derive(Debug)]
pub struct MountTable {
    /// One for each file system.
    pub(super) served: Vec<Served>,
    /// All of them, in the kernel's order.
    all: Vec<Mount>,
}

impl MountTable {
    /// Whether that mount is what process 1 has at `/`.
    pub(in crate::files) fn is_root(&self, mount: &Mount) -> bool {
        let root = self.all.iter().rev().find(|other| other.mount_point == b"/");
        root.is_some_and(|root| root.device == mount.device && root.root == mount.root)
    }

    /// Whether a mount's server may be far away, so that to open a file on it may take for ever.
    pub(in crate::files) fn is_network(mount: &Mount) -> bool {
        is_network(&mount.kind) || mount.kind.starts_with("fuse")
    }

    /// Where the host has a directory of a file system: the mount with the longest part of it.
    pub(in crate::files) fn host_path(&self, device: (u32, u32), dir: &[u8]) -> Option<PathBuf> {
        let dir = Path::new(OsStr::from_bytes(dir));
        let of_device = self.all.iter().filter(|mount| mount.device == device);
        let fitting = of_device.filter_map(|mount| Some((mount, dir.strip_prefix(path(&mount.root)).ok()?)));
        let (mount, rest) = fitting.max_by_key(|(mount, _)| mount.root.len())?;
        Some(path(&mount.mount_point).join(rest))
    }

    /// The file system that a path of the host is on: by its device number, else by the mount point (a btrfs has a
    /// number for each subvolume).
    pub(in crate::files) fn of_path(&self, device: (u32, u32), dir: &Path) -> Option<(&str, (u32, u32))> {
        let by_number = |device| self.served.iter().find(|served| served.target.device == device);
        let found = by_number(device).or_else(|| {
            let above = self.all.iter().filter(|mount| dir.starts_with(path(&mount.mount_point)));
            by_number(above.max_by_key(|mount| mount.mount_point.len())?.device)
        })?;
        Some((&found.label, found.target.device))
    }
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn served(all: &[Mount], names: &mut DeviceNames) -> Vec<Served> {
    // What another mount lies on, at the same place, cannot be seen.
    let covered: HashSet<(u64, &[u8])> =
        all.iter().map(|mount| (mount.parent, mount.mount_point.as_slice())).collect();
    let seen =
        |mount: &&Mount| is_wanted(mount) && !covered.contains(&(mount.id, mount.mount_point.as_slice()));
    let mut of_device: HashMap<(u32, u32), usize> = HashMap::new();
    let mut chosen: Vec<&Mount> = Vec::new();
    for mount in all.iter().filter(seen) {
        match of_device.get(&mount.device).and_then(|&index| chosen.get_mut(index)) {
            // The whole rather than a part of it that is mounted elsewhere.
            Some(first) if first.root != b"/" && mount.root == b"/" => *first = mount,
            Some(_) => {}
            None => {
                of_device.insert(mount.device, chosen.len());
                chosen.push(mount);
            }
        }
    }
    let mut labels = HashSet::new();
    let named = chosen.into_iter().map(|mount| (mount, label(mount, names)));
    let once = named.filter(|(_, label)| !label.is_empty() && labels.insert(label.clone()));
    once.take(MAX_SERVED).map(|(mount, label)| serve(mount, label)).collect()
}

fn serve(mount: &Mount, label: String) -> Served {
    let target = Target {
        device: mount.device,
        path: path(&mount.mount_point).to_owned(),
        // A btrfs gives each subvolume a number that mounts do not show.
        exact: mount.kind != "btrfs",
    };
    Served { label, source: mount.source.clone(), network: is_network(&mount.kind), target: Arc::new(target) }
}

fn is_network(kind: &str) -> bool {
    // `nfsd` is a control file system.
    (kind.starts_with("nfs") && kind != "nfsd") || NETWORK.contains(&kind)
}

fn is_wanted(mount: &Mount) -> bool {
    let kind = mount.kind.as_str();
    match kind {
        // A container's own overlay has the same blocks as the file system that it lies on.
        "overlay" => mount.mount_point == b"/",
        "tmpfs" => !OF_CONTAINERS.iter().any(|place| mount.mount_point.starts_with(place.as_bytes())),
        _ => kind.starts_with("ext") || LOCAL.contains(&kind) || is_network(kind),
    }
}

/// As cAdvisor names a device.
fn label(mount: &Mount, names: &mut DeviceNames) -> String {
    let (major, minor) = mount.device;
    match mount.kind.as_str() {
        "tmpfs" => text_of(&mount.mount_point),
        "overlay" => format!("{}_{major}-{minor}", text_of(&mount.source)),
        // What the kernel mounted before there were names.
        _ if mount.source == b"/dev/root" && major != 0 => {
            names.name(major, minor).unwrap_or_else(|| "/dev/root".to_owned())
        }
        _ => text_of(&mount.source),
    }
}

/// The table of mounts, kept until the kernel reports a change.
pub(super) struct MountWatch {
    host: HostRoot,
    names: DeviceNames,
    open: Option<(PathBuf, File)>,
    table: Option<Arc<MountTable>>,
}

impl MountWatch {
    pub(super) fn new(host: HostRoot) -> Self {
        Self { names: DeviceNames::new(host.clone()), host, open: None, table: None }
    }

    /// The table now; the last one that could be read where this one cannot.
    pub(super) fn now(&mut self) -> Result<Arc<MountTable>, FilesError> {
        if self.table.is_none() || self.changed() {
            match self.read() {
                Ok(all) => {
                    let served = served(&all, &mut self.names);
                    self.table = Some(Arc::new(MountTable { served, all }));
                }
                Err(error) if self.table.is_none() => return Err(error),
                Err(error) => tracing::debug!(%error, "the list of mounts stays as it was"),
            }
        }
        self.table.clone().ok_or_else(|| FilesError::io("/proc/1/mountinfo", rustix::io::Errno::NOENT))
    }

    /// The kernel marks an open list of mounts when it changes, once for each open file.
    fn changed(&self) -> bool {
        let Some((_, file)) = &self.open else { return true };
        let mut list = [PollFd::new(file, PollFlags::PRI | PollFlags::ERR)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut list, Some(&at_once)).is_ok_and(|marked| marked > 0)
    }

    fn read(&mut self) -> Result<Vec<Mount>, FilesError> {
        let (path, file) = match &mut self.open {
            Some(open) => open,
            none => none.insert(open(&self.host)?),
        };
        let mut bytes = Vec::new();
        let read = file.rewind().and_then(|()| file.take(MAX_BYTES).read_to_end(&mut bytes));
        let parsed = match read {
            Ok(_) => mounts(&bytes).map_err(|error| FilesError::parse(path.clone(), error)),
            Err(error) => Err(FilesError::io(path.clone(), error)),
        };
        if parsed.is_err() {
            self.open = None;
        }
        parsed
    }
}

/// The list of the first process, else one's own.
fn open(host: &HostRoot) -> Result<(PathBuf, File), FilesError> {
    let open = |path: &str| match host.open_with(Path::new(path), OFlags::RDONLY) {
        Ok(file) => Ok((host.join(path), File::from(file))),
        Err(errno) => Err(FilesError::io(host.join(path), errno)),
    };
    open("/proc/1/mountinfo").or_else(|error| open("/proc/self/mountinfo").map_err(|_second| error))
}

#[cfg(test)]
mod tests;
