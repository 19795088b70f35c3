//! Trees, bursts and OOM kills to run an agent against. The binary `cgtap-load` has the same as commands.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cgroup::remove_tree;
use crate::hierarchies::{Hierarchies, enable_controllers};
pub use crate::member::{Killed, Member, hog, newborn};

/// The path of a load program to use instead of the one that cargo builds.
pub const BINARY: &str = "CGTAP_TEST_LOAD";

/// A mark in the middle of the uid of each pod of a [`Tree`]: it marks the pods of these tests.
const MARK: &str = "c67a-4000-8000";

/// Trees of one process share the class's directory, and the last one removes it. So only one at a time is made or removed.
static CLASS: Mutex<()> = Mutex::new(());
static NEXT: AtomicU32 = AtomicU32::new(0);
static KILLS: Mutex<()> = Mutex::new(());

/// Held by a test that has processes killed, where such tests run one at a time. The kernel log has 128 KiB on most hosts: lines of
/// other kills would push out those that name the process after a crash of the agent. And from the kernel's count alone, an agent
/// cannot find the cgroup of a kill when that cgroup is gone.
pub fn the_only_kills() -> MutexGuard<'static, ()> {
    KILLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pods of one container each, named as the kubelet's cgroupfs driver does, in every hierarchy that matters.
#[derive(Debug)]
pub struct Tree {
    /// The containers' paths, as the agent's `id` label has them.
    pub containers: Vec<String>,
    owner: u32,
}

impl Tree {
    /// Makes `count` pods, which is twice as many cgroups and the two of the class above them.
    ///
    /// # Errors
    /// A directory cannot be made.
    pub fn make(count: u32) -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // A process id has at most 22 bits.
        let mut tree = Self { containers: Vec::new(), owner: std::process::id() << 10 | number & 0x3ff };
        let hierarchies = Hierarchies::of_this_host()?;
        for number in 0..count {
            tree.containers.push(container_path(tree.owner, number));
        }
        let _alone = CLASS.lock();
        for hierarchy in hierarchies.roots() {
            for path in &tree.containers {
                make_with_parents(&hierarchy.mount, path)?;
            }
        }
        Ok(tree)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        remove_pods(Some(self.owner));
    }
}

fn container_path(owner: u32, number: u32) -> String {
    format!("/kubepods/burstable/pod{owner:08x}-{MARK}-{number:012x}/{owner:032x}{number:032x}")
}

fn make_with_parents(root: &Path, path: &str) -> Result<()> {
    let mut dir = root.to_owned();
    let mut names = path.split('/').filter(|n| !n.is_empty()).peekable();
    while let Some(name) = names.next() {
        enable_controllers(&dir);
        dir.push(name);
        match std::fs::create_dir(&dir) {
            // The class is shared by all pods, the container is ours alone.
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && names.peek().is_some() => {}
            made => made.with_context(|| format!("cannot make {}", dir.display()))?,
        }
    }
    Ok(())
}

/// Removes all pods that any [`Tree`] left, also those of a killed test. Other pods stay.
pub fn clean() {
    remove_pods(None);
}

fn remove_pods(owner: Option<u32>) {
    let _alone = CLASS.lock();
    let Ok(hierarchies) = Hierarchies::of_this_host() else { return };
    for hierarchy in hierarchies.roots() {
        let class = hierarchy.mount.join("kubepods/burstable");
        let Ok(entries) = std::fs::read_dir(&class) else { continue };
        for entry in entries.flatten().filter(|e| is_ours(&e.file_name().to_string_lossy(), owner)) {
            remove_tree(&entry.path());
        }
        // The kernel refuses to remove either while another pod or process is in it.
        let _ = std::fs::remove_dir(&class);
        let _ = std::fs::remove_dir(hierarchy.mount.join("kubepods"));
    }
}

fn is_ours(pod: &str, owner: Option<u32>) -> bool {
    let Some((maker, _)) = pod.strip_prefix("pod").and_then(|uid| uid.split_once(&format!("-{MARK}-")))
    else {
        return false;
    };
    maker.len() == 8 && owner.is_none_or(|owner| maker == format!("{owner:08x}"))
}

/// Makes and removes `count` cgroups below `dir`, one after the other, as fast as the kernel allows.
///
/// # Errors
/// The kernel refuses one.
pub fn burst(dir: &Path, count: u32) -> Result<Duration> {
    let begun = Instant::now();
    for number in 0..count {
        let one = dir.join(format!("burst{number}"));
        std::fs::create_dir(&one).with_context(|| one.display().to_string())?;
        std::fs::remove_dir(&one).with_context(|| one.display().to_string())?;
    }
    Ok(begun.elapsed())
}

/// Moves this process into the cgroup at `dir`.
///
/// # Errors
/// The kernel refuses.
pub fn enter(dir: &Path) -> Result<()> {
    let file = dir.join("cgroup.procs");
    std::fs::write(&file, "0").with_context(|| file.display().to_string())
}

/// The `cgtap-load` binary beside a test or command of the same build.
///
/// # Errors
/// This program does not know where it is.
pub fn binary_beside() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let folder = this.parent().context("no folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().context("no folder")? } else { folder };
    Ok(folder.join("cgtap-load"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_pods_are_ours() {
        let path = container_path(77, 3);
        let pod = path.split('/').nth(3).unwrap();
        assert!(is_ours(pod, Some(77)) && is_ours(pod, None));
        assert!(!is_ours(pod, Some(78)));
        assert!(!is_ours("pod0000004d-1111-2222-3333-444455556666", None));
        assert!(!is_ours("burstable", None));
        assert_eq!(path.rsplit('/').next().unwrap().len(), 64);
    }
}
