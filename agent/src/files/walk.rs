//! A look at every cgroup of a hierarchy: one `stat` per directory, and one listing where others are in it.

use std::ffi::{CStr, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, fstat, openat, statat};

use super::FilesError;
use super::error::is_gone;
use crate::model::{CgroupKey, CgroupPath, Hierarchy};

/// Room for the listing of a cgroup directory with its 40 to 80 files in one system call.
const LISTING_BYTES: usize = 32 << 10;

#[derive(Debug, Default)]
pub struct CgroupWalk {
    /// The cgroups, the root first, each above those below it.
    pub cgroups: Vec<(CgroupKey, CgroupPath)>,
    /// Directories that were listed by their parent and gone when it was their turn.
    pub vanished: u64,
    /// Directories that could not be listed. They are in `cgroups`, but no directory below them is.
    pub errors: Vec<FilesError>,
}

/// Every cgroup of the hierarchy, the root included. A cgroup that is made or removed meanwhile may be there or not.
pub fn walk(hierarchy: &Hierarchy) -> CgroupWalk {
    let mut walk = CgroupWalk::default();
    if let Err(errno) = add_all(hierarchy, &mut walk) {
        walk.errors.push(FilesError::io(&hierarchy.mount, errno));
    }
    walk
}

/// Adds the root and all below it. A list of directories to read, no recursion: a container may nest cgroups deeply.
fn add_all(hierarchy: &Hierarchy, walk: &mut CgroupWalk) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, &hierarchy.mount, flags, Mode::empty())?;
    let mut pending = vec![(fstat(&root)?.st_ino, CgroupPath::root())];
    let mut listing = Vec::new();
    while let Some((id, path)) = pending.pop() {
        let before = pending.len();
        match list(&root, &path, &mut listing, &mut pending) {
            Ok(()) => {}
            Err(errno) if is_gone(errno) && !path.is_root() => {
                walk.vanished += 1;
                pending.truncate(before);
                continue;
            }
            Err(errno) => walk.errors.push(FilesError::io(hierarchy.dir(&path), errno)),
        }
        walk.cgroups.push((CgroupKey { hierarchy: hierarchy.id, id }, path));
    }
    Ok(())
}

/// Appends the directories in `path`. A directory has one link from above, one from itself and one from each
/// directory in it (kernfs counts them, as most file systems do), so one with two links need not be listed; most
/// cgroups are such leaves.
fn list(
    root: &OwnedFd,
    path: &CgroupPath,
    listing: &mut Vec<u8>,
    into: &mut Vec<(u64, CgroupPath)>,
) -> rustix::io::Result<()> {
    if statat(root, relative(path), AtFlags::SYMLINK_NOFOLLOW)?.st_nlink == 2 {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = openat(root, relative(path), flags, Mode::empty())?;
    each_directory(&dir, listing, |id, name| into.push((id, path.join(name.to_bytes()))))
}

/// Calls `found` with inode and name of each directory in `dir`. The listing has both, so no further call is made.
pub(super) fn each_directory(
    dir: &OwnedFd,
    listing: &mut Vec<u8>,
    mut found: impl FnMut(u64, &CStr),
) -> rustix::io::Result<()> {
    listing.reserve(LISTING_BYTES);
    let mut entries = RawDir::new(dir, listing.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        match entry.file_type() {
            _ if matches!(name.to_bytes(), b"." | b"..") => {}
            FileType::Directory => found(entry.ino(), name),
            FileType::Unknown => match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                    found(stat.st_ino, name);
                }
                _ => {}
            },
            _ => {}
        }
    }
    Ok(())
}

/// A cgroup's path below its hierarchy's root, as `openat` wants it.
pub(super) fn relative(path: &CgroupPath) -> &OsStr {
    match path.as_bytes() {
        [b'/', below @ ..] if !below.is_empty() => OsStr::from_bytes(below),
        _ => OsStr::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::{Fixture, key_of};
    use crate::files::hierarchies;

    fn sorted(walk: &CgroupWalk) -> Vec<CgroupPath> {
        let mut paths: Vec<_> = walk.cgroups.iter().map(|(_, path)| path.clone()).collect();
        paths.sort();
        paths
    }

    #[test]
    fn every_directory_once_with_its_inode() {
        let fixture = Fixture::v2();
        let odd: [&[u8]; 4] = [b"a b/\"q\"", b"x\xff\\y/deep/er", b"plain", b"a:b"];
        for name in odd {
            fixture.dir(&[b"sys/fs/cgroup/", name].concat());
        }
        fixture.file("sys/fs/cgroup/plain/memory.stat", "anon 1\n");
        let hierarchy = &hierarchies(&fixture.host()).unwrap()[0];
        let found = walk(hierarchy);
        let wanted: [&[u8]; 8] = [
            b"/",
            b"/a b",
            b"/a b/\"q\"",
            b"/a:b",
            b"/plain",
            b"/x\xff\\y",
            b"/x\xff\\y/deep",
            b"/x\xff\\y/deep/er",
        ];
        assert_eq!(sorted(&found), wanted.map(CgroupPath::from_bytes));
        for (key, path) in &found.cgroups {
            assert_eq!(*key, key_of(hierarchy, path), "{path}");
        }
        assert_eq!(found.cgroups[0].1, CgroupPath::root());
        assert_eq!((found.vanished, found.errors.len()), (0, 0));
    }

    #[test]
    fn a_deep_tree_does_not_use_the_stack() {
        let fixture = Fixture::v2();
        let deep = "sys/fs/cgroup".to_owned() + &"/d".repeat(1500);
        fixture.dir(deep.as_bytes());
        assert_eq!(walk(&hierarchies(&fixture.host()).unwrap()[0]).cgroups.len(), 1501);
    }

    #[test]
    fn a_hierarchy_that_is_gone_is_an_error() {
        let fixture = Fixture::v2();
        let hierarchy = hierarchies(&fixture.host()).unwrap().remove(0);
        std::fs::remove_dir_all(fixture.path("sys/fs/cgroup")).unwrap();
        let found = walk(&hierarchy);
        assert_eq!((found.cgroups.len(), found.errors.len()), (0, 1));
    }
}
