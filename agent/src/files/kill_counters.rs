//! How many processes of each cgroup the kernel has killed for memory, and being woken when that changes.
//!
//! | file | count | wakes |
//! |---|---|---|
//! | v2 `memory.events.local` (since 5.2) | `oom_kill`: processes of this cgroup alone | inotify, for the file |
//! | v1 `memory.oom_control` (`oom_kill` since 4.13) | the same | one eventfd for all, at an OOM before its kill |
//!
//! The kernel drops a count with its cgroup, so a kill in a cgroup that is removed at once may never be seen.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use super::FilesError;
use super::inotify::{self, ReadFlags, WatchFlags};
use crate::model::{CgroupKey, CgroupPath, CgroupVersion, Hierarchy};
use crate::parse;

/// A rise of one cgroup's count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rise {
    pub path: CgroupPath,
    /// Its directory in the memory hierarchy.
    pub key: CgroupKey,
    pub kills: u64,
}

struct Counted {
    key: CgroupKey,
    kills: u64,
    watch: Option<i32>,
}

enum Waker {
    Inotify { fd: OwnedFd, paths: HashMap<i32, CgroupPath> },
    Eventfd(OwnedFd),
}

/// The counts of all cgroups of the memory hierarchy.
pub struct KillCounters {
    hierarchy: Hierarchy,
    waker: Waker,
    counted: BTreeMap<CgroupPath, Counted>,
}

/// The cgroups whose counts are to be read again.
#[derive(Debug, Default)]
pub struct Woken {
    pub paths: Vec<CgroupPath>,
    /// All: it is not known which, or something was dropped on the way.
    pub all: bool,
}

/// How many processes of that cgroup itself the kernel has killed; `None` when it is gone, or its kernel does not count
/// them. The hierarchy is that of the memory controller.
pub fn kill_count(hierarchy: &Hierarchy, path: &CgroupPath) -> Result<Option<u64>, FilesError> {
    let file = count_file(hierarchy, path);
    let text = match std::fs::read(&file).map_err(|error| FilesError::io(&file, error)) {
        Err(error) if error.is_gone() => return Ok(None),
        text => text?,
    };
    parse::value_of(&text, "oom_kill").map_err(|error| FilesError::parse(file, error))
}

fn count_file(hierarchy: &Hierarchy, path: &CgroupPath) -> PathBuf {
    hierarchy.dir(path).join(match hierarchy.version {
        CgroupVersion::V2 => "memory.events.local",
        CgroupVersion::V1 => "memory.oom_control",
    })
}

impl KillCounters {
    /// The counters of the memory hierarchy, where it has that interface.
    ///
    /// # Errors
    /// Why they cannot be had, for people.
    pub fn open(hierarchies: &[Hierarchy], version: CgroupVersion) -> Result<Self, String> {
        let memory = hierarchies.iter().find(|hierarchy| hierarchy.has("memory"));
        let hierarchy = memory.ok_or("no hierarchy has the memory controller")?.clone();
        if hierarchy.version != version {
            return Err(format!("the memory controller is on cgroup {}", hierarchy.version.as_str()));
        }
        let refused = |what: &str, errno: Errno| format!("{what}: {errno}");
        let waker = match version {
            CgroupVersion::V2 => Waker::Inotify {
                fd: inotify::open().map_err(|errno| refused("inotify", errno))?,
                paths: HashMap::new(),
            },
            CgroupVersion::V1 => {
                let control = hierarchy.mount.join("cgroup.event_control");
                rustix::fs::access(&control, rustix::fs::Access::WRITE_OK)
                    .map_err(|errno| refused(&control.display().to_string(), errno))?;
                let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
                Waker::Eventfd(eventfd(0, flags).map_err(|errno| refused("eventfd", errno))?)
            }
        };
        Ok(Self { hierarchy, waker, counted: BTreeMap::new() })
    }

    /// Begins to watch a cgroup. Its first `known` kills do not count; without that, those until now.
    ///
    /// # Errors
    /// When its count cannot be read or watched; a cgroup that is gone is none.
    pub fn add(&mut self, path: &CgroupPath, key: CgroupKey, known: Option<u64>) -> Result<(), FilesError> {
        if path.is_root() || key.hierarchy != self.hierarchy.id {
            return Ok(());
        }
        let file = count_file(&self.hierarchy, path);
        let watch = match self.watch(path) {
            Ok(watch) => watch,
            Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
            Err(errno) => return Err(FilesError::io(file, errno)),
        };
        // The watch comes first: what happens between the two wakes.
        let kills = match known {
            Some(known) => known,
            None => kill_count(&self.hierarchy, path)?.unwrap_or(0),
        };
        self.counted.insert(path.clone(), Counted { key, kills, watch });
        Ok(())
    }

    /// Whether that directory is watched.
    pub fn has(&self, path: &CgroupPath, key: CgroupKey) -> bool {
        self.counted.get(path).is_some_and(|counted| counted.key == key)
    }

    /// Forgets cgroups that are gone, for callers that do not see every removal. Returns their counts: one may be renamed.
    pub fn retain(&mut self, is_there: impl Fn(&CgroupPath, CgroupKey) -> bool) -> HashMap<CgroupKey, u64> {
        let gone = self.counted.iter().filter(|(path, counted)| !is_there(path, counted.key));
        let gone: Vec<_> = gone.map(|(path, counted)| (path.clone(), counted.key, counted.kills)).collect();
        gone.iter().for_each(|(path, ..)| self.remove(path));
        gone.into_iter().map(|(_, key, kills)| (key, kills)).collect()
    }

