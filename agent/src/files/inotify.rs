//! Reads inotify, for all that watch files or directories.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::inotify::{CreateFlags, Reader, init};
pub(super) use rustix::fs::inotify::{ReadFlags, WatchFlags, add_watch};
use rustix::io::Errno;

use super::FilesError;

/// Bytes for one read of events: some hundred with their names.
const EVENTS_BYTES: usize = 64 << 10;

pub(super) struct Notice {
    /// The descriptor of the watch, as [`add_watch`] returned it.
    pub(super) watch: i32,
    pub(super) flags: ReadFlags,
    /// The entry of a watched directory; empty for a watched file.
    pub(super) name: Vec<u8>,
}

/// A new instance, which does not block.
pub(super) fn open() -> Result<OwnedFd, Errno> {
    init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
}

/// All events since the last call, in the kernel's order, without waiting.
pub(super) fn drain(fd: &OwnedFd) -> Result<Vec<Notice>, FilesError> {
    let mut buffer = vec![MaybeUninit::uninit(); EVENTS_BYTES];
    let mut reader = Reader::new(fd, &mut buffer);
    let mut notices = Vec::new();
    loop {
        match reader.next() {
            Ok(event) => notices.push(Notice {
                watch: event.wd(),
                flags: event.events(),
                name: event.file_name().map(|name| name.to_bytes().to_vec()).unwrap_or_default(),
            }),
            Err(Errno::AGAIN | Errno::INTR) => return Ok(notices),
            Err(errno) => return Err(FilesError::io("inotify", errno)),
        }
    }
}
