//! The BPF programs: five tracepoints, each in two forms that share their body, the entry and return of
//! `oom_kill_process`, and the exit of a process.
//!
//! A `*_btf` program is a BTF-typed tracepoint (`tp_btf`): its arguments are typed pointers, and a load at an offset
//! that is not a field of that size is refused when the program is loaded. A program without the suffix is a classic
//! tracepoint, which needs no BTF but tracefs. The agent loads one form of each, whichever the kernel accepts.
//!
//! Every program counts its runs and the records that it submitted and dropped. None waits, loops or allocates.
#![no_std]
#![no_main]

mod check;
mod decision;
mod exit;
mod lifecycle;
mod maps;
mod oom;
mod read;
mod task;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // The verifier accepts no program that could get here; the linker drops this.
    loop {}
}

/// The kernel lets only programs under a licence compatible with the GPL use tracing helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
