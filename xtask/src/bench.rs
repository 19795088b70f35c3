//! `cargo xtask bench`: the agent and cAdvisor on the same cgroups of this host, one after the other, as a table.
//!
//! | figure | how |
//! |---|---|
//! | start | from the start of the process to the first scrape that has every container |
//! | processor time | user and system time from `/proc/PID/stat` over all scrapes, one a second, with and without what the process uses in the same time without scrapes |
//! | wall time | the median of the scrapes |
//! | events | a burst of cgroups and a row of OOM kills, made after the scrapes, against what the process reports |
//!
//! It is no test: it asserts nothing, and its figures are from one run on one host.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use cgtap_tests::load::Tree;
use cgtap_tests::{agent, host};

use crate::{debian, exec, run as run_command};

mod events;
mod measure;
mod peer;
mod table;

use measure::Figures;
use peer::Process;

/// Cgroups made and removed at once.
const BURST: u32 = 2000;
/// OOM kills, one after the other.
const KILLS: u32 = 20;
/// How long processor time without scrapes is measured.
const IDLE: Duration = Duration::from_secs(10);

/// Measures both and prints the table.
///
/// # Errors
/// This host cannot run it, or one of the two does not start.
pub(crate) fn run(pods: u32, scrapes: u32) -> Result<()> {
    if scrapes == 0 || pods == 0 {
        bail!("--pods and --scrapes: wanted at least 1");
    }
    if let Err(why) = host::memory_cgroups() {
        bail!("the benchmark {why}");
    }
    let cadvisor = debian::cadvisor()?;
    let cgtap = run_command::build(run_command::RELEASE)?;
    exec::run(exec::cargo().args(["build", "--quiet", "--package", "cgtap-tests", "--bin", "cgtap-load"]))?;
    let tree = Tree::make(pods).context("cannot make the tree")?;
    println!("{} cgroups in {pods} pods, {scrapes} scrapes, {}", pods * 2, table::this_host()?);
    let theirs = measure_one(&Process::cadvisor(&cadvisor, agent::free_address()?)?, &tree, scrapes)?;
    let ours = measure_one(&Process::cgtap(&cgtap, agent::free_address()?)?, &tree, scrapes)?;
    println!("\n{}", table::render(&theirs, &ours));
    Ok(())
}

fn measure_one(process: &Process, tree: &Tree, scrapes: u32) -> Result<Figures> {
    eprintln!("measuring {}", process.kind.name());
    measure::all(process, tree, scrapes)
        .with_context(|| format!("{}: {}", process.kind.name(), process.log_tail()))
}
