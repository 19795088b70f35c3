//! A load whose memory belongs to two processes: `cgtap-load-shared DIR MIB` enters the cgroup DIR, starts a process
//! that shares its memory without being a thread of it, says `ready PID`, and takes MIB of memory.
//!
//! The kernel kills both for one decision, and counts and marks one. Rust's library has no way to start such a process:
//! that is why this program is one of its own, and the only one of the tests that is not checked by the compiler.
#![allow(clippy::print_stdout, reason = "a command line's own output")]

use std::hint::black_box;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cgtap_tests::load;

const STACK_BYTES: usize = 64 << 10;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, mib] = args.as_slice() else { bail!("usage: cgtap-load-shared DIR MIB") };
    let mib: usize = mib.parse().with_context(|| mib.clone())?;
    load::enter(Path::new(dir))?;
    println!("ready {}", share()?);
    let mut kept = Vec::new();
    for _ in 0..mib {
        kept.push(black_box(vec![1u8; 1 << 20]));
    }
    bail!("{} MiB were taken and the kernel killed no process", kept.len())
}

/// Starts the other process as a child of our parent, which then sees its end too. Returns its id.
fn share() -> Result<i32> {
    // 16-byte words for the alignment that the processor wants. Never freed: the other process stands on it.
    let stack = Box::leak(vec![0u128; STACK_BYTES / 16].into_boxed_slice());
    let flags = libc::CLONE_VM | libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: the stack is the other process's alone, lives as long as both, and grows down from its end, which is
    // aligned; `sleep` returns never and touches no memory but that stack.
    let pid = unsafe { libc::clone(sleep, stack.as_mut_ptr_range().end.cast(), flags, std::ptr::null_mut()) };
    if pid < 0 {
        return Err(std::io::Error::last_os_error()).context("clone");
    }
    Ok(pid)
}

extern "C" fn sleep(_: *mut libc::c_void) -> libc::c_int {
    loop {
        // SAFETY: `pause` takes nothing. It returns after a signal with a handler, of which there is none; the errno
        // that it would set then is shared with a process that does not look at it any more.
        unsafe { libc::pause() };
    }
}
