//! A process of a cgroup: from `cgroup.procs`, of the cgroup itself or the nearest ones below it.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, openat};

use super::buffer::Buffer;
use crate::files::walk::each_directory;
use crate::parse;

/// The most directories that are looked at. A container that runs systemd has its processes two levels below it.
const MAX_DIRS: usize = 64;

/// The first process found, breadth first. On v2 a cgroup with others below it often has none of its own.
pub(super) fn first_process(dir: OwnedFd, buffer: &mut Buffer) -> Option<u32> {
    let mut pending = VecDeque::from([dir]);
    let mut looked_at = 0;
    while let Some(dir) = pending.pop_front() {
        looked_at += 1;
        if let Some(pid) = own_process(&dir, buffer) {
            return Some(pid);
        }
        let room = MAX_DIRS.saturating_sub(looked_at + pending.len());
        pending.extend(directories(&dir, room));
    }
    None
}

fn own_process(dir: &OwnedFd, buffer: &mut Buffer) -> Option<u32> {
    read_procs(dir, buffer)?;
    parse::first_process(buffer.text()).ok()?
}

/// All processes of the cgroup itself.
pub(super) fn own_processes(dir: &OwnedFd, buffer: &mut Buffer) -> Option<Vec<u32>> {
    read_procs(dir, buffer)?;
    parse::processes(buffer.text()).ok()
}

fn read_procs(dir: &OwnedFd, buffer: &mut Buffer) -> Option<()> {
    let procs = openat(dir, c"cgroup.procs", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    buffer.fill(&procs).ok()
}

/// At most `room` directories in `dir`.
fn directories(dir: &OwnedFd, room: usize) -> Vec<OwnedFd> {
    let mut found = Vec::new();
    // The descriptor of a cgroup is good for opening only; a listing needs one for reading.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(readable) = openat(dir, c".", flags, Mode::empty()) else { return found };
    // A listing that breaks off, as the directory is being removed, gives the entries read so far.
    let _ = each_directory(&readable, &mut Vec::new(), |_, name| {
        if found.len() < room {
            found.extend(openat(
                dir,
                name,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            ));
        }
    });
    found
}
