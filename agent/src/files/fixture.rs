//! A host root in a temporary folder, for tests.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::HostRoot;
use crate::model::{CgroupKey, CgroupPath, Hierarchy};

/// A folder that is removed with the value.
pub(crate) struct Fixture(tempfile::TempDir);

impl Fixture {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn host(&self) -> HostRoot {
        HostRoot::new(self.0.path())
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(crate) fn file(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    /// A directory whose path need not be UTF-8.
    pub(crate) fn dir(&self, path: &[u8]) {
        std::fs::create_dir_all(self.0.path().join(OsStr::from_bytes(path))).unwrap();
    }

    /// A v1 host with two hierarchies, `cpu,cpuacct` (2) and `memory` (4), and systemd's (9).
    pub(crate) fn v1() -> Self {
        let fixture = Self::new();
        fixture.file(
            "proc/1/mountinfo",
            "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
             33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpuacct,cpu\n\
             35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n",
        );
        fixture.file("proc/1/cgroup", "9:name=systemd:/init.scope\n4:memory:/\n2:cpu,cpuacct:/\n");
        fixture.dir(b"sys/fs/cgroup/cpu,cpuacct");
        fixture.dir(b"sys/fs/cgroup/memory");
        fixture.dir(b"sys/fs/cgroup/systemd");
        fixture
    }

    /// A host with v2 alone.
    pub(crate) fn v2() -> Self {
        let fixture = Self::new();
        fixture.file("proc/1/mountinfo", "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n");
        fixture.file("proc/1/cgroup", "0::/init.scope\n");
        fixture.file("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids\n");
        fixture
    }
}

/// The key of a cgroup's directory.
pub(crate) fn key_of(hierarchy: &Hierarchy, cgroup: &CgroupPath) -> CgroupKey {
    CgroupKey { hierarchy: hierarchy.id, id: inode(&hierarchy.dir(cgroup)) }
}

/// The keys of a cgroup wherever it exists.
pub(crate) fn members(hierarchies: &[Hierarchy], cgroup: &CgroupPath) -> Vec<CgroupKey> {
    hierarchies.iter().filter(|h| h.dir(cgroup).is_dir()).map(|h| key_of(h, cgroup)).collect()
}

fn inode(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().ino()
}
