//! One directory of a cgroup: its files that stay open, and one pass over all its files.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, Stat, fstat, openat, statat};
use rustix::io::{Errno, Result};

use super::spec::FileSpec;
use super::{CgroupReading, Gone, ReadContext};
use crate::files::FilesError;
use crate::files::error::is_gone;
use crate::files::walk::relative;
use crate::model::{CgroupKey, CgroupPath, HierarchyId};

/// Passes after which missing files are looked for again: v2 adds a controller's files to cgroups that exist when
/// the controller is enabled above them.
const RECHECK_PASSES: u32 = 64;

/// What is kept of a directory between two passes.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) key: CgroupKey,
    /// When it was made, by its time stamps.
    pub(super) created: Option<SystemTime>,
    /// One for each file of the plan.
    slots: Vec<FileSlot>,
    passes: u32,
}

/// A file of the plan, and what is known of it.
#[derive(Debug)]
struct FileSlot {
    spec: &'static FileSpec,
    /// Open from the last pass.
    file: Option<OwnedFd>,
    /// Which of its names it has; the first until it is found.
    name: usize,
    /// It is not there, or the kernel does not support it here.
    is_missing: bool,
}

impl FileSlot {
    fn miss(&mut self) {
        (self.name, self.is_missing) = (0, true);
    }
}

impl Member {
    pub(super) fn open_files(&self) -> usize {
        self.slots.iter().filter(|slot| slot.file.is_some()).count()
    }

    /// Every so often forgets which files are missing.
    fn count_pass(&mut self) {
        self.passes = (self.passes + 1) % RECHECK_PASSES;
        if self.passes == 0 {
            self.slots.iter_mut().for_each(|slot| slot.is_missing = false);
        }
    }
}

