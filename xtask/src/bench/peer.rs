//! The two programs, started on loopback and killed by their ids.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::exec;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Cadvisor,
    Cgtap,
}

impl Kind {
    /// As the table has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cadvisor => "cAdvisor",
            Self::Cgtap => "cgtap",
        }
    }
}

/// A running program of the comparison.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) kind: Kind,
    pub(super) address: SocketAddr,
    pub(super) started: Instant,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// cAdvisor with its own defaults.
    pub(super) fn cadvisor(binary: &Path, address: SocketAddr) -> Result<Self> {
        let mut command = Command::new(binary);
        command.arg(format!("-port={}", address.port())).args(["-listen_ip=127.0.0.1", "-logtostderr"]);
        Self::start(Kind::Cadvisor, command, address)
    }

    /// The agent with its own defaults, except that each scrape reads the kernel anew.
    pub(super) fn cgtap(binary: &Path, address: SocketAddr) -> Result<Self> {
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", &address.to_string(), "--min-interval", "1ms", "--state-dir"]);
        command.arg(exec::cache()?.join("bench-state"));
        Self::start(Kind::Cgtap, command, address)
    }

    fn start(kind: Kind, mut command: Command, address: SocketAddr) -> Result<Self> {
        let log = exec::cache()?.join(format!("bench-{}.log", kind.name()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start `{}`", exec::typed(&command)))?;
        Ok(Self { kind, address, started, child, log })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error when it has ended.
    pub(super) fn still_runs(&self) -> Result<()> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
        match state {
            Some(state) if state != 'Z' => Ok(()),
            _ => bail!("it ended by itself"),
        }
    }

    /// The end of what it logged.
    pub(super) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(5)).copied().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
