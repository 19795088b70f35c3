//! A cgroup's path from its id alone, for kernels that let no program read the path.
//!
//! A file handle of kernfs is the node's id (`FILEID_KERNFS`, `fs/kernfs/mount.c`), so one can be made up:
//! `open_by_handle_at` finds the directory, and `/proc/self/fd` has its path. Needs CAP_DAC_READ_SEARCH.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::model::{CgroupKey, CgroupPath, Hierarchy, HierarchyId};

/// `include/linux/exportfs.h`.
const FILEID_KERNFS: i32 = 0xfe;
/// What the kernel appends to the path of a directory that is gone.
const DELETED: &[u8] = b" (deleted)";

/// `struct file_handle` with the id in the place of its bytes.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    id: [u8; 8],
}

const _: () = assert!(size_of::<Handle>() == 16);

/// Finds paths below the mounts of the hierarchies.
pub struct Paths {
    mounts: Vec<(HierarchyId, PathBuf, File)>,
}

impl Paths {
    /// Opens the mounts, and tries one handle: that of each mount's own root.
    ///
    /// # Errors
    /// A mount cannot be opened, or this process may not use handles.
    pub fn open(hierarchies: &[Hierarchy]) -> io::Result<Self> {
        let mut mounts = Vec::new();
        for hierarchy in hierarchies {
            let dir = File::open(&hierarchy.mount)?;
            let id = rustix::fs::fstat(&dir)?.st_ino;
            let root = read_path(&open(&dir, id)?)?;
            mounts.push((hierarchy.id, PathBuf::from(OsStr::from_bytes(&root)), dir));
        }
        Ok(Self { mounts })
    }

    /// The path of that cgroup now; `None` when there is no such directory, or not yet: the kernel reports a new one
    /// just before it can be seen.
    pub fn of(&self, key: CgroupKey) -> Option<CgroupPath> {
        let (_, root, dir) = self.mounts.iter().find(|(id, _, _)| *id == key.hierarchy)?;
        let found = open(dir, key.id).ok()?;
        let path = read_path(&found).ok()?;
        // A name may end like this too: then the directory is there.
        if path.ends_with(DELETED) && !Path::new(OsStr::from_bytes(&path)).exists() {
            return None;
        }
        let below = path.strip_prefix(root.as_os_str().as_bytes())?;
        Some(if below.is_empty() { CgroupPath::root() } else { CgroupPath::from_bytes(below) })
    }
}

fn open(mount: &File, id: u64) -> io::Result<OwnedFd> {
    let mut handle = Handle { bytes: 8, kind: FILEID_KERNFS, id: id.to_ne_bytes() };
    // SAFETY: the handle has the bytes that it states and lives through the call.
    let fd = unsafe {
        libc::open_by_handle_at(
            mount.as_fd().as_raw_fd(),
            (&raw mut handle).cast(),
            libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn read_path(fd: &OwnedFd) -> io::Result<Vec<u8>> {
    let path = rustix::fs::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new())?;
    Ok(path.into_bytes())
}
