//! How much a directory holds, as `du` counts it: blocks, each inode once, one file system.
//!
//! What is walked is a container's, which may change it under the walk: every step goes from a directory that is open
//! to a name in it and follows no link, so that it cannot be led out of the directory.

use std::collections::HashSet;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat, fstat, openat, statat};
use rustix::io::Errno;

/// Directories that stay open on the way down; from deeper ones the way back is `..`.
const OPEN_DIRS: usize = 64;

/// What is deeper than this is left out.
const MAX_DEPTH: usize = 4096;

/// Directories that are still to be looked at, at one time. A name is 256 bytes at most.
const MAX_PENDING: usize = 100_000;

/// Inodes with several names that are remembered; more than this and one may count twice.
const MAX_LINKED: usize = 200_000;

const LISTING_BYTES: usize = 32 << 10;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// Blocks, in bytes.
    pub(super) bytes: u64,
    pub(super) inodes: u64,
    /// Whether something was left out: it could not be read, or there was too much of it.
    pub(super) cut: bool,
}

/// Counts directories and files into one sum.
pub(super) struct DiskWalk<'a> {
    pub(super) sum: Sum,
    /// Device and inode of files with several names.
    linked: HashSet<(u64, u64)>,
    pending: usize,
    /// Called for each entry; false ends the walk.
    pace: &'a mut dyn FnMut() -> bool,
}

/// The agent ends, and the walk with it.
#[derive(Debug)]
pub(super) struct Ended;

/// A directory on the way down.
struct Level {
    /// `None` while it is closed.
    dir: Option<OwnedFd>,
    id: (u64, u64),
    below: Vec<CString>,
}

impl<'a> DiskWalk<'a> {
    pub(super) fn new(pace: &'a mut dyn FnMut() -> bool) -> Self {
        Self { sum: Sum::default(), linked: HashSet::new(), pending: 0, pace }
    }

    pub(super) fn file(&mut self, stat: &Stat) {
        let id = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1 && FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            if self.linked.contains(&id) {
                return;
            }
            if self.linked.len() < MAX_LINKED {
                self.linked.insert(id);
            } else {
                self.sum.cut = true;
            }
        }
        // Blocks are of 512 bytes, whatever the file system's are.
        self.sum.bytes = self.sum.bytes.saturating_add(u64::try_from(stat.st_blocks).unwrap_or(0) * 512);
        self.sum.inodes += 1;
    }

    /// Counts a directory and all below it, on its file system.
    ///
    /// # Errors
    /// When the agent stops.
    pub(super) fn directory(&mut self, dir: &OwnedFd) -> Result<(), Ended> {
        let Ok(stat) = fstat(dir) else { return Ok(()) };
        self.file(&stat);
        let device = stat.st_dev;
        // The caller's may be good for opening alone.
        let Ok(dir) = openat(dir, c".", DIRECTORY, Mode::empty()) else {
            self.sum.cut = true;
            return Ok(());
        };
        let mut levels = vec![self.enter(dir, (stat.st_dev, stat.st_ino))?];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.below.pop() else {
                let left = levels.pop();
                self.go_back(left, &mut levels);
                continue;
            };
            self.pending -= 1;
            let Some(dir) = &level.dir else { continue };
            match openat(dir, &name, DIRECTORY, Mode::empty()).and_then(|dir| Ok((fstat(&dir)?, dir))) {
                Ok((stat, dir)) if stat.st_dev == device => {
                    let next = self.enter(dir, (stat.st_dev, stat.st_ino))?;
                    if levels.len() >= OPEN_DIRS
                        && let Some(above) = levels.last_mut()
                    {
                        above.dir = None;
                    }
                    levels.push(next);
                    if levels.len() >= MAX_DEPTH {
                        self.forget_below(&mut levels);
                    }
                }
                Ok(_) => {}
                Err(errno) => self.missed(errno),
            }
        }
        Ok(())
    }

    /// Back to the directory above: it is open, or it is where `..` leads if this one was not moved meanwhile.
    fn go_back(&mut self, left: Option<Level>, levels: &mut [Level]) {
        let Some(above) = levels.last_mut() else { return };
        if above.dir.is_some() {
            return;
        }
        above.dir = left.and_then(|left| parent(left.dir.as_ref()?, above.id));
        if above.dir.is_none() {
            self.forget_below(levels);
        }
    }

    /// Leaves out what is below the innermost directory.
    fn forget_below(&mut self, levels: &mut [Level]) {
        if let Some(level) = levels.last_mut() {
            self.sum.cut |= !level.below.is_empty();
            self.pending -= level.below.len();
            level.below.clear();
        }
    }

    /// Counts what is in a directory, and keeps the names of the directories among it.
    fn enter(&mut self, dir: OwnedFd, id: (u64, u64)) -> Result<Level, Ended> {
        let mut below = Vec::new();
        let mut listing = [const { MaybeUninit::uninit() }; LISTING_BYTES];
        let mut entries = RawDir::new(&dir, &mut listing);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) => {
                    self.missed(errno);
                    break;
                }
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if !(self.pace)() {
                return Err(Ended);
            }
            match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if stat.st_dev != id.0 => {}
                Ok(stat) => {
                    self.file(&stat);
                    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                        self.keep(&mut below, name.to_owned());
                    }
                }
                Err(errno) => self.missed(errno),
            }
        }
        Ok(Level { dir: Some(dir), id, below })
    }

    fn keep(&mut self, below: &mut Vec<CString>, name: CString) {
        if self.pending < MAX_PENDING {
            self.pending += 1;
            below.push(name);
        } else {
            self.sum.cut = true;
        }
    }

    /// What vanished meanwhile is no fault, nor is a directory that became a link.
    fn missed(&mut self, errno: Errno) {
        self.sum.cut |= !matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP);
    }
}

/// The directory above, if it is that one.
fn parent(dir: &OwnedFd, id: (u64, u64)) -> Option<OwnedFd> {
    let above = openat(dir, c"..", DIRECTORY, Mode::empty()).ok()?;
    let stat = fstat(&above).ok()?;
    ((stat.st_dev, stat.st_ino) == id).then_some(above)
}

#[cfg(test)]
mod tests;
