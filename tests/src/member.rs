//! One process of the load, from its start to its end.

use std::io::BufRead;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitOptions};

/// A process that was killed for memory.
#[derive(Clone, Copy, Debug)]
pub struct Killed {
    /// Its process id.
    pub pid: u32,
    /// When it was started.
    pub started: SystemTime,
    /// When its end was seen.
    pub ended: SystemTime,
}

/// Starts a process that enters the cgroup at `dir` and takes `mib` MiB of memory, and waits until the kernel kills it.
///
/// # Errors
/// It ended in any other way.
pub fn hog(load: &Path, dir: &Path, mib: u64) -> Result<Killed> {
    let started = SystemTime::now();
    Member(start(load, &["hog"], dir, &[&mib.to_string()])?, started).killed()
}

/// Starts a process that makes the cgroup at `dir` and is killed in it as by [`hog`], a moment later.
///
/// # Errors
/// The cgroup cannot be made, or the process ended in any other way.
pub fn newborn(load: &Path, dir: &Path, mib: u64) -> Result<Killed> {
    let started = SystemTime::now();
    Member(start(load, &["newborn"], dir, &[&mib.to_string()])?, started).killed()
}

/// A process inside a cgroup, killed by its id on drop.
#[derive(Debug)]
pub struct Member(Child, SystemTime);

impl Member {
    /// Starts `cgtap-load MODE DIR` and waits until it says that it is in the cgroup and has done its work.
    ///
    /// # Errors
    /// It could not enter.
    pub fn start(load: &Path, mode: &str, dir: &Path) -> Result<Self> {
        Ok(Self::with(load, &[mode], dir, &[])?.0)
    }

    /// Starts `LOAD MODE DIR REST` and waits until it says `ready`; returns the ids that it prints after that.
    ///
    /// # Errors
    /// It could not enter.
    pub fn with(load: &Path, mode: &[&str], dir: &Path, rest: &[&str]) -> Result<(Self, Vec<u32>)> {
        let started = SystemTime::now();
        let mut child = start(load, mode, dir, rest)?;
        let out = child.stdout.take().context("no pipe")?;
        let member = Self(child, started);
        let mut line = String::new();
        std::io::BufReader::new(out).read_line(&mut line)?;
        let mut words = line.split_whitespace();
        if words.next() != Some("ready") {
            bail!("{} {mode:?} {}: said {line:?} instead of ready", load.display(), dir.display());
        }
        let ids = words.map(|word| word.parse().with_context(|| format!("{line:?}")));
        Ok((member, ids.collect::<Result<_>>()?))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits until the kernel kills it.
    ///
    /// # Errors
    /// It ended in any other way.
    pub fn killed(mut self) -> Result<Killed> {
        let status = self.0.wait()?;
        let ended = SystemTime::now();
        if status.signal() != Some(Signal::KILL.as_raw()) {
            bail!("the load ended with {status} instead of being killed");
        }
        Ok(Killed { pid: self.pid(), started: self.1, ended })
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a child that was not started here but given to us by a load program.
///
/// # Errors
/// It is no child of ours, or ended in any other way than by SIGKILL.
pub fn given_child_is_killed(pid: u32) -> Result<()> {
    let id = i32::try_from(pid).ok().and_then(Pid::from_raw).with_context(|| format!("process {pid}"))?;
    let ended = rustix::process::waitpid(Some(id), WaitOptions::empty())?;
    let signal = ended.and_then(|(_, status)| status.terminating_signal());
    if signal != Some(Signal::KILL.as_raw()) {
        bail!("process {pid} ended by signal {signal:?} instead of being killed");
    }
    Ok(())
}

fn start(load: &Path, mode: &[&str], dir: &Path, rest: &[&str]) -> Result<Child> {
    let mut command = Command::new(load);
    command.args(mode).arg(dir).args(rest).stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().with_context(|| format!("cannot start {}", load.display()))
}
