//! Cgroups made and removed, and processes killed for memory, at a steady rate while a test does something else.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cgroup::TestCgroup;
use crate::hierarchies::enable_controllers;
use crate::load::hog;

/// What is under way.
#[derive(Debug)]
pub struct Churn {
    stop: Arc<AtomicBool>,
    made: JoinHandle<Result<u64>>,
    killed: JoinHandle<Result<Vec<u32>>>,
}

/// What was done.
#[derive(Debug)]
pub struct Churned {
    /// Cgroups `churn0`, `churn1` and so on below the cgroup, each made and removed.
    pub cgroups: u64,
    /// Processes that the kernel killed.
    pub killed: Vec<u32>,
}

impl Churn {
    /// Starts: this many events of cgroups a second, two for each cgroup, and a kill each `kill_every`.
    ///
    /// # Errors
    /// The host has no memory controller, or refuses a limit.
    pub fn start(
        load: PathBuf,
        cgroup: &TestCgroup,
        events_per_second: u32,
        kill_every: Duration,
    ) -> Result<Self> {
        let dir = cgroup.memory_dir()?.to_owned();
        // On v2 the cgroups below have the files of a controller only then.
        enable_controllers(&dir);
        let victims = dir.join("victims");
        std::fs::create_dir(&victims).with_context(|| victims.display().to_string())?;
        crate::cgroup::limit_memory(&victims, 8 << 20)?;
        let stop = Arc::new(AtomicBool::new(false));
        let made = std::thread::spawn({
            let stop = Arc::clone(&stop);
            let pause = Duration::from_secs(2) / events_per_second.max(1);
            move || churn(&dir, pause, &stop)
        });
        let killed = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut killed = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    killed.push(hog(&load, &victims, 32)?.pid);
                    std::thread::sleep(kill_every);
                }
                Ok(killed)
            }
        });
        Ok(Self { stop, made, killed })
    }

    /// Ends it.
    ///
    /// # Errors
    /// The kernel refused a cgroup, or a process ended in another way.
    pub fn finish(self) -> Result<Churned> {
        self.stop.store(true, Ordering::Relaxed);
        let (made, killed) = (self.made.join(), self.killed.join());
        match (made, killed) {
            (Ok(cgroups), Ok(killed)) => Ok(Churned { cgroups: cgroups?, killed: killed? }),
            _ => bail!("a thread of the load panicked"),
        }
    }
}

fn churn(dir: &std::path::Path, pause: Duration, stop: &AtomicBool) -> Result<u64> {
    let begun = Instant::now();
    let mut made = 0;
    while !stop.load(Ordering::Relaxed) {
        let one = dir.join(format!("churn{made}"));
        std::fs::create_dir(&one).with_context(|| one.display().to_string())?;
        std::fs::remove_dir(&one).with_context(|| one.display().to_string())?;
        made += 1;
        let due = pause * u32::try_from(made).unwrap_or(u32::MAX);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    Ok(made)
}
