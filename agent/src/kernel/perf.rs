//! Attaches a program to a classic tracepoint by its number.
//!
//! aya's own attach reads the number from a tracefs that is mounted in the tree; ours may be a private mount.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `include/uapi/linux/perf_event.h`: the first published size of `perf_event_attr`, which every kernel takes.
const PERF_ATTR_SIZE_VER0: u32 = 64;
const PERF_TYPE_TRACEPOINT: u32 = 2;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;

/// The head of `struct perf_event_attr`; the rest up to [`PERF_ATTR_SIZE_VER0`] stays 0.
#[repr(C)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    rest: [u64; 6],
}

const _: () = assert!(size_of::<Attr>() == PERF_ATTR_SIZE_VER0 as usize);

/// Runs `program` at the tracepoint, on every CPU, until the descriptor is closed.
pub(crate) fn attach(tracepoint: u64, program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attr =
        Attr { kind: PERF_TYPE_TRACEPOINT, size: PERF_ATTR_SIZE_VER0, config: tracepoint, rest: [0; 6] };
    // Any process (-1) on CPU 0; a BPF program on a tracepoint belongs to the tracepoint, not to the CPU.
    // SAFETY: `attr` lives through the call and has the size that it states.
    let event =
        unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC) };
    let event = i32::try_from(event).unwrap_or(-1);
    if event < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given this descriptor to us.
    let event = unsafe { OwnedFd::from_raw_fd(event) };
    // SAFETY: both descriptors are open; the requests take an integer and nothing.
    let failed = unsafe {
        libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_SET_BPF, program.as_raw_fd()) < 0
            || libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) < 0
    };
    if failed { Err(io::Error::last_os_error()) } else { Ok(event) }
}
