//! The command line: `cgtap serve`, `cgtap check`, `cgtap events`, `cgtap config`.
//!
//! Status 0 is success, 1 a failure while running, 2 a mistake in flags, environment or file, or an address that is
//! taken. Messages go to standard error; standard output holds what was asked for and nothing else.

mod client;
mod config;
mod events;
mod logging;
mod url;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use self::client::Refused;
use crate::config::{Config, ConfigError, Flags};
use crate::export::status_json::{check_table, status_json};
use crate::kernel::{self, PinError};
use crate::model::{THREADS_WITHIN, with_causes};
use crate::run;

const NO_RUNTIME: &str = "cannot start the runtime";
const NO_OUTPUT: &str = "cannot write to standard output";

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
    /// Show and check the settings
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

/// The status of a command that failed: 2 for a mistake of the caller.
fn exit_code(error: &anyhow::Error) -> u8 {
    let is_refused = |refused: &Refused| refused.status.as_u16() == 400;
    let is_setting = error.is::<ConfigError>() || error.is::<PinError>();
    let is_mistake = is_setting || error.downcast_ref().is_some_and(is_refused);
    if is_mistake { 2 } else { 1 }
}

/// Names the variable that a refused value comes from: clap names its flag.
fn with_variable(
    mut error: clap::Error,
    mut arguments: impl Iterator<Item = String>,
    is_set: impl Fn(&str) -> bool,
) -> clap::Error {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return error };
    let flag = argument.split([' ', '[', '=']).next().unwrap_or_default().to_owned();
    let variable = format!("CGTAP_{}", flag.trim_start_matches('-').replace('-', "_").to_uppercase());
    if !arguments.any(|argument| argument.split('=').next() == Some(&flag)) && is_set(&variable) {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    error
}

/// Does what the process was started for.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
        with_variable(error, arguments, |name| std::env::var_os(name).is_some()).exit()
    });
    let outcome = match cli.command {
        Command::Serve(flags) => serve(flags),
        Command::Check(args) => check(args),
        Command::Events(args) => events::run(&args),
        Command::Config(command) => command.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere left to write to when standard error is gone.
            let _ = writeln!(io::stderr(), "cgtap: {}", with_causes(error.as_ref()));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn load(flags: Flags) -> anyhow::Result<Config> {
    let config = Config::load(flags)?;
    logging::start(&config);
    Ok(config)
}

fn serve(flags: Flags) -> anyhow::Result<()> {
    let config = load(flags)?;
    kernel::limit_heaps();
    // Two threads for sockets; the event path has its own. The host's processors are for its containers.
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().context(NO_RUNTIME)?;
    let outcome = runtime.block_on(run::run(config));
    runtime.shutdown_timeout(THREADS_WITHIN);
    outcome
}

fn check(args: CheckArgs) -> anyhow::Result<()> {
    let config = load(args.flags)?;
    let runtime = single_thread()?;
    let status = runtime.block_on(run::check(config));
    runtime.shutdown_timeout(THREADS_WITHIN);
    let status = status?;
    let text = if args.json { status_json(&status)? } else { check_table(&status).into_bytes() };
    print(&text)
}

fn single_thread() -> anyhow::Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context(NO_RUNTIME)
}

/// Writes to standard output. A reader that went away (`| head`) is no failure.
fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context(NO_OUTPUT),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
