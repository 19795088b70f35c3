//! Where the host's files are, as this process sees them.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::FilesError;
use crate::parse::ParseError;

/// The most bytes of one file that are read: far above any file the agent reads, far below harm.
const FILE_MAX_BYTES: u64 = 64 << 20;

/// The directory that is the host's `/`. Nothing in the agent opens a host's file but through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRoot(PathBuf);

impl Default for HostRoot {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl HostRoot {
    /// The host's root at `path` (`/` outside of a container).
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn proc(&self) -> PathBuf {
        self.0.join("proc")
    }

    /// A path of the host, absolute or not, as this process can open it.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The bytes of a host's file. A symbolic link in it, absolute or not, stays below the root.
    pub(super) fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, FilesError> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        let file =
            self.open_with(path, OFlags::RDONLY).map_err(|errno| FilesError::io(self.join(path), errno))?;
        let read = File::from(file).take(FILE_MAX_BYTES).read_to_end(&mut bytes);
        read.map_err(|error| FilesError::io(self.join(path), error))?;
        Ok(bytes)
    }

    /// The bytes of a host's file, parsed.
    pub(super) fn parse<T>(
        &self,
        path: impl AsRef<Path>,
        parse: impl FnOnce(&[u8]) -> Result<T, ParseError>,
    ) -> Result<T, FilesError> {
        let path = path.as_ref();
        parse(&self.read(path)?).map_err(|error| FilesError::parse(self.join(path), error))
    }

    /// The names in a directory that are UTF-8, in no order; none where it cannot be read.
    pub(super) fn names(&self, dir: &str) -> impl Iterator<Item = String> + use<> {
        let entries = std::fs::read_dir(self.join(dir)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok())
    }

    /// A host's file or directory, opened with these flags. A symbolic link in it stays below the root.
    pub(super) fn open_with(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let root = openat(CWD, &self.0, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        match openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            // No openat2 before 5.6, and some seccomp filters of containers answer EPERM for it.
            Err(Errno::NOSYS | Errno::PERM) => openat(CWD, self.join(path), flags, Mode::empty()),
            opened => opened,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;

    #[test]
    fn absolute_paths_stay_below_the_root() {
        let host = HostRoot::new("/host");
        assert_eq!(host.join("/etc/machine-id"), Path::new("/host/etc/machine-id"));
        assert_eq!(host.join("etc"), Path::new("/host/etc"));
        assert_eq!(host.proc(), Path::new("/host/proc"));
    }

    #[test]
    fn a_link_of_the_host_is_followed_inside_the_host() {
        let fixture = Fixture::new();
        fixture.file("usr/lib/os-release", "ID=inside\n");
        fixture.link("etc/os-release", "/usr/lib/os-release");
        assert_eq!(fixture.host().read("/etc/os-release").unwrap(), b"ID=inside\n");
    }

    #[test]
    fn a_missing_file_is_gone_and_named() {
        let fixture = Fixture::new();
        let error = fixture.host().read("/etc/none").unwrap_err();
        assert!(error.is_gone());
        assert!(error.path.ends_with("etc/none"));
    }
}
