//! `/dev/kmsg`: the kernel log from now on, or all of it that is left.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, SeekFrom, openat, seek};
use rustix::io::Errno;

use super::{FilesError, HostRoot};

/// The kernel prints no longer record (`PRINTK_MESSAGE_MAX`).
const RECORD_MAX_BYTES: usize = 8192;

pub struct KernelLog {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum LogRead<'a> {
    Record(&'a [u8]),
    /// There is no more now.
    Nothing,
    /// Records were overwritten before they were read.
    Overrun,
}

impl KernelLog {
    /// Opens the log after its newest record, as older ones are not of this run; with `from_start` at its oldest.
    ///
    /// # Errors
    /// When there is no log or it may not be read (CAP_SYSLOG, with `kernel.dmesg_restrict`).
    pub fn open(host: &HostRoot, from_start: bool) -> Result<Self, FilesError> {
        let below = host.join("/dev/kmsg");
        // The log is the kernel's, whichever /dev shows it.
        let path = if below.exists() { below } else { "/dev/kmsg".into() };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(CWD, &path, flags, Mode::empty()).and_then(|fd| {
            seek(&fd, if from_start { SeekFrom::Start(0) } else { SeekFrom::End(0) })?;
            Ok(fd)
        });
        let fd = opened.map_err(|errno| FilesError::io(path, errno))?;
        Ok(Self { fd, buffer: vec![0; RECORD_MAX_BYTES] })
    }

    /// The next record, without waiting.
    ///
    /// # Errors
    /// When the log cannot be read any more.
    pub fn read(&mut self) -> Result<LogRead<'_>, FilesError> {
        match rustix::io::read(&self.fd, &mut self.buffer[..]) {
            Ok(bytes) => Ok(LogRead::Record(self.buffer.get(..bytes).unwrap_or_default())),
            Err(Errno::AGAIN | Errno::INTR) => Ok(LogRead::Nothing),
            Err(Errno::PIPE) => Ok(LogRead::Overrun),
            Err(errno) => Err(FilesError::io("/dev/kmsg", errno)),
        }
    }
}

impl AsFd for KernelLog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
