//! A command of `cargo xtask` that runs beside the first steps. Its output is kept, and printed as one block at its end.
//!
//! It only fills caches: the step that needs the result does the same work again and finds it done. So a failure here
//! is no failed test. That step fails too, and reports it.

use std::io::{PipeReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::tally::Tally;
use crate::exec;

/// A running command.
pub(super) struct Background {
    name: &'static str,
    typed: String,
    thread: JoinHandle<Result<Ended>>,
}

struct Ended {
    output: Vec<u8>,
    status: ExitStatus,
    time: Duration,
}

impl Background {
    /// Starts it.
    pub(super) fn start(name: &'static str, args: Vec<&'static str>) -> Self {
        println!("\n== {name}: begins in the background");
        let typed = format!("cargo xtask {}", args.join(" "));
        Self { name, typed, thread: std::thread::spawn(move || run(&args)) }
    }

    /// Waits for its end and prints its output. The report has its own time and the time of this wait.
    pub(super) fn join(self, tally: &mut Tally) {
        let Self { name, typed, thread } = self;
        let joined = tally.timed(&format!("waiting for: {name}"), |_| thread.join());
        println!("\n== {name}: `{typed}`");
        match joined.unwrap_or_else(|_| Err(anyhow!("its thread panicked"))) {
            Ok(ended) => {
                print!("{}", String::from_utf8_lossy(&ended.output));
                println!("{} after {} s", ended.status, ended.time.as_secs());
                tally.took(&format!("{name}, beside the steps above"), ended.time);
            }
            Err(why) => println!("{why:#}"),
        }
    }
}

fn run(args: &[&str]) -> Result<Ended> {
    let begun = Instant::now();
    let mut command = Command::new(std::env::current_exe()?);
    let mut reader = both_outputs(command.args(args).stdin(Stdio::null()))?;
    let mut child = command.spawn().with_context(|| format!("cannot start `{}`", exec::typed(&command)))?;
    // The command has the pipe's other end, and without its drop the output never ends.
    drop(command);
    let mut output = Vec::new();
    reader.read_to_end(&mut output)?;
    let status = child.wait()?;
    Ok(Ended { output, status, time: begun.elapsed() })
}

fn both_outputs(command: &mut Command) -> Result<PipeReader> {
    let (reader, writer) = std::io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This program is then the test runner, which has arguments too.
    #[test]
    fn both_outputs_and_the_end_are_kept() {
        let ended = run(&["--list"]).unwrap();
        let output = String::from_utf8(ended.output).unwrap();
        assert!(ended.status.success() && output.contains("both_outputs_and_the_end_are_kept"), "{output}");
        let ended = run(&["--no-such-flag"]).unwrap();
        assert!(!ended.status.success() && !ended.output.is_empty());
    }
}
