//! The directories of the cgroup file systems, watched by inotify: which come, go, move, and (v2) begin and cease to run.
//!
//! A process that makes a directory and at once another in it is faster than a watch on the first. So each new directory
//! is watched and then listed. A directory that is made and gone before it can be looked at has no id any more: it is counted
//! in [`CgroupEvents::unseen`] and is no event.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

use rustix::io::Errno;

use super::inotify::{self, Notice, ReadFlags, WatchFlags};
use super::populated::populated;
use super::{FilesError, directory_key};
use crate::model::{
    CgroupEvents, CgroupKey, CgroupPath, CgroupVersion, Hierarchy, HierarchyId, LifecycleEvent,
    LifecycleKind, Source,
};

/// What is watched of each directory.
const DIRECTORY: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR);

/// What happened since the last look.
#[derive(Debug, Default)]
pub struct TreeEvents {
    pub seen: CgroupEvents,
    /// Directories that could not be watched: those below them are not seen.
    pub errors: Vec<FilesError>,
}

impl TreeEvents {
    fn push(&mut self, key: CgroupKey, path: &CgroupPath, kind: LifecycleKind) {
        self.seen.events.push(LifecycleEvent {
            time: SystemTime::now(),
            source: Source::Inotify,
            key,
            parent: None,
            level: u32::try_from(path.components().count()).unwrap_or(u32::MAX),
            path: path.clone(),
            path_cut: false,
            kind,
        });
    }
}

/// A directory of a hierarchy.
type Place = (HierarchyId, CgroupPath);

#[derive(Clone, Debug)]
struct Watched {
    place: Place,
    /// `cgroup.events` of v2; else the directory.
    is_events: bool,
}

#[derive(Clone, Debug)]
struct Known {
    key: CgroupKey,
    watches: Vec<i32>,
    populated: Option<bool>,
}

pub struct TreeWatch {
    fd: OwnedFd,
    hierarchies: Vec<Hierarchy>,
    watched: HashMap<i32, Watched>,
    known: HashMap<Place, Known>,
}

impl TreeWatch {
    /// Watches nothing yet; [`TreeWatch::add_all`] does.
    ///
    /// # Errors
    /// When there is no inotify instance left.
    pub fn open(hierarchies: &[Hierarchy]) -> Result<Self, FilesError> {
        let fd = inotify::open().map_err(|errno| FilesError::io("inotify", errno))?;
        Ok(Self { fd, hierarchies: hierarchies.to_vec(), watched: HashMap::new(), known: HashMap::new() })
    }

    /// Watches every directory that there is and that is not watched yet, and forgets those that are gone; each of these is
    /// an event.
    pub fn add_all(&mut self) -> TreeEvents {
        let mut found = TreeEvents::default();
        for hierarchy in self.hierarchies.clone() {
            self.add_below(&hierarchy, &CgroupPath::root(), &mut found);
        }
        // They vanish while they are looked for: nothing that was made is missed by that.
        found.seen.unseen = 0;
        self.forget_gone(&mut found);
        found
    }