    /// Forgets a cgroup that is gone; the kernel has dropped its watch.
    pub fn remove(&mut self, path: &CgroupPath) {
        if let (Some(gone), Waker::Inotify { paths, .. }) = (self.counted.remove(path), &mut self.waker) {
            gone.watch.map(|watch| paths.remove(&watch));
        }
    }

    fn watch(&mut self, path: &CgroupPath) -> Result<Option<i32>, Errno> {
        let file = count_file(&self.hierarchy, path);
        match &mut self.waker {
            Waker::Inotify { fd, paths } => {
                let watch = inotify::add_watch(fd, &file, WatchFlags::MODIFY)?;
                paths.insert(watch, path.clone());
                Ok(Some(watch))
            }
            Waker::Eventfd(fd) => {
                let io = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
                let control = std::fs::File::open(&file).map_err(io)?;
                let order = format!("{} {}", fd.as_raw_fd(), control.as_raw_fd());
                std::fs::write(self.hierarchy.dir(path).join("cgroup.event_control"), order).map_err(io)?;
                Ok(None)
            }
        }
    }

    /// Reads which counts may have changed since the last call.
    ///
    /// # Errors
    /// When the descriptor cannot be read.
    pub fn woken(&mut self) -> Result<Woken, FilesError> {
        match &mut self.waker {
            Waker::Inotify { fd, paths } => {
                let mut woken = Woken::default();
                for notice in inotify::drain(fd)? {
                    if notice.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                        woken.all = true;
                    } else if notice.flags.contains(ReadFlags::IGNORED) {
                        // The kernel has dropped the watch with its file.
                        paths.remove(&notice.watch);
                    } else {
                        woken.paths.extend(paths.get(&notice.watch).cloned());
                    }
                }
                Ok(woken)
            }
            Waker::Eventfd(fd) => {
                let mut count = [0; 8];
                match rustix::io::read(fd, &mut count) {
                    Ok(_) => Ok(Woken { paths: Vec::new(), all: true }),
                    Err(Errno::AGAIN | Errno::INTR) => Ok(Woken::default()),
                    Err(errno) => Err(FilesError::io("eventfd", errno)),
                }
            }
        }
    }

    /// Whether the wake comes before the kill, so that a look at once may be too early.
    pub fn wakes_early(&self) -> bool {
        matches!(self.waker, Waker::Eventfd(_))
    }

    /// The counts that have risen, of those that were woken. One that cannot be read is left for the next time.
    pub fn rises(&mut self, woken: &Woken) -> Vec<Rise> {
        let looked: Vec<CgroupPath> =
            if woken.all { self.counted.keys().cloned().collect() } else { woken.paths.clone() };
        let mut rises = Vec::new();
        for path in looked {
            let Ok(Some(now)) = kill_count(&self.hierarchy, &path) else { continue };
            if let Some(counted) = self.counted.get_mut(&path) {
                let kills = now.saturating_sub(counted.kills);
                counted.kills = now;
                if kills > 0 {
                    rises.push(Rise { path, key: counted.key, kills });
                }
            }
        }
        rises
    }
}

impl AsFd for KillCounters {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.waker {
            Waker::Inotify { fd, .. } | Waker::Eventfd(fd) => fd.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HierarchyId;

    /// On an ordinary file system: inotify reports changed files there in the same way.
    #[test]
    fn counts_rise_and_what_is_gone_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, kills: u64| {
            let dir = folder.path().join(name);
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("memory.events.local"), format!("oom 1\noom_kill {kills}\n")).unwrap();
        };
        let key = |id| CgroupKey { hierarchy: HierarchyId::V2, id };
        let (old, new) = (CgroupPath::from("/old"), CgroupPath::from("/new"));
        let mount = folder.path().to_owned();
        let controllers = vec!["memory".to_owned()];
        let hierarchy = Hierarchy { id: HierarchyId::V2, version: CgroupVersion::V2, controllers, mount };
        assert!(KillCounters::open(std::slice::from_ref(&hierarchy), CgroupVersion::V1).is_err());
        let mut counters = KillCounters::open(&[hierarchy], CgroupVersion::V2).unwrap();
        write("old", 3);
        write("new", 1);
        counters.add(&old, key(1), None).unwrap();
        counters.add(&new, key(2), Some(0)).unwrap();
        counters.add(&CgroupPath::from("/gone"), key(3), Some(0)).unwrap();
        let rise = |path: &CgroupPath, id, kills| Rise { path: path.clone(), key: key(id), kills };
        let all = Woken { paths: Vec::new(), all: true };
        assert_eq!(counters.rises(&all), [rise(&new, 2, 1)], "what was killed before does not count");
        write("old", 5);
        let woken = counters.woken().unwrap();
        assert_eq!(counters.rises(&woken), [rise(&old, 1, 2)]);
        counters.retain(|path, _| *path == old);
        assert!(counters.has(&old, key(1)) && !counters.has(&new, key(2)));
        assert!(!counters.has(&old, key(9)), "another directory of the same path");
    }
}
