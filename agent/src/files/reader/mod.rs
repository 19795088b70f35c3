//! Reads all counters of a cgroup, scrape after scrape, at the least cost.
//!
//! Files of cgroups are kept open within a budget and read again with `pread`, which makes the kernel print them
//! anew. A kept file belongs to one directory, which is known by its inode: it never shows another cgroup that
//! was made later under the same path. A directory that vanishes while it is read gives nothing, not a part.
//! Directories are not kept: while all its files are, none is needed, and a file kept instead spares more.
//!
//! A kept file costs the kernel a page and each pass a system call, so a file is skipped where another one of the
//! same pass has given its value already.

mod budget;
mod buffer;
mod counted;
mod first_process;
mod hugetlb;
mod member;
mod plan;
mod root;
mod spec;
mod v1;
mod v2;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, Mode, OFlags, openat};

use self::budget::Budget;
use self::buffer::Buffer;
use self::member::{Member, Pass};
use self::plan::plan;
use self::spec::FileSpec;
use super::{DeviceNames, FilesError, HostRoot};
use crate::model::{CgroupKey, CgroupPath, CgroupStats, Hierarchy, HierarchyId, MetricSet, MetricSets};
use crate::parse::proc_stat;

/// What is read of a cgroup. A file that nothing here needs is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadSets {
    /// The sets of metrics. What is not in the cgroup's own files is read by others, as `network` is.
    pub metrics: MetricSets,
    /// Limits, shares and weights.
    pub spec: bool,
    /// The most memory that a cgroup had, and how often it met its limit; `memory` has them too.
    pub peaks: bool,
}

impl ReadSets {
    #[cfg(test)]
    pub const ALL: Self = Self { metrics: MetricSets::all(), spec: true, peaks: false };
    pub const NONE: Self = Self { metrics: MetricSets::none(), spec: false, peaks: false };

    pub const fn has(self, set: MetricSet) -> bool {
        self.metrics.has(set)
    }
}

#[derive(Debug, Default)]
pub struct CgroupReading {
    pub stats: CgroupStats,
    /// Files that could not be read or understood; their values are absent from `stats`.
    pub errors: Vec<FilesError>,
}

/// The cgroup is gone from all of its hierarchies, or other cgroups are there under its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cgroup is gone")]
pub struct Vanished;

/// Reads cgroups and keeps their files open for the next time.
#[derive(Debug)]
pub struct CgroupReader {
    kept: HashMap<CgroupPath, Vec<Member>>,
    context: ReadContext,
}

/// What all cgroups share.
#[derive(Debug)]
struct ReadContext {
    host: HostRoot,
    hierarchies: Vec<ReadHierarchy>,
    sets: ReadSets,
    budget: Budget,
    buffer: Buffer,
    devices: DeviceNames,
    boot: Option<SystemTime>,
}

/// A hierarchy, and the files that are read in each of its cgroups.
#[derive(Debug)]
struct ReadHierarchy {
    hierarchy: Hierarchy,
    files: Vec<&'static FileSpec>,
    /// Whether v1 accounts processor time here.
    is_cpuacct: bool,
    root: Option<OwnedFd>,
}

impl CgroupReader {
    /// A reader of these hierarchies. `max_open_files` bounds the files that stay open.
    #[expect(clippy::needless_pass_by_value, reason = "the reader is given its own share of the list")]
    pub fn new(host: HostRoot, hierarchies: Arc<[Hierarchy]>, sets: ReadSets, max_open_files: usize) -> Self {
        let boot = host.parse("/proc/stat", proc_stat).ok().and_then(|stat| stat.boot_time_sec);
        let page_sizes = if sets.has(MetricSet::Hugetlb) { hugetlb::page_sizes(&host) } else { Vec::new() };
        let source = |hierarchy: &Hierarchy| ReadHierarchy {
            hierarchy: hierarchy.clone(),
            files: plan(hierarchy, sets, &page_sizes),
            is_cpuacct: hierarchy.id != HierarchyId::V2 && hierarchy.has("cpuacct"),
            root: None,
        };
        let context = ReadContext {
            hierarchies: hierarchies.iter().map(source).collect(),
            sets,
            budget: Budget::new(max_open_files),
            buffer: Buffer::new(),
            devices: DeviceNames::new(host.clone()),
            boot: boot.and_then(|sec| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(sec))),
            host,
        };
        Self { kept: HashMap::new(), context }
    }

    /// Reads the cgroup in the hierarchies in which `members` says that it is. A hierarchy that it has left gives
    /// nothing; what this reader keeps of an earlier cgroup of the same path is dropped.
    ///
    /// # Errors
    /// When the cgroup is gone from all of them.
    pub fn read(&mut self, cgroup: &CgroupPath, members: &[CgroupKey]) -> Result<CgroupReading, Vanished> {
        let kept = self.kept.entry(cgroup.clone()).or_default();
        self.context.drop_unlisted(kept, members);
        let mut result = self.context.read_until_whole(cgroup, members, kept);
        match &mut result {
            Ok(reading) => self.context.finish(cgroup, kept, reading),
            Err(Vanished) => self.forget(cgroup),
        }
        self.give_back_if_starved();
        result
    }

    /// Reads a cgroup that may go at any moment, processor time first. Values that were read before its directory went
    /// are kept; a directory that is gone already gives none.
    pub fn read_parts(&mut self, cgroup: &CgroupPath, members: &[CgroupKey]) -> CgroupReading {
        let kept = self.kept.entry(cgroup.clone()).or_default();
        self.context.drop_unlisted(kept, members);
        let mut reading = CgroupReading::default();
        let mut places = self.context.places(members);
        places.sort_by_key(|&(index, _)| !self.context.is_cpuacct(index));
        let in_cpuacct = places.iter().any(|&(index, _)| self.context.is_cpuacct(index));
        for (index, key) in places {
            // A directory that went keeps the values that it gave before.
            let _ = Pass::new(&mut self.context, index, cgroup, key, in_cpuacct, &mut reading).run(kept);
        }
        self.context.finish(cgroup, kept, &mut reading);
        self.give_back_if_starved();
        reading
    }

    fn give_back_if_starved(&mut self) {
        if self.context.budget.is_starved {
            self.kept.clear();
            self.context.budget.shrink();
        }
    }

    /// Closes the kept files of a cgroup that is gone or renamed.
    pub fn forget(&mut self, cgroup: &CgroupPath) {
        if let Some(members) = self.kept.remove(cgroup) {
            self.context.budget.close(members);
        }
    }

    /// Files that are kept open now.
    pub fn open_files(&self) -> usize {
        self.context.budget.open
    }

    /// The processes of the cgroup itself, in the first of its hierarchies that has any; `None` when none can be read.
    pub fn processes(&mut self, cgroup: &CgroupPath, members: &[CgroupKey]) -> Option<Vec<u32>> {
        let mut found = None;
        for key in members {
            let Some(index) = self.context.index(key.hierarchy) else { continue };
            let Ok(dir) = self.context.open_dir(index, cgroup, key.id) else { continue };
            if let Some(pids) = first_process::own_processes(&dir, &mut self.context.buffer) {
                let has_any = !pids.is_empty();
                found = Some(pids);
                if has_any {
                    break;
                }
            }
        }
        found
    }

    /// A process of the cgroup, or else of one below it; `None` when there is none.
    pub fn first_process(&mut self, cgroup: &CgroupPath, members: &[CgroupKey]) -> Option<u32> {
        members.iter().find_map(|key| {
            let index = self.context.index(key.hierarchy)?;
            let dir = self.context.open_dir(index, cgroup, key.id).ok()?;
            first_process::first_process(dir, &mut self.context.buffer)
        })
    }
}

