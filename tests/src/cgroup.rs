//! A cgroup that a test owns.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::hierarchies::{Hierarchies, enable_controllers};

/// Names of test cgroups begin with this.
pub const PREFIX: &str = "cgtap-test-";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// One cgroup, made below the root of each hierarchy that matters. On drop it is removed with its children, and processes in it are
/// killed: only a test can have put them there.
#[derive(Debug)]
pub struct TestCgroup {
    name: OsString,
    memory: Option<PathBuf>,
    dirs: Vec<PathBuf>,
}

impl TestCgroup {
    /// Makes `/cgtap-test-<pid>-<n>`.
    ///
    /// # Errors
    /// A directory cannot be made.
    pub fn new() -> Result<Self> {
        Self::with_suffix(b"")
    }

    /// Makes `/cgtap-test-<pid>-<n><suffix>`; the suffix may hold any byte that the kernel allows.
    ///
    /// # Errors
    /// A directory cannot be made.
    pub fn with_suffix(suffix: &[u8]) -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut name = format!("{PREFIX}{}-{number}", std::process::id()).into_bytes();
        name.extend_from_slice(suffix);
        let name = OsString::from_vec(name);
        let hierarchies = Hierarchies::of_this_host()?;
        // Built before the first mkdir, so that an error half way removes the directories that exist.
        let mut made = Self { memory: None, dirs: Vec::new(), name };
        for hierarchy in hierarchies.roots() {
            enable_controllers(&hierarchy.mount);
            let dir = hierarchy.mount.join(&made.name);
            // Its children get no controllers: v2 allows no process in a cgroup that passes controllers on.
            std::fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
            if hierarchy.controllers.iter().any(|c| c == "memory") {
                made.memory = Some(dir.clone());
            }
            made.dirs.push(dir);
        }
        Ok(made)
    }

    /// The path inside the hierarchies, as `/proc/<pid>/cgroup` shows it.
    #[must_use]
    pub fn path_bytes(&self) -> Vec<u8> {
        [b"/", self.name.as_bytes()].concat()
    }

    /// The same as text, for names that are UTF-8.
    #[must_use]
    pub fn path(&self) -> String {
        String::from_utf8_lossy(&self.path_bytes()).into_owned()
    }

    /// Its directory in the hierarchy of the memory controller.
    ///
    /// # Errors
    /// No hierarchy has the memory controller.
    pub fn memory_dir(&self) -> Result<&Path> {
        self.memory.as_deref().context("no hierarchy has the memory controller")
    }

    /// Its directory in each hierarchy.
    #[must_use]
    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// Limits its memory.
    ///
    /// # Errors
    /// The kernel refuses the value.
    pub fn limit_memory(&self, limit_bytes: u64) -> Result<()> {
        limit_memory(self.memory_dir()?, limit_bytes)
    }

    /// Limits its processes to this many hundredths of one processor. Returns the directory that has the limit.
    ///
    /// # Errors
    /// No hierarchy has the controller, or the kernel refuses the value.
    pub fn limit_cpu(&self, percent: u32) -> Result<&Path> {
        let period_usec = 100_000;
        let quota_usec = period_usec / 100 * percent;
        for dir in &self.dirs {
            let (v1, v2) = (dir.join("cpu.cfs_quota_us"), dir.join("cpu.max"));
            let (file, value) = match () {
                () if v2.exists() => (v2, format!("{quota_usec} {period_usec}")),
                // The period is the kernel's default.
                () if v1.exists() => (v1, quota_usec.to_string()),
                () => continue,
            };
            std::fs::write(&file, value).with_context(|| file.display().to_string())?;
            return Ok(dir);
        }
        bail!("no hierarchy has cpu.cfs_quota_us or cpu.max")
    }

    /// The inode number of its memory directory, which is the kernel's id of the cgroup.
    ///
    /// # Errors
    /// The directory is gone.
    pub fn memory_id(&self) -> Result<u64> {
        use std::os::unix::fs::MetadataExt;
        Ok(std::fs::metadata(self.memory_dir()?)?.ino())
    }
}

impl Drop for TestCgroup {
    fn drop(&mut self) {
        for dir in &self.dirs {
            remove_tree(dir);
        }
    }
}

/// Limits the memory of the cgroup at `dir`, swap included where the kernel counts it.
///
/// # Errors
/// The kernel refuses the value.
pub fn limit_memory(dir: &Path, limit_bytes: u64) -> Result<()> {
    let v2 = dir.join("memory.max");
    let file = if v2.exists() { v2 } else { dir.join("memory.limit_in_bytes") };
    std::fs::write(&file, limit_bytes.to_string()).with_context(|| file.display().to_string())?;
    // Else a host with swap swaps the load out instead of killing it.
    for (file, value) in [("memory.swap.max", 0), ("memory.memsw.limit_in_bytes", limit_bytes)] {
        if dir.join(file).exists() {
            let _ = std::fs::write(dir.join(file), value.to_string());
        }
    }
    Ok(())
}

/// Kills all processes in a cgroup that we made, and removes it and all below it. Errors are ignored: the next use of the
/// directory shows them.
pub fn remove_tree(dir: &Path) {
    if let Ok(entries) = std::fs::read_dir(dir) {
        for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
            remove_tree(&entry.path());
        }
    }
    kill_members(dir);
    let deadline = Instant::now() + Duration::from_secs(5);
    while let Err(error) = std::fs::remove_dir(dir) {
        if error.kind() == std::io::ErrorKind::NotFound || Instant::now() > deadline {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kill_members(dir: &Path) {
    let text = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    for pid in text.lines().filter_map(|l| l.parse::<i32>().ok()) {
        // A test that moved itself into the cgroup must not kill itself.
        if let Some(pid) = rustix::process::Pid::from_raw(pid) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}
