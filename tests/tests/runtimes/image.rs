//! Shared by tests with container runtimes: an image without a registry, and cgroups that a runtime made for a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cgtap_tests::agent::Signal;
use cgtap_tests::cgroup::{PREFIX, remove_tree};
use cgtap_tests::host::{Check, find_program, memory_cgroups, mounts, program};
use sha2::{Digest, Sha256};

/// The image's name. No registry can have it.
pub const IMAGE: &str = "cgtap.test/busybox:1";

/// These programs, busybox, and the right to make containers.
pub fn runtime(programs: &[(&str, &str)]) -> Check {
    memory_cgroups()?;
    mounts()?;
    for (name, package) in programs {
        program(name, package)?;
    }
    let busybox = find_program("busybox").ok_or("needs busybox: apt-get install busybox-static")?;
    let bytes = fs::read(&busybox).map_err(|error| error.to_string())?;
    if has_interpreter(&bytes) != Some(false) {
        return Err("needs a busybox without libraries: apt-get install busybox-static".to_owned());
    }
    Ok(())
}

/// Whether a program (ELF, 64 bits) needs a loader of libraries: whether one of its segments names it.
fn has_interpreter(program: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let field = program.get(at..at + bytes)?;
        Some(field.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    Some((0..count).any(|segment| number(table + segment * size, 4) == Some(PT_INTERP as usize)))
}

/// Ends a process that the test started: with SIGTERM, and some time later with SIGKILL.
pub fn stop(mut child: Child) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let _ = pid.map(|pid| rustix::process::kill_process(pid, Signal::TERM));
    let begun = Instant::now();
    while child.try_wait().is_ok_and(|ended| ended.is_none()) {
        if begun.elapsed() > Duration::from_secs(10) {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A cgroup's name of this test. A runtime makes its cgroups below it; all of them are removed on drop.
pub struct Parent(String);

impl Parent {
    pub fn new(suffix: &str) -> Self {
        Self(format!("{PREFIX}{}-{suffix}", std::process::id()))
    }

    /// From the root of the hierarchies.
    pub fn path(&self) -> String {
        format!("/{}", self.0)
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        for hierarchy in hierarchies.chain([PathBuf::from(root)]) {
            let dir = hierarchy.join(&self.0);
            if dir.is_dir() {
                remove_tree(&dir);
            }
        }
    }
}

/// An archive as `docker save` writes it: one layer with busybox, which sleeps.
pub fn write_image(archive: &Path) -> Result<()> {
    let busybox = fs::read(find_program("busybox").context("no busybox")?)?;
    let mut layer = Tar::default();
    for folder in ["bin/", "dev/", "etc/", "proc/", "sys/", "tmp/"] {
        layer.folder(folder);
    }
    layer.file("bin/busybox", &busybox);
    layer.link("bin/sh", "busybox");
    let layer = layer.finish();
    let digest: String = Sha256::digest(&layer).iter().map(|byte| format!("{byte:02x}")).collect();
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Entrypoint": ["/bin/busybox", "sleep", "100000"], "Labels": { "made.by": "cgtap" } },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
    });
    let manifest =
        serde_json::json!([{ "Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"] }]);
    let mut image = Tar::default();
    image.file("layer.tar", &layer);
    image.file("config.json", config.to_string().as_bytes());
    image.file("manifest.json", manifest.to_string().as_bytes());
    Ok(fs::write(archive, image.finish())?)
}

/// A tar archive in its oldest form.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn folder(&mut self, name: &str) {
        self.header(name, 0, b'5', "");
    }

    fn file(&mut self, name: &str, bytes: &[u8]) {
        self.header(name, bytes.len(), b'0', "");
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    fn link(&mut self, name: &str, target: &str) {
        self.header(name, 0, b'2', target);
    }

    fn header(&mut self, name: &str, size: usize, kind: u8, target: &str) {
        let mut block = [0_u8; 512];
        let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
        put(0, name.as_bytes());
        put(100, b"0000755\0");
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, format!("{size:011o}\0").as_bytes());
        put(136, b"00000000000\0");
        put(148, b"        ");
        put(156, &[kind]);
        put(157, target.as_bytes());
        put(257, b"ustar\x0000");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
    }

    /// Two empty blocks are its end.
    fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