/// The member's directory is not there any more.
struct Gone(HierarchyId);

impl ReadContext {
    fn index(&self, hierarchy: HierarchyId) -> Option<usize> {
        self.hierarchies.iter().position(|source| source.hierarchy.id == hierarchy)
    }

    /// Where the members are among the hierarchies.
    fn places(&self, members: &[CgroupKey]) -> Vec<(usize, CgroupKey)> {
        members.iter().filter_map(|&key| Some((self.index(key.hierarchy)?, key))).collect()
    }

    fn is_cpuacct(&self, index: usize) -> bool {
        self.hierarchies.get(index).is_some_and(|source| source.is_cpuacct)
    }

    /// The root directory of a hierarchy, opened once.
    fn root(&mut self, index: usize) -> rustix::io::Result<&OwnedFd> {
        let source = self.hierarchies.get_mut(index).ok_or(rustix::io::Errno::NOENT)?;
        if source.root.is_none() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            source.root = Some(openat(CWD, &source.hierarchy.mount, flags, Mode::empty())?);
        }
        source.root.as_ref().ok_or(rustix::io::Errno::NOENT)
    }

    /// Closes the kept files of directories that the caller does not name.
    fn drop_unlisted(&mut self, kept: &mut Vec<Member>, members: &[CgroupKey]) {
        let budget = &mut self.budget;
        for member in kept.extract_if(.., |member| !members.contains(&member.key)) {
            budget.close([member]);
        }
    }

    /// Reads all members. When one vanishes meanwhile, reads the others again, so that no part of it is shown.
    fn read_until_whole(
        &mut self,
        cgroup: &CgroupPath,
        members: &[CgroupKey],
        kept: &mut Vec<Member>,
    ) -> Result<CgroupReading, Vanished> {
        let mut left = self.places(members);
        while !left.is_empty() {
            match self.read_members(cgroup, &left, kept) {
                Ok(reading) => return Ok(reading),
                Err(Gone(hierarchy)) => {
                    left.retain(|(_, key)| key.hierarchy != hierarchy);
                    let keys: Vec<_> = left.iter().map(|&(_, key)| key).collect();
                    self.drop_unlisted(kept, &keys);
                }
            }
        }
        Err(Vanished)
    }

    fn read_members(
        &mut self,
        cgroup: &CgroupPath,
        members: &[(usize, CgroupKey)],
        kept: &mut Vec<Member>,
    ) -> Result<CgroupReading, Gone> {
        let mut reading = CgroupReading::default();
        let mut files = 0;
        let in_cpuacct = members.iter().any(|&(index, _)| self.is_cpuacct(index));
        for &(index, key) in members {
            let mut pass = Pass::new(self, index, cgroup, key, in_cpuacct, &mut reading);
            pass.run(kept)?;
            files += pass.files;
        }
        if files == 0 {
            // No file was read, so nothing shows yet that the directories are still there.
            for &(index, key) in members {
                if !self.is_there(index, cgroup, key.id) {
                    return Err(Gone(key.hierarchy));
                }
            }
        }
        Ok(reading)
    }

    /// What does not come from a file of the cgroup itself.
    fn finish(&mut self, cgroup: &CgroupPath, kept: &[Member], reading: &mut CgroupReading) {
        let made = kept.iter().filter_map(|member| member.created).min();
        reading.stats.created = made.map(|made| self.boot.map_or(made, |boot| made.max(boot)));
        for device in reading.stats.io.iter_mut().flatten() {
            device.device = self.devices.name(device.major, device.minor);
        }
        if cgroup.is_root() {
            root::fill(&self.host, self.sets, reading);
        }
    }
}

#[cfg(test)]
mod live;
#[cfg(test)]
mod tests;
