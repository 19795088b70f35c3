//! `perf_event_open(2)`, and by it a program attached to a classic tracepoint by its number.
//!
//! aya's own attach reads the number from a tracefs that is mounted in the tree; ours may be a private mount.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `include/uapi/linux/perf_event.h`: the size with `config2`, which kernels take since 2.6.39.
const PERF_ATTR_SIZE_VER1: u32 = 72;
const PERF_TYPE_TRACEPOINT: u32 = 2;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
pub(super) const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;

/// `struct perf_event_attr` up to [`PERF_ATTR_SIZE_VER1`].
#[repr(C)]
#[derive(Default)]
pub(super) struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    pub(super) read_format: u64,
    pub(super) flags: u64,
    wakeup_and_breakpoint: u64,
    config1: u64,
    config2: u64,
}

const _: () = assert!(size_of::<Attr>() == PERF_ATTR_SIZE_VER1 as usize);

impl Attr {
    /// The event of these numbers; the rest is 0.
    pub(super) fn new(kind: u32, [config, config1, config2]: [u64; 3]) -> Self {
        Self { kind, size: PERF_ATTR_SIZE_VER1, config, config1, config2, ..Self::default() }
    }
}

/// Opens an event. `leader` is the descriptor of the group's first event; -1 opens a group.
pub(super) fn open(
    attr: &Attr,
    pid: i32,
    cpu: i32,
    leader: i32,
    flags: libc::c_ulong,
) -> io::Result<OwnedFd> {
    let flags = flags | PERF_FLAG_FD_CLOEXEC;
    // SAFETY: `attr` lives through the call and has the size that it states; the descriptors are open.
    let event =
        unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const *attr, pid, cpu, leader, flags) };
    let event = i32::try_from(event).unwrap_or(-1);
    if event < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(event) })
}

/// Runs `program` at the tracepoint, on every CPU, until the descriptor is closed.
pub(super) fn attach(tracepoint: u64, program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // Any process (-1) on CPU 0; a BPF program on a tracepoint belongs to the tracepoint, not to the CPU.
    let event = open(&Attr::new(PERF_TYPE_TRACEPOINT, [tracepoint, 0, 0]), -1, 0, -1, 0)?;
    // SAFETY: both descriptors are open; the requests take an integer and nothing.
    let failed = unsafe {
        libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_SET_BPF, program.as_raw_fd()) < 0
            || libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) < 0
    };
    if failed { Err(io::Error::last_os_error()) } else { Ok(event) }
}
