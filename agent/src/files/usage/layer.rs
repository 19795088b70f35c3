//! Where a container writes: the upper directory of the overlay that is its `/`, or the directory of the host that is.
//!
//! An overlay names its upper directory in its mount options, whichever runtime mounted it: containerd, CRI-O, Docker's overlay2, Podman. A plain directory or a
//! btrfs subvolume as root (Docker's vfs, containerd's native and btrfs snapshotters) counts with the image in it, as
//! cAdvisor counts it. Not covered: fuse-overlayfs, whose mount options do not name its directories; zfs and devicemapper, where the
//! root is a file system of its own; roots on a network; virtual machines, whose root the host does not see.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fstat, major, minor};

use crate::files::{HostRoot, MountTable};
use crate::parse::{Mount, mounts};

/// Docker and Podman mount from inside of these directories when the options would be too long otherwise.
const MOUNTED_FROM: [&str; 2] = ["/var/lib/docker/overlay2", "/var/lib/containers/storage/overlay"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    /// The directory, a path of the host.
    pub(super) path: PathBuf,
    /// The name of the file system that it is on.
    pub(super) label: String,
    pub(super) device: (u32, u32),
}

/// The writable layer of the container that a process runs in; `None` where it is not known, which may change: a
/// container's first process begins in the host's root.
pub(super) fn layer(host: &HostRoot, table: &MountTable, process: u32) -> Option<Layer> {
    let all = host.parse(format!("/proc/{process}/mountinfo"), mounts).ok()?;
    // The last one lies on top.
    let root = all.iter().rev().find(|mount| mount.mount_point == b"/")?;
    if table.is_root(root) {
        return None;
    }
    let candidates = match root.kind.as_str() {
        "overlay" => upper_dirs(&root.option(b"upperdir")?),
        _ => Vec::from_iter(plain_dir(table, root)),
    };
    candidates.into_iter().find_map(|path| {
        let dir = host.open_with(&path, OFlags::PATH | OFlags::DIRECTORY).ok()?;
        let device = fstat(&dir).ok()?.st_dev;
        let (label, device) = table.of_path((major(device), minor(device)), &path)?;
        Some(Layer { path, label: label.to_owned(), device })
    })
}

/// What the option may mean. Before Linux 6.5 it is shown as it was given, with a backslash before each colon.
fn upper_dirs(option: &[u8]) -> Vec<PathBuf> {
    let plain: Vec<u8> = option.iter().copied().filter(|&b| b != b'\\').collect();
    let mut found = Vec::new();
    for text in [option.to_vec(), plain] {
        let path = PathBuf::from(std::ffi::OsString::from_vec(text));
        if path.is_absolute() {
            found.push(path);
        } else {
            found.extend(MOUNTED_FROM.iter().map(|place| Path::new(place).join(&path)));
        }
    }
    found.retain(|path| path.components().all(|part| part != std::path::Component::ParentDir));
    found.dedup();
    found
}

/// The directory of a file system that the host has mounted too. The whole of one is no container's directory.
fn plain_dir(table: &MountTable, root: &Mount) -> Option<PathBuf> {
    // A scrape opens the directory, so it must not be on a server that may not answer.
    if root.root == b"/" || root.root.ends_with(b"//deleted") || MountTable::is_network(root) {
        return None;
    }
    table.host_path(root.device, &root.root).filter(|path| path != Path::new(OsStr::from_bytes(b"/")))
}

#[cfg(test)]
mod tests;