/// One pass over the files of one directory.
pub(super) struct Pass<'a> {
    context: &'a mut ReadContext,
    index: usize,
    cgroup: &'a CgroupPath,
    key: CgroupKey,
    in_cpuacct: bool,
    reading: &'a mut CgroupReading,
    /// The directory, once a file had to be opened in it. Its inode was compared then.
    dir: Option<OwnedFd>,
    /// A file was not there: it is missing, or the directory is gone.
    doubt: bool,
    pub(super) files: usize,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        context: &'a mut ReadContext,
        index: usize,
        cgroup: &'a CgroupPath,
        key: CgroupKey,
        in_cpuacct: bool,
        reading: &'a mut CgroupReading,
    ) -> Self {
        Self { context, index, cgroup, key, in_cpuacct, reading, dir: None, doubt: false, files: 0 }
    }

    /// Reads the files of the plan; `kept` is what earlier passes left of the cgroup.
    pub(super) fn run(&mut self, kept: &mut Vec<Member>) -> std::result::Result<(), Gone> {
        let place = match kept.iter().position(|member| member.key == self.key) {
            Some(place) => place,
            None => match self.first_look() {
                Ok(member) => {
                    kept.push(member);
                    kept.len() - 1
                }
                Err(errno) => return self.failed_dir(errno),
            },
        };
        let Some(member) = kept.get_mut(place) else { return Ok(()) };
        let result = self.read_files(member);
        member.count_pass();
        match result {
            Err(errno) => self.failed_dir(errno),
            Ok(()) if self.doubt && !self.context.is_there(self.index, self.cgroup, self.key.id) => {
                Err(Gone(self.key.hierarchy))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Opens a directory for the first time, and takes its time stamps.
    fn first_look(&mut self) -> Result<Member> {
        let dir = self.context.open_dir(self.index, self.cgroup, self.key.id)?;
        let other =
            if self.key.hierarchy == HierarchyId::V2 { c"cgroup.events" } else { c"cgroup.clone_children" };
        let stamps = [fstat(&dir), statat(&dir, other, AtFlags::SYMLINK_NOFOLLOW)];
        let created = stamps.iter().flatten().filter_map(modified).min();
        let files = self.context.hierarchies.get(self.index).into_iter().flat_map(|source| &source.files);
        let slots = files.map(|&spec| FileSlot { spec, file: None, name: 0, is_missing: false }).collect();
        self.dir = Some(dir);
        Ok(Member { key: self.key, created, slots, passes: 0 })
    }

    fn read_files(&mut self, member: &mut Member) -> Result<()> {
        for slot in &mut member.slots {
            let skipped = slot.is_missing
                || (slot.spec.yields_to_cpuacct && self.in_cpuacct)
                || (slot.spec.is_known)(&self.reading.stats);
            if !skipped && !self.read_kept(slot) {
                self.open_and_read(slot)?;
            }
        }
        Ok(())
    }

    /// Reads a file that is kept open; false when it is not, or is not this cgroup's file any more.
    fn read_kept(&mut self, slot: &mut FileSlot) -> bool {
        let Some(fd) = &slot.file else { return false };
        match self.context.buffer.fill(fd) {
            Ok(()) => self.apply(slot),
            Err(errno) => {
                slot.file = None;
                self.context.budget.give_back();
                if is_gone(errno) {
                    self.doubt = true;
                    return false;
                }
                self.failed(slot, errno);
            }
        }
        true
    }

    /// Opens the first of the file's names that is there. Fails when the directory cannot be opened.
    fn open_and_read(&mut self, slot: &mut FileSlot) -> Result<()> {
        for (number, name) in slot.spec.names.iter().enumerate().skip(slot.name) {
            let opened = openat(self.dir()?, *name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            let read = opened.and_then(|fd| self.context.buffer.fill(&fd).map(|()| fd));
            match read {
                Ok(fd) => {
                    slot.name = number;
                    slot.file = self.context.budget.take().then_some(fd);
                    self.apply(slot);
                    return Ok(());
                }
                Err(errno) if is_gone(errno) => self.doubt = true,
                Err(errno) => {
                    slot.name = number;
                    self.failed(slot, errno);
                    return Ok(());
                }
            }
        }
        slot.miss();
        Ok(())
    }

    fn apply(&mut self, slot: &FileSlot) {
        self.files += 1;
        if let Err(error) = (slot.spec.apply)(self.context.buffer.text(), &mut self.reading.stats) {
            self.reading.errors.push(FilesError::parse(self.path(slot), error));
        }
    }

    /// Notes why a file could not be read. What the kernel does not support is missing, not wrong.
    fn failed(&mut self, slot: &mut FileSlot, errno: Errno) {
        match errno {
            Errno::OPNOTSUPP => slot.miss(),
            _ => {
                self.note_starved(errno);
                self.reading.errors.push(FilesError::io(self.path(slot), errno));
            }
        }
    }

    /// The directory could not be opened.
    fn failed_dir(&mut self, errno: Errno) -> std::result::Result<(), Gone> {
        if is_gone(errno) {
            return Err(Gone(self.key.hierarchy));
        }
        self.note_starved(errno);
        self.reading.errors.push(FilesError::io(self.dir_path(), errno));
        Ok(())
    }

    fn note_starved(&mut self, errno: Errno) {
        if matches!(errno, Errno::MFILE | Errno::NFILE) {
            self.context.budget.is_starved = true;
        }
    }

    /// The directory, opened when it is first asked for.
    fn dir(&mut self) -> Result<&OwnedFd> {
        if self.dir.is_none() {
            self.dir = Some(self.context.open_dir(self.index, self.cgroup, self.key.id)?);
        }
        self.dir.as_ref().ok_or(Errno::NOENT)
    }

    fn dir_path(&self) -> PathBuf {
        let source = self.context.hierarchies.get(self.index);
        source.map(|source| source.hierarchy.dir(self.cgroup)).unwrap_or_default()
    }

    fn path(&self, slot: &FileSlot) -> PathBuf {
        let name = slot.spec.names.get(slot.name).map(|name| name.to_bytes()).unwrap_or_default();
        self.dir_path().join(OsStr::from_bytes(name))
    }
}

impl ReadContext {
    /// The directory of a cgroup, if it is the one with that inode; ENOENT if it is not there or another.
    pub(super) fn open_dir(&mut self, index: usize, cgroup: &CgroupPath, id: u64) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = openat(self.root(index)?, relative(cgroup), flags, Mode::empty())?;
        if fstat(&dir)?.st_ino == id { Ok(dir) } else { Err(Errno::NOENT) }
    }

    /// Whether the directory is there, is the one with that inode, and is not being removed.
    ///
    /// `rmdir` takes away the files one by one before the directory itself, and holds the directory's lock meanwhile.
    /// Listing the directory takes that lock too: it waits for the end of a removal and then fails, so a file that
    /// was missed on the way is not taken for one that the cgroup never had. A directory that cannot be looked at for
    /// another reason (no descriptor is left) counts as there.
    pub(super) fn is_there(&mut self, index: usize, cgroup: &CgroupPath, id: u64) -> bool {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut look = || {
            let dir = openat(self.root(index)?, relative(cgroup), flags, Mode::empty())?;
            let mut listing = [MaybeUninit::uninit(); 4096];
            let _first = RawDir::new(&dir, &mut listing).next().transpose()?;
            Ok(fstat(&dir)?.st_ino == id)
        };
        look().unwrap_or_else(|errno: Errno| !is_gone(errno))
    }
}

/// When a file was last modified. kernfs sets this when the file is made.
fn modified(stat: &Stat) -> Option<SystemTime> {
    let sec = u64::try_from(stat.st_mtime).ok()?;
    let nsec = u32::try_from(stat.st_mtime_nsec).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(sec, nsec))
}
