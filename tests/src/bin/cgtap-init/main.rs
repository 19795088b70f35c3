//! The first and only process of a virtual machine of `cargo xtask vm`: mounts what a host has, runs the live tests,
//! prints how many passed, and powers the machine off.
//!
//! | kernel argument | is |
//! |---|---|
//! | `cgtap.cgroups=` | `v1`, `hybrid` or `v2`: which hierarchies to mount |
//! | `cgtap.only=` | a part of the names of the tests to run, instead of all |
//! | `cgtap.tests=` | `kernel`: only the tests that depend on the kernel |
//!
//! What it says itself begins with `cgtap-init: `; the last line is `cgtap-init: N passed, N failed, N skipped`. After
//! an error there is no such line.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line's own output")]
#![allow(clippy::disallowed_methods, reason = "it starts the tests and ip")]

use std::process::ExitCode;

use anyhow::{Context, Result};
use rustix::system::{RebootCommand, reboot};

mod mounts;
mod network;
mod suite;

use suite::Tests;

fn main() -> ExitCode {
    if std::process::id() != 1 {
        eprintln!(
            "cgtap-init is the first process of a virtual machine, which it powers off: not for this host"
        );
        return ExitCode::from(2);
    }
    if let Err(error) = run() {
        println!("cgtap-init: error: {error:#}");
    }
    rustix::fs::sync();
    // Returns only when it fails; then the kernel panics for the loss of its first process, which ends the machine too.
    let refused = reboot(RebootCommand::PowerOff);
    println!("cgtap-init: error: cannot power off: {refused:?}");
    ExitCode::FAILURE
}

fn run() -> Result<()> {
    mounts::host()?;
    let arguments = std::fs::read_to_string("/proc/cmdline").context("/proc/cmdline")?;
    let cgroups = argument(&arguments, "cgtap.cgroups").context("no kernel argument cgtap.cgroups")?;
    mounts::cgroups(cgroups)?;
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    network::loopback()?;
    network::driver(&release)?;
    println!("cgtap-init: kernel {release}, cgroups {cgroups}");
    suite::run(tests(&arguments))
}

fn tests(arguments: &str) -> Tests<'_> {
    match (argument(arguments, "cgtap.only"), argument(arguments, "cgtap.tests")) {
        (Some(part), _) => Tests::Named(part),
        (None, Some("kernel")) => Tests::OfKernel,
        _ => Tests::All,
    }
}

/// The value of `name=value` among the kernel's arguments.
fn argument<'a>(arguments: &'a str, name: &str) -> Option<&'a str> {
    arguments.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_found_by_its_whole_name() {
        let line = "console=ttyS0 quiet cgtap.cgroups=v1 x\n";
        assert_eq!(argument(line, "cgtap.cgroups"), Some("v1"));
        assert_eq!(argument(line, "cgtap"), None);
        assert_eq!(argument(line, "quiet"), None);
    }
}
