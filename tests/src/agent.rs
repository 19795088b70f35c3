//! Builds, starts and stops the real binary.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
pub use rustix::process::Signal;
use tempfile::TempDir;

use crate::http::{Answer, Lines, get};

/// The path of a binary to use instead of the one that cargo builds.
pub const BINARY: &str = "CGTAP_TEST_BINARY";

/// How long readiness may take on a busy machine. The agent itself takes far less.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// The agent's binary, built once per test run in the profile of the tests.
///
/// # Errors
/// It does not build.
pub fn binary() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match BUILT.get_or_init(|| build().map_err(|e| format!("{e:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => bail!("{error}"),
    }
}

fn build() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(BINARY) {
        return Ok(PathBuf::from(path));
    }
    let this = std::env::current_exe()?;
    let profile = this.ancestors().nth(2).context("the test is not in target/PROFILE/deps")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "cgtap", "--bin", "cgtap"]);
    if profile.file_name() == Some(OsStr::new("release")) {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().context("cannot start cargo")?;
    if !status.success() {
        bail!("`cargo build --package cgtap` failed: {status}");
    }
    Ok(profile.join("cgtap"))
}

/// How to start the agent.
#[derive(Debug)]
pub struct Options {
    /// The binary.
    pub binary: PathBuf,
    /// Words before the binary, such as a program that drops rights.
    pub wrapper: Vec<String>,
    /// Further flags of `cgtap serve`.
    pub args: Vec<String>,
    /// The state directory that one agent takes over from another; else a new one.
    pub state_dir: Option<PathBuf>,
    /// The file to which its standard output is appended; else it is discarded.
    pub stdout: Option<PathBuf>,
}

impl Options {
    /// The binary of this build with these flags.
    ///
    /// # Errors
    /// It does not build.
    pub fn new(args: &[&str]) -> Result<Self> {
        let args = args.iter().map(|&a| a.to_owned()).collect();
        Ok(Self { binary: binary()?.to_owned(), wrapper: Vec::new(), args, state_dir: None, stdout: None })
    }

    /// The same in this state directory.
    #[must_use]
    pub fn in_state_dir(mut self, dir: &Path) -> Self {
        self.state_dir = Some(dir.to_owned());
        self
    }
}

/// A running agent on a loopback port of its own. On drop it is killed by its id, and if the test failed, its log is printed.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    /// Its address.
    pub address: SocketAddr,
    /// From its start to the first good answer of `/readyz`.
    pub ready_after: Duration,
    state: TempDir,
}

impl Agent {
    /// Starts the agent with these flags of `cgtap serve` and waits until it is ready.
    ///
    /// # Errors
    /// It ended or was not ready in time; the message has its log.
    pub fn start(args: &[&str]) -> Result<Self> {
        Self::start_with(&Options::new(args)?)
    }

    /// The same in a state directory that another agent has used.
    ///
    /// # Errors
    /// As for [`Agent::start`].
    pub fn start_in(state_dir: &Path, args: &[&str]) -> Result<Self> {
        Self::start_with(&Options::new(args)?.in_state_dir(state_dir))
    }

    /// The same with a binary or rights that the caller chooses.
    ///
    /// # Errors
    /// As for [`Agent::start`].
    pub fn start_with(options: &Options) -> Result<Self> {
        let begun = Instant::now();
        let mut agent = Self::spawn(options)?;
        agent.wait_until_ready(begun)?;
        Ok(agent)
    }

    /// Starts it without waiting.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(options: &Options) -> Result<Self> {
        let state = tempfile::Builder::new().prefix("cgtap-test-").tempdir()?;
        open_to_all(state.path())?;
        let address = free_address()?;
        let mut command = wrapped(options);
        let state_dir = options.state_dir.as_deref().unwrap_or(state.path());
        command.args(["serve", "--listen", &address.to_string(), "--state-dir"]).arg(state_dir);
        command.args(&options.args).stdin(Stdio::null()).stdout(Stdio::null());
        if let Some(path) = &options.stdout {
            command.stdout(File::options().create(true).append(true).open(path)?);
        }
        command.stderr(File::create(log_file(state.path()))?);
        let child = command.spawn().with_context(|| format!("cannot start {}", options.binary.display()))?;
        Ok(Self { child, address, ready_after: Duration::ZERO, state })
    }

    fn wait_until_ready(&mut self, begun: Instant) -> Result<()> {
        loop {
            if get(self.address, "/readyz").is_ok_and(|a| a.status == 200) {
                self.ready_after = begun.elapsed();
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the agent ended before it was ready: {status}\n{}", self.log());
            }
            if begun.elapsed() > READY_WITHIN {
                bail!("the agent was not ready after {READY_WITHIN:?}\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_file(self.state.path())).unwrap_or_default()
    }

    /// `GET path`.
    ///
    /// # Errors
    /// No answer.
    pub fn get(&self, path: &str) -> Result<Answer> {
        get(self.address, path)
    }

    /// `/metrics`, parsed.
    ///
    /// # Errors
    /// No good answer, or a line that is no sample.
    pub fn metrics(&self) -> Result<crate::exposition::Exposition> {
        let answer = self.get("/metrics")?;
        if answer.status != 200 {
            bail!("/metrics answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        crate::exposition::Exposition::parse(answer.text()?)
    }

    /// Follows `/events` with these further parameters (`&types=...`). When this returns, the agent has subscribed us.
    ///
    /// # Errors
    /// No connection, or a status other than 200.
    pub fn follow(&self, parameters: &str) -> Result<Lines> {
        Lines::open(self.address, &format!("/events?follow=1{parameters}"))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid =
            i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw).context("no pid")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Sends SIGTERM and waits.
    ///
    /// # Errors
    /// It did not end in time.
    pub fn terminate(&mut self, within: Duration) -> Result<(ExitStatus, Duration)> {
        let begun = Instant::now();
        self.signal(Signal::TERM)?;
        while begun.elapsed() < within {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status, begun.elapsed()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        bail!("the agent still runs {within:?} after SIGTERM\n{}", self.log())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), self.log().as_bytes());
        }
    }
}

/// Runs `cgtap` with these arguments until it ends by itself.
///
/// # Errors
/// It cannot be started, or it still runs after a minute.
pub fn run_to_end(args: &[&str]) -> Result<Output> {
    let mut command = wrapped(&Options::new(&[])?);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let begun = Instant::now();
    while child.try_wait()?.is_none() {
        if begun.elapsed() > READY_WITHIN {
            child.kill()?;
            let output = child.wait_with_output()?;
            bail!("cgtap {args:?} still ran: {}", String::from_utf8_lossy(&output.stderr));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(child.wait_with_output()?)
}

/// A free loopback port.
///
/// # Errors
/// The kernel has none.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn wrapped(options: &Options) -> Command {
    let mut command = match options.wrapper.split_first() {
        None => Command::new(&options.binary),
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(&options.binary);
            command
        }
    };
    // The agent must not see the variables of the tests and of the caller.
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("CGTAP_")) {
        command.env_remove(name);
    }
    command
}

fn log_file(state: &Path) -> PathBuf {
    state.join("stderr.log")
}

/// For an agent that runs as another user than the test.
fn open_to_all(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o777))?)
}
