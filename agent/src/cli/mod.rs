//! The command line: `cgtap serve`, `cgtap check`, `cgtap events`.
//!
//! Status 0 is success, 1 a failure while running, 2 a mistake in flags, environment or file, or an address that is
//! taken. Messages go to standard error; standard output holds what was asked for and nothing else.

mod client;
mod events;
mod logging;
mod url;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Flags};
use crate::export::status_json::{check_table, status_json};
use crate::kernel;
use crate::run::{self, RunError};

/// Blocking work (a walk, a compression) that still runs at the end is not waited for longer.
const END_WAIT: Duration = Duration::from_millis(300);

/// eBPF events and counters of every cgroup on this node, over HTTP
#[derive(Debug, Parser)]
#[command(name = "cgtap", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent
    Serve(Flags),
    /// Show what this host supports and which sources would serve
    Check(CheckArgs),
    /// Print the events of a running agent
    Events(events::EventsArgs),
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

/// How a command failed: the text for standard error and the status.
#[derive(Debug)]
struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    fn running(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 1 }
    }

    fn usage(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 2 }
    }
}

impl From<RunError> for Failure {
    fn from(err: RunError) -> Self {
        Self { code: err.exit_code(), text: with_causes(&err) }
    }
}

/// The error and what caused it, in one line.
fn with_causes(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        let inner = err.to_string();
        // Many of our messages already end with their cause.
        if !text.contains(&inner) {
            text.push_str(": ");
            text.push_str(&inner);
        }
        cause = err.source();
    }
    text
}

/// Does what the process was started for.
#[must_use]
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(flags) => serve(flags),
        Command::Check(args) => check(args),
        Command::Events(args) => events::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { text, code }) => {
            // Nobody is left to tell when standard error is gone.
            let _told = writeln!(io::stderr(), "cgtap: {text}").is_ok();
            ExitCode::from(code)
        }
    }
}

fn load(flags: Flags) -> Result<Config, Failure> {
    let config = Config::load(flags).map_err(|err| Failure::usage(err.to_string()))?;
    logging::start(&config);
    Ok(config)
}

fn serve(flags: Flags) -> Result<(), Failure> {
    let config = load(flags)?;
    kernel::limit_heaps();
    // One thread for sockets and one for the core; the host's processors are for its containers.
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().map_err(no_runtime)?;
    let outcome = runtime.block_on(run::run(config));
    runtime.shutdown_timeout(END_WAIT);
    Ok(outcome?)
}

fn check(args: CheckArgs) -> Result<(), Failure> {
    let config = load(args.flags)?;
    let runtime = single_thread()?;
    let status = runtime.block_on(run::check(config));
    runtime.shutdown_timeout(END_WAIT);
    let status = status?;
    let text = if args.json {
        status_json(&status).map_err(|err| Failure::running(err.to_string()))?
    } else {
        check_table(&status).into_bytes()
    };
    print(&text)
}

fn single_thread() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_runtime)
}

#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` wants")]
fn no_runtime(err: io::Error) -> Failure {
    Failure::running(format!("cannot start the runtime: {err}"))
}

/// Writes to standard output. A reader that went away (`| head`) is no failure.
fn print(bytes: &[u8]) -> Result<(), Failure> {
    match write_out(bytes) {
        Err(err) if err.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::running(format!("cannot write to standard output: {err}")))
        }
        _ => Ok(()),
    }
}

fn write_out(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

#[cfg(test)]
mod tests;
