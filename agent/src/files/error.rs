//! What went wrong with which file.

use std::io;
use std::path::PathBuf;

use crate::parse::ParseError;

/// A file that could not be read or understood.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct FilesError {
    pub path: PathBuf,
    pub fault: FileFault,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// The kernel refused to open, list or read it.
    #[error(transparent)]
    Io(io::Error),
    /// Its text does not have the form that the file requires.
    #[error(transparent)]
    Parse(ParseError),
    /// It is the list of mounts, and no cgroup hierarchy is mounted where this process can open it.
    #[error("no mount of type cgroup or cgroup2 that can be opened")]
    NoHierarchy,
}

impl FilesError {
    pub(super) fn io(path: impl Into<PathBuf>, error: impl Into<io::Error>) -> Self {
        Self { path: path.into(), fault: FileFault::Io(error.into()) }
    }

    pub(super) fn parse(path: impl Into<PathBuf>, error: ParseError) -> Self {
        Self { path: path.into(), fault: FileFault::Parse(error) }
    }

    /// Whether the file, or the process or cgroup it belongs to, is not there.
    pub fn is_gone(&self) -> bool {
        self.errno().is_some_and(is_gone)
    }

    /// Whether the kernel has the file but no values for it.
    pub(super) fn is_unsupported(&self) -> bool {
        self.errno() == Some(rustix::io::Errno::OPNOTSUPP)
    }

    fn errno(&self) -> Option<rustix::io::Errno> {
        let FileFault::Io(error) = &self.fault else { return None };
        rustix::io::Errno::from_io_error(error)
    }
}

/// ENOENT and ENOTDIR: no such name. ENODEV: kernfs removed the file. ESRCH: the process is gone.
pub(super) fn is_gone(errno: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_file() {
        let error = FilesError::io("/x/y", rustix::io::Errno::ACCESS);
        assert!(error.to_string().starts_with("/x/y: "), "{error}");
        assert!(!error.is_gone());
        assert!(FilesError::io("/x", rustix::io::Errno::NODEV).is_gone());
    }
}
