//! `cargo xtask vm [--write] [--only TEST] [NAME...]`: the live tests on other kernels and cgroup layouts, in virtual machines.
//!
//! | module | does |
//! |---|---|
//! | [`machines`] | which machines there are |
//! | [`kernel`] | fetches a kernel of a Debian suite, once |
//! | [`image`] | builds the agent, the tests and their init without shared libraries, and packs them |
//! | [`tools`] | the programs of this host that tests start in a machine |
//! | [`cpio`] | the form of an initramfs |
//! | [`boot`] | starts a machine under qemu, keeps its console in a file, ends it when it hangs |
//! | [`console`] | what a console says |
//! | [`table`] | what events contain on each kernel, for the documentation |
//!
//! qemu emulates the processor, so that the same runs on every host. A kernel that cannot be fetched is a skipped
//! machine; a machine that says no count is a failed one. The last line is `N passed, N failed, N skipped`.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::apt::{self, Need};
use crate::exec;
use crate::test::tally::Tally;

mod boot;
mod console;
mod cpio;
mod image;
mod kernel;
mod machines;
mod table;
mod tools;

use boot::{Boot, Outcome, Tests};
use kernel::Kernel;
use machines::Machine;
use table::Table;

/// Each is one thread here, and its tests wait now and then: three keep two cores busy.
const AT_A_TIME: usize = 3;
const PROGRAMS: [Need; 2] = [
    Need { file: "qemu-system-x86_64", packages: &["qemu-system-x86"] },
    Need { file: "/usr/lib/x86_64-linux-gnu/libc.a", packages: &["libc6-dev"] },
];

/// A machine that can be booted.
struct Ready<'a> {
    machine: &'a Machine,
    kernel: Kernel,
}

/// Runs the machines that these names mean, or all, with the tests that have `only` in their names, or all. When every machine
/// has run every test, the table in the documentation is compared with what they said, or written.
///
/// # Errors
/// A name means none, `only` is no part of a test's name, or something that all machines need is missing.
pub(crate) fn run(names: &[String], only: Option<&str>, write: bool) -> Result<()> {
    if write && !names.is_empty() {
        bail!("--write wants all machines, and not {} alone", names.join(", "));
    }
    if let Some(part) = only.filter(|part| !is_part_of_a_name(part)) {
        bail!("--only `{part}`: wanted a part of a test's name");
    }
    let chosen = machines::choose(names)?;
    ensure_programs()?;
    let mut tally = Tally::default();
    let table = machines(&chosen, only.map_or(Tests::All, Tests::Named), &mut tally)?;
    if names.is_empty() && only.is_none() {
        tally_table(table.as_ref(), write, &mut tally);
    }
    if let Some(part) = only.filter(|_| tally.is_empty()) {
        bail!("--only `{part}`: no test has that in its name");
    }
    println!("{}", tally.report());
    if tally.failed() > 0 {
        // The report is the message, and its last line stays the last line.
        std::process::exit(1);
    }
    Ok(())
}

/// Which machines the test command boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machines {
    /// None.
    None,
    /// The three that differ most, with the tests that depend on the kernel.
    Few,
    /// All, with all tests: then the table in the documentation is compared.
    All,
}

impl Machines {
    fn chosen(self) -> Vec<&'static Machine> {
        match self {
            Self::None => Vec::new(),
            Self::Few => machines::few(),
            Self::All => machines::all(),
        }
    }

    /// The names of the machines, as on the command line.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        self.chosen().into_iter().map(|machine| machine.name)
    }
}

/// Machines as a part of the test command: where they cannot run each is a skipped line.
pub(crate) fn test(which: Machines, tally: &mut Tally) {
    if which == Machines::None {
        return tally.skip("virtual machines", "--no-machines");
    }
    let chosen = which.chosen();
    println!("\n== virtual machines");
    if let Err(why) = ensure_programs() {
        for machine in chosen {
            tally.skip(machine.name, &format!("{why:#}"));
        }
        return;
    }
    let tests = if which == Machines::All { Tests::All } else { Tests::OfKernel };
    match tally.timed("virtual machines", |tally| machines(&chosen, tests, tally)) {
        Ok(table) if which == Machines::All => tally_table(table.as_ref(), false, tally),
        Ok(_) => {}
        Err(error) => tally.step("virtual machines", || Err(error)),
    }
}

/// Fetches the kernels and builds the image, so that a later run finds both.
///
/// # Errors
/// A name means no machine, or something that all machines need is missing.
pub(crate) fn prepare(names: &[String]) -> Result<()> {
    let chosen = machines::choose(names)?;
    ensure_programs()?;
    let folder = folder()?;
    let _alone = alone(&folder)?;
    let mut tally = Tally::default();
    let ready = with_kernels(&chosen, &mut tally);
    if !ready.is_empty() {
        make_image(&folder, &ready)?;
    }
    Ok(())
}

/// Installs what the host lacks for machines.
///
/// # Errors
/// Something is missing and cannot be installed.
pub(crate) fn ensure_programs() -> Result<()> {
    apt::ensure("virtual machines", &PROGRAMS)?;
    apt::ensure("tests in virtual machines", &tools::NEEDS)
}

