//! One machine from its start to its end: qemu with its console in a file, watched.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::console::Console;
use super::machines::Machine;
use crate::exec;

/// Longer than any test prints nothing. The same machine has taken twice as long on another day.
const SILENT_FOR: Duration = Duration::from_secs(300);
const AT_MOST: Duration = Duration::from_secs(2_700);
const LOOK_EACH: Duration = Duration::from_millis(100);

/// All that qemu can emulate, but for `cmpxchg16b`: with two processors qemu 7.2 breaks it, and with it the kernel's
/// free lists. Page tables of five levels would only cost time.
const CPU: &str = "max,-cx16,-la57";

/// Some tests use all of it, which takes longer the more there is.
const MEMORY_MIB: &str = "512";

/// Which tests a machine runs.
#[derive(Clone, Copy)]
pub(super) enum Tests<'a> {
    /// Those of all modules that can run there.
    All,
    /// Those of the modules that depend on the kernel; its init has the list.
    OfKernel,
    /// Those with this in their names.
    Named(&'a str),
}

impl Tests<'_> {
    /// The kernel's argument.
    fn argument(self) -> String {
        match self {
            Self::All => String::new(),
            Self::OfKernel => " cgtap.tests=kernel".to_owned(),
            Self::Named(part) => format!(" cgtap.only={part}"),
        }
    }
}

/// What all machines of a run have in common.
#[derive(Clone, Copy)]
pub(super) struct Boot<'a> {
    /// The image.
    pub(super) image: &'a Path,
    /// Where the consoles are kept.
    pub(super) folder: &'a Path,
    /// What they run.
    pub(super) tests: Tests<'a>,
}

/// How a machine ended.
pub(super) struct Outcome {
    /// What it printed.
    pub(super) console: Console,
    /// Why the machine failed as a whole; then its counts mean nothing.
    pub(super) bad_end: Option<String>,
}

impl Boot<'_> {
    /// Boots the machine and waits for its end.
    ///
    /// # Errors
    /// qemu cannot be started, or the console's file not be written.
    pub(super) fn run(&self, machine: &Machine, kernel: &Path) -> Result<Outcome> {
        let path = self.folder.join(format!("{}.console", machine.name));
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        let mut command = self.qemu(machine, kernel);
        command.stdin(Stdio::null()).stderr(file.try_clone()?).stdout(file);
        let child = command.spawn().with_context(|| format!("cannot start `{}`", exec::typed(&command)))?;
        let end = watch(&mut Guest(child), &path)?;
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let console = Console::read(&String::from_utf8_lossy(&bytes));
        let bad_end = bad_end(&end, &console).map(|why| format!("{why}; its console is {}", path.display()));
        Ok(Outcome { console, bad_end })
    }

    fn qemu(&self, machine: &Machine, kernel: &Path) -> Command {
        let mut command = Command::new("qemu-system-x86_64");
        // One thread for both processors. With two a kernel that changes its own code may trip over the change: 7.2 had an
        // int3 oops while it booted, and once both processors of a 5.10 hung. Neither was seen since.
        command.args(["-accel", "tcg,thread=single", "-cpu", CPU, "-smp", "2", "-m", MEMORY_MIB]);
        command.args(["-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio"]);
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(self.image);
        command.args(["-append", &self.arguments(machine)]);
        command
    }

    /// The kernel's arguments.
    fn arguments(&self, machine: &Machine) -> String {
        // oops=panic, softlockup_panic: a kernel that oopses or hangs is a failed machine at once, and
        // prints its stack.
        // mitigations=off: no process must be protected from another there, and they cost a tenth.
        // no_timer_check: a kernel counts ticks of its timer for a moment while it boots, and panics when a busy host has
        // given it none.
        // psi=1: Debian's kernels measure pressure only when asked to. Above loglevel 3 each OOM kill writes a page.
        // log_buf_len: 128 KiB hold 30 kills, and a slow machine has more between two starts of an agent, which then cannot
        // find the process.
        format!(
            "console=ttyS0 quiet loglevel=3 log_buf_len=4M oops=panic softlockup_panic=1 panic=-1 psi=1 mitigations=off \
             no_timer_check cgtap.cgroups={} {}{}",
            machine.cgroups,
            machine.arguments,
            self.tests.argument()
        )
    }
}

/// The process of a machine, killed by its id on drop.
struct Guest(Child);

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How the machine's process ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Itself(ExitStatus),
    Silent,
    TooLong,
}

fn watch(guest: &mut Guest, console: &Path) -> Result<End> {
    let begun = Instant::now();
    let (mut length, mut heard) = (0, begun);
    loop {
        if let Some(status) = guest.0.try_wait()? {
            return Ok(End::Itself(status));
        }
        let now = std::fs::metadata(console)?.len();
        if now != length {
            (length, heard) = (now, Instant::now());
        }
        if heard.elapsed() > SILENT_FOR {
            return Ok(End::Silent);
        }
        if begun.elapsed() > AT_MOST {
            return Ok(End::TooLong);
        }
        std::thread::sleep(LOOK_EACH);
    }
}

fn bad_end(end: &End, console: &Console) -> Option<String> {
    match (end, console) {
        (End::Silent, _) => Some(format!("printed nothing for {} s", SILENT_FOR.as_secs())),
        (End::TooLong, _) => Some(format!("still ran after {} s", AT_MOST.as_secs())),
        (_, Console { panicked: true, .. }) => Some("the kernel panicked".to_owned()),
        (_, Console { error: Some(error), .. }) => Some(error.clone()),
        (End::Itself(status), Console { counts: None, .. }) => {
            Some(format!("ended without its count, qemu with {status}"))
        }
        (End::Itself(status), _) if !status.success() => Some(format!("qemu ended with {status}")),
        (End::Itself(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const COUNT: &str = "cgtap-init: 1 passed, 0 failed, 0 skipped\n";

    #[test]
    fn only_an_end_with_a_count_is_good() {
        let (good, bad) = (End::Itself(ExitStatus::from_raw(0)), End::Itself(ExitStatus::from_raw(256)));
        let said = |text: &str| Console::read(text);
        assert_eq!(bad_end(&good, &said(COUNT)), None);
        assert!(bad_end(&bad, &said(COUNT)).is_some());
        assert!(bad_end(&good, &said("")).unwrap().contains("without its count"));
        assert!(bad_end(&End::Silent, &said(COUNT)).unwrap().contains("300 s"));
        assert!(bad_end(&End::TooLong, &said(COUNT)).unwrap().contains("2700 s"));
        let panic = format!("{COUNT}[ 1.2] Kernel panic - not syncing: x\n");
        assert!(bad_end(&good, &said(&panic)).unwrap().contains("panic"));
        let error = format!("cgtap-init: error: cannot mount x\n{COUNT}");
        assert!(bad_end(&good, &said(&error)).unwrap().contains("cannot mount x"));
    }

    #[test]
    fn the_end_of_a_process_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let console = folder.path().join("console");
        std::fs::write(&console, "").unwrap();
        let child = Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
        assert_eq!(watch(&mut Guest(child), &console).unwrap(), End::Itself(ExitStatus::from_raw(3 << 8)));
    }
}
