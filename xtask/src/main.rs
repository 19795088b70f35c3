//! The project's commands, as `cargo xtask NAME`. One file per command.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line's own output")]
#![allow(
    clippy::disallowed_methods,
    reason = "these commands start compilers, package managers and the agent"
)]

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use vm::Machines;

mod apt;
mod bench;
mod debian;
mod deny;
mod ebpf;
mod exec;
mod lines;
mod run;
mod soak;
mod source;
mod test;
mod tidy;
mod vm;

/// The project's commands.
#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Command {
    /// Build the BPF object that the agent embeds, the same bytes on every host.
    Ebpf {
        /// Only compare: fail when the object in the repository is not what the source builds to.
        #[arg(long)]
        check: bool,
    },
    /// Build the agent and start it on this host.
    Run {
        /// Further flags of `cgtap serve`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Everything that must pass: format, lints, tidy, the BPF object, all tests. CI runs this.
    Test {
        /// Leave out the live tests on other kernels, in virtual machines.
        #[arg(long)]
        no_machines: bool,
        /// Run them in all machines instead of the three that differ most, compare docs/kernels.md with their results, and
        /// check the dependencies.
        #[arg(long, conflicts_with = "no_machines")]
        all_machines: bool,
    },
    /// Compare the agent with cAdvisor on the same tree of cgroups. Root.
    Bench {
        /// Pods in the tree; each is two cgroups.
        #[arg(long, default_value_t = 500)]
        pods: u32,
        /// Scrapes of each.
        #[arg(long, default_value_t = 20)]
        scrapes: u32,
    },
    /// Run the tests of the stream of events for long: 200 crashes, 20 restarts with pinned rings, and more. Root.
    Soak {
        /// Only tests with this in their names.
        only: Option<String>,
    },
    /// Run the live tests on other kernels and cgroup layouts, in virtual machines.
    Vm {
        /// Write the machines' results into the table of docs/kernels.md, instead of comparing.
        #[arg(long, conflicts_with = "only")]
        write: bool,
        /// Only tests with this in their names, instead of all; then the table is left alone.
        #[arg(long)]
        only: Option<String>,
        /// Fetch the kernels and build the image, and boot nothing.
        #[arg(long, conflicts_with_all = ["write", "only"])]
        prepare: bool,
        /// Machines, or the first parts of their names; all without any.
        names: Vec<String>,
    },
    /// Count the agent's lines of code by folder, without tests, comments and blank lines.
    Lines {
        /// A git revision to compare with.
        #[arg(long)]
        base: Option<String>,
    },
    /// Check the rules that no compiler knows: layers, file and function length, where `unsafe` and files may be.
    Tidy,
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Ebpf { check } => ebpf::run(check),
        Command::Run { args } => run::run(&args),
        Command::Test { no_machines: true, .. } => test::run(Machines::None),
        Command::Test { all_machines: true, .. } => test::run(Machines::All),
        Command::Test { .. } => test::run(Machines::Few),
        Command::Bench { pods, scrapes } => bench::run(pods, scrapes),
        Command::Soak { only } => soak::run(only.as_deref()),
        Command::Vm { names, prepare: true, .. } => vm::prepare(&names),
        Command::Vm { names, only, write, .. } => vm::run(&names, only.as_deref(), write),
        Command::Lines { base } => lines::run(base.as_deref()),
        Command::Tidy => tidy::run(),
    }
}