fn folder() -> Result<PathBuf> {
    let folder = exec::cache()?.join("vm");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

fn make_image(folder: &Path, ready: &[Ready]) -> Result<PathBuf> {
    let kernels: Vec<&Kernel> = ready.iter().map(|ready| &ready.kernel).collect();
    image::make(folder, &kernels)
}

/// Boots them; what they said, when all of them came to a good end.
fn machines(chosen: &[&Machine], tests: Tests<'_>, tally: &mut Tally) -> Result<Option<Table>> {
    let begun = Instant::now();
    let folder = folder()?;
    let _alone = alone(&folder)?;
    let ready = with_kernels(chosen, tally);
    if ready.is_empty() {
        return Ok(None);
    }
    let image = make_image(&folder, &ready)?;
    let table = boot_all(&ready, &Boot { image: &image, folder: &folder, tests }, tally);
    println!("\n{} of {} machines in {} s", ready.len(), chosen.len(), begun.elapsed().as_secs());
    Ok((table.machines() == chosen.len()).then_some(table))
}

/// What can stand in the name of a test, and so among the arguments of a kernel.
fn is_part_of_a_name(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_".contains(&byte))
}

fn tally_table(table: Option<&Table>, write: bool, tally: &mut Tally) {
    let name = "the table in docs/kernels.md";
    match table {
        Some(table) if write => tally.step(name, || table.write()),
        Some(table) => tally.step(name, || table.check()),
        None => tally.skip(name, "not all machines came to a good end"),
    }
}

/// Waits for another run of this command: image and consoles are files of the same names. The lock goes with the file.
fn alone(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    if file.try_lock().is_err() {
        eprintln!("another run has {}: waiting for its end", path.display());
        file.lock().with_context(|| path.display().to_string())?;
    }
    Ok(file)
}

/// Each suite is asked once, also when it fails.
fn with_kernels<'a>(chosen: &[&'a Machine], tally: &mut Tally) -> Vec<Ready<'a>> {
    let mut fetched: HashMap<&str, Result<Kernel>> = HashMap::new();
    let mut ready = Vec::new();
    for machine in chosen {
        match fetched.entry(machine.suite).or_insert_with(|| kernel::fetch(machine.suite)) {
            Ok(kernel) => ready.push(Ready { machine, kernel: kernel.clone() }),
            Err(why) => {
                tally.skip(machine.name, &format!("no kernel of Debian {}: {why:#}", machine.suite));
            }
        }
    }
    ready
}

fn boot_all(ready: &[Ready], boot: &Boot, tally: &mut Tally) -> Table {
    let (queue, heard) = (Mutex::new(ready.iter().enumerate()), Mutex::new((tally, Table::default())));
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((place, Ready { machine, kernel })) = next() {
                    let begun = Instant::now();
                    let outcome = boot.run(machine, &kernel.vmlinuz);
                    let seconds = begun.elapsed().as_secs();
                    if let Ok(mut heard) = heard.lock() {
                        let (tally, table) = &mut *heard;
                        if let Ok(Outcome { console, bad_end: None }) = &outcome {
                            table.add(place, machine, &console.facts);
                        }
                        report(machine, outcome, seconds, tally);
                    }
                }
            });
        }
    });
    heard.into_inner().map(|(_, table)| table).unwrap_or_default()
}

/// One line for the machine, what its failed tests printed, and its counts into the sum.
fn report(machine: &Machine, outcome: Result<Outcome>, seconds: u64, tally: &mut Tally) {
    let name = machine.name;
    match outcome {
        Ok(Outcome { console, bad_end: None }) => {
            let (passed, failed) = console.counts.unwrap_or_default();
            let skipped = console.skips.len();
            let kernel = console.kernel.as_deref().unwrap_or("kernel unknown");
            println!(
                "{name:<16} {kernel:<32} {passed} passed, {failed} failed, {skipped} skipped   {seconds} s"
            );
            print!("{}", console.failures);
            let unnamed = failed.saturating_sub(u64::try_from(console.failed.len()).unwrap_or(0));
            for test in &console.failed {
                tally.fail(&format!("{name}: {test}"), &format!("cargo xtask vm --only {test} {name}"));
            }
            let skips: Vec<String> =
                console.skips.into_iter().map(|note| format!("skipped: {name}: {note}")).collect();
            let said = passed.saturating_add(u64::try_from(skips.len()).unwrap_or(0));
            tally.add(said, unnamed, skips);
        }
        Ok(Outcome { console, bad_end: Some(why) }) => {
            println!("{name:<16} FAILED: {why}   {seconds} s\n{}", console.tail);
            tally.fail(&format!("{name}: {why}"), &format!("cargo xtask vm {name}"));
        }
        Err(error) => {
            println!("{name:<16} FAILED: {error:#}");
            tally.fail(&format!("{name}: {error:#}"), &format!("cargo xtask vm {name}"));
        }
    }
}