    fn hierarchy(&self, id: HierarchyId) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|hierarchy| hierarchy.id == id)
    }

    /// Forgets directories whose removal the kernel did not report, as its queue was full.
    fn forget_gone(&mut self, found: &mut TreeEvents) {
        let is_gone = |(id, path): &Place, known: &Known| {
            let key = self.hierarchy(*id).and_then(|hierarchy| directory_key(hierarchy, path));
            key != Some(known.key)
        };
        let gone = self.known.iter().filter(|(place, known)| is_gone(place, known));
        let mut gone: Vec<_> = gone.map(|(place, _)| place.clone()).collect();
        // Children before their parents, as the kernel does.
        gone.sort_unstable();
        for (hierarchy, path) in gone.into_iter().rev() {
            self.remove(hierarchy, &path, found);
        }
    }

    /// Watches a directory and all below it; those that were not known are events.
    fn add_below(&mut self, hierarchy: &Hierarchy, top: &CgroupPath, found: &mut TreeEvents) {
        let mut pending = vec![top.clone()];
        while let Some(path) = pending.pop() {
            let dir = hierarchy.dir(&path);
            match self.add(hierarchy, &path, &dir) {
                Ok(Some(key)) => found.push(key, &path, LifecycleKind::Created),
                Ok(None) => {}
                Err(Errno::NOENT | Errno::NODEV | Errno::NOTDIR) => {
                    found.seen.unseen += 1;
                    continue;
                }
                Err(errno) => {
                    found.errors.push(FilesError::io(dir, errno));
                    continue;
                }
            }
            // After the watch: a directory that is made meanwhile is found twice, and is known the second time.
            let Ok(entries) = std::fs::read_dir(&dir) else { continue };
            let directories =
                entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            pending.extend(directories.map(|entry| path.join(entry.file_name().as_bytes())));
        }
    }

    /// The key of a directory that was not known.
    fn add(
        &mut self,
        hierarchy: &Hierarchy,
        path: &CgroupPath,
        dir: &Path,
    ) -> Result<Option<CgroupKey>, Errno> {
        let place = (hierarchy.id, path.clone());
        let watch = inotify::add_watch(&self.fd, dir, DIRECTORY)?;
        let key = CgroupKey { hierarchy: hierarchy.id, id: rustix::fs::stat(dir)?.st_ino };
        if self.known.get(&place).is_some_and(|known| known.key == key) {
            return Ok(None);
        }
        self.watched.insert(watch, Watched { place: place.clone(), is_events: false });
        let mut watches = vec![watch];
        if hierarchy.version == CgroupVersion::V2 && !path.is_root() {
            // A domain without this file is none that could run anything.
            if let Ok(events) = inotify::add_watch(&self.fd, dir.join("cgroup.events"), WatchFlags::MODIFY) {
                self.watched.insert(events, Watched { place: place.clone(), is_events: true });
                watches.push(events);
            }
        }
        let populated = populated(dir);
        self.known.insert(place, Known { key, watches, populated });
        Ok(Some(key))
    }

    /// What has happened since the last call, without waiting.
    ///
    /// # Errors
    /// When inotify cannot be read any more.
    pub fn read(&mut self) -> Result<TreeEvents, FilesError> {
        let mut found = TreeEvents::default();
        for notice in inotify::drain(&self.fd)? {
            self.take(&notice, &mut found);
        }
        Ok(found)
    }

    fn take(&mut self, notice: &Notice, found: &mut TreeEvents) {
        if notice.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            found.seen.overflows += 1;
            return;
        }
        if notice.flags.contains(ReadFlags::IGNORED) {
            // The kernel has dropped the watch with its file.
            self.watched.remove(&notice.watch);
            return;
        }
        let Some(Watched { place, is_events }) = self.watched.get(&notice.watch).cloned() else { return };
        let Some(hierarchy) = self.hierarchy(place.0).cloned() else { return };
        if is_events {
            self.look_populated(&hierarchy, &place, found);
        } else if notice.flags.contains(ReadFlags::ISDIR) {
            let path = place.1.join(&notice.name);
            if notice.flags.contains(ReadFlags::CREATE) {
                self.add_below(&hierarchy, &path, found);
            } else if notice.flags.contains(ReadFlags::DELETE) {
                self.remove(hierarchy.id, &path, found);
            } else if notice.flags.contains(ReadFlags::MOVED_TO) {
                self.moved(&hierarchy, &path, found);
            }
        }
    }

    fn look_populated(&mut self, hierarchy: &Hierarchy, place: &Place, found: &mut TreeEvents) {
        let now = populated(&hierarchy.dir(&place.1));
        let Some(known) = self.known.get_mut(place) else { return };
        if let Some(now) = now.filter(|now| known.populated != Some(*now)) {
            known.populated = Some(now);
            found.push(known.key, &place.1, LifecycleKind::Populated(now));
        }
    }

    fn remove(&mut self, hierarchy: HierarchyId, path: &CgroupPath, found: &mut TreeEvents) {
        let Some(known) = self.known.remove(&(hierarchy, path.clone())) else { return };
        for watch in known.watches {
            self.watched.remove(&watch);
        }
        if known.populated == Some(true) {
            // The change of its `cgroup.events` may have come too late to be read.
            found.push(known.key, path, LifecycleKind::Populated(false));
        }
        found.push(known.key, path, LifecycleKind::Removed);
    }

    /// A directory has a new name (v1): those below it move with it.
    fn moved(&mut self, hierarchy: &Hierarchy, new: &CgroupPath, found: &mut TreeEvents) {
        let key = directory_key(hierarchy, new);
        let Some((old, key)) = self.known.iter().find(|(_, known)| Some(known.key) == key) else {
            return self.add_below(hierarchy, new, found);
        };
        let (old, key) = (old.1.clone(), key.key);
        let within = self.known.keys().filter(|place| place.0 == hierarchy.id);
        let moves: Vec<(Place, CgroupPath)> =
            within.filter_map(|place| Some((place.clone(), place.1.rebase(&old, new)?))).collect();
        for (place, path) in moves {
            let Some(known) = self.known.remove(&place) else { continue };
            for watch in &known.watches {
                if let Some(watched) = self.watched.get_mut(watch) {
                    watched.place.1 = path.clone();
                }
            }
            self.known.insert((place.0, path), known);
        }
        found.push(key, new, LifecycleKind::Renamed);
    }
}

impl AsFd for TreeWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests;
