//! The newest cloud kernel of a Debian suite, fetched once and kept in the cache folder. Remove
//! `~/.cache/cgtap/SUITE/kernel` for a newer one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian::{self, Suite};
use crate::exec;

/// An empty package that depends on the newest image.
const NEWEST: &str = "linux-image-cloud-amd64";
/// The driver of pairs of network interfaces, which is a module in these kernels.
const VETH: &str = "drivers/net/veth.ko";

/// What a machine boots, and the drivers that its tests need.
#[derive(Clone)]
pub(super) struct Kernel {
    /// The kernel itself.
    pub(super) vmlinuz: PathBuf,
    /// Its release, as `uname -r` prints it there.
    pub(super) release: String,
    /// The driver of the network interfaces that containers have, uncompressed.
    pub(super) veth: PathBuf,
}

/// The suite's kernel.
///
/// # Errors
/// The host is no Debian, its mirror does not answer, or the packages have an unknown layout.
pub(super) fn fetch(suite: &str) -> Result<Kernel> {
    let root = exec::cache()?.join(suite).join("kernel");
    if let Ok(kernel) = find(&root) {
        return Ok(kernel);
    }
    eprintln!("fetching the kernel of Debian {suite}");
    // What is there may be a part of an older one.
    let _ = std::fs::remove_dir_all(&root);
    let suite = Suite::open(suite)?;
    let image = suite.download(&dependency(&suite.download(NEWEST)?, is_image)?)?;
    debian::unpack(&image, &root)?;
    // Since 7.x the image package is empty, and depends on those that have the files.
    for package in debian::depends(&image)?.iter().filter(|name| is_part_of_image(name)) {
        debian::unpack(&suite.download(package)?, &root)?;
    }
    find(&root)
}

fn find(root: &Path) -> Result<Kernel> {
    let vmlinuz = vmlinuz(root).with_context(|| format!("no vmlinuz in {}", root.display()))?;
    let modules = modules(root).with_context(|| format!("no modules in {}", root.display()))?;
    let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Kernel { vmlinuz, release, veth: driver(&modules, VETH)? })
}

fn dependency(deb: &Path, fits: fn(&str) -> bool) -> Result<String> {
    let depends = debian::depends(deb)?;
    match depends.iter().find(|name| fits(name)) {
        Some(name) => Ok(name.clone()),
        None => bail!("{} depends on no kernel: {}", deb.display(), depends.join(", ")),
    }
}

fn is_image(package: &str) -> bool {
    package.strip_prefix("linux-image-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_part_of_image(package: &str) -> bool {
    ["linux-binary-", "linux-modules-"].iter().any(|start| package.starts_with(start))
}

/// `boot/vmlinuz-RELEASE` or, in newer packages, `usr/lib/modules/RELEASE/vmlinuz`.
fn vmlinuz(root: &Path) -> Option<PathBuf> {
    let in_boot = entries(&root.join("boot"))
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")));
    in_boot.or_else(|| Some(modules(root)?.join("vmlinuz")).filter(|file| file.exists()))
}

/// The folder of the modules, which is named after the release.
fn modules(root: &Path) -> Option<PathBuf> {
    let folders = ["lib/modules", "usr/lib/modules"].map(|folder| entries(&root.join(folder)));
    folders.into_iter().flatten().next()
}

/// The driver in `modules`, uncompressed: not every kernel of ours can do that itself.
fn driver(modules: &Path, name: &str) -> Result<PathBuf> {
    let plain = modules.join("kernel").join(name);
    let packed = PathBuf::from(format!("{}.xz", plain.display()));
    if !plain.exists() {
        exec::read(Command::new("xz").args(["--decompress", "--keep"]).arg(&packed))?;
    }
    Ok(plain)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_not_one_of_its_meta_packages() {
        assert!(is_image("linux-image-6.1.0-37-cloud-amd64"));
        assert!(!is_image("linux-image-cloud-amd64") && !is_image("linux-base"));
        assert!(is_part_of_image("linux-binary-7.2.1+deb14-cloud-amd64"));
        assert!(is_part_of_image("linux-modules-7.2.1+deb14-cloud-amd64") && !is_part_of_image("linux-base"));
    }

    #[test]
    fn the_kernel_is_found_at_both_places() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(vmlinuz(root.path()), None);
        let release = root.path().join("usr/lib/modules/7.2");
        std::fs::create_dir_all(&release).unwrap();
        std::fs::write(release.join("vmlinuz"), "").unwrap();
        assert_eq!(vmlinuz(root.path()), Some(release.join("vmlinuz")));
        std::fs::create_dir(root.path().join("boot")).unwrap();
        std::fs::write(root.path().join("boot/System.map-6.1"), "").unwrap();
        std::fs::write(root.path().join("boot/vmlinuz-6.1"), "").unwrap();
        assert_eq!(vmlinuz(root.path()), Some(root.path().join("boot/vmlinuz-6.1")));
    }

    #[test]
    fn a_kernel_without_the_driver_is_incomplete() {
        let root = tempfile::tempdir().unwrap();
        let release = root.path().join("lib/modules/6.1");
        std::fs::create_dir_all(release.join("kernel/drivers/net")).unwrap();
        std::fs::write(release.join("vmlinuz"), "").unwrap();
        assert!(find(root.path()).is_err());
        std::fs::write(release.join("kernel").join(VETH), "").unwrap();
        assert_eq!(find(root.path()).unwrap().release, "6.1");
    }
}
