//! The newest cloud kernel of a Debian suite, fetched once and kept in the cache folder. Remove
//! `~/.cache/cgtap/SUITE/kernel` for a newer one.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::exec;
use crate::suite::{self, Suite};

/// An empty package that depends on the newest image.
const NEWEST: &str = "linux-image-cloud-amd64";

/// The path of the suite's `vmlinuz`.
///
/// # Errors
/// The host is no Debian, its mirror does not answer, or the packages have another shape than we know.
pub(super) fn fetch(suite: &str) -> Result<PathBuf> {
    let root = exec::cache()?.join(suite).join("kernel");
    if let Some(there) = vmlinuz(&root) {
        return Ok(there);
    }
    eprintln!("fetching the kernel of Debian {suite}");
    let suite = Suite::open(suite)?;
    let image = suite.download(&dependency(&suite.download(NEWEST)?, is_image)?)?;
    suite::unpack(&image, &root)?;
    if vmlinuz(&root).is_none() {
        // Since 7.x the image package is empty, and depends on the one that has the file.
        suite::unpack(&suite.download(&dependency(&image, is_binary)?)?, &root)?;
    }
    vmlinuz(&root).with_context(|| format!("{} has no vmlinuz", image.display()))
}

fn dependency(deb: &Path, fits: fn(&str) -> bool) -> Result<String> {
    let depends = suite::depends(deb)?;
    match depends.iter().find(|name| fits(name)) {
        Some(name) => Ok(name.clone()),
        None => bail!("{} depends on no kernel: {}", deb.display(), depends.join(", ")),
    }
}

fn is_image(package: &str) -> bool {
    package.strip_prefix("linux-image-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_binary(package: &str) -> bool {
    package.starts_with("linux-binary-")
}

/// `boot/vmlinuz-RELEASE` or, in newer packages, `usr/lib/modules/RELEASE/vmlinuz`.
fn vmlinuz(root: &Path) -> Option<PathBuf> {
    let in_boot = entries(&root.join("boot"))
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")));
    let beside_modules = || {
        let releases = entries(&root.join("usr/lib/modules"));
        releases.into_iter().map(|release| release.join("vmlinuz")).find(|file| file.exists())
    };
    in_boot.or_else(beside_modules)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_told_from_its_meta_packages() {
        assert!(is_image("linux-image-6.1.0-37-cloud-amd64"));
        assert!(!is_image("linux-image-cloud-amd64") && !is_image("linux-base"));
        assert!(is_binary("linux-binary-7.2.1+deb14-cloud-amd64"));
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
}
