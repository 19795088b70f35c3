//! The priority of a thread.

use std::io;

/// Above every ordinary thread, below every other real-time one.
const LOWEST_REAL_TIME: libc::c_int = 1;
/// Where the kernel gives a cgroup no real-time share (`CONFIG_RT_GROUP_SCHED`), or a limit allows this alone.
const NICE: libc::c_int = -10;

/// Lets the calling thread run before ordinary ones as soon as it has something to do. For a thread that does little.
///
/// # Errors
/// When this process may not (CAP_SYS_NICE).
pub fn go_first() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: LOWEST_REAL_TIME };
    // SAFETY: the parameters live through the call; 0 is the calling thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const parameters) } == 0 {
        return Ok(());
    }
    // SAFETY: the call takes integers; 0 is the calling thread.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) } == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// The idle class of `ioprio_set`: its transfers wait for those of all others.
const IDLE_TRANSFERS: libc::c_int = 3 << 13;
/// `IOPRIO_WHO_PROCESS`: a thread, in truth.
const OF_THREAD: libc::c_int = 1;

/// Lets the calling thread run and transfer after all others.
///
/// # Errors
/// When the kernel refuses it.
pub fn go_last() -> io::Result<()> {
    // SAFETY: the call takes integers; 0 is the calling thread.
    let processor = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
    // SAFETY: the call takes integers; 0 is the calling thread.
    let transfers = unsafe { libc::syscall(libc::SYS_ioprio_set, OF_THREAD, 0, IDLE_TRANSFERS) };
    if processor == 0 && transfers == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
