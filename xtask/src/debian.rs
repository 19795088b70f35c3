//! Packages of another Debian suite, without a change to this machine's own apt: its mirror is asked, with sources,
//! lists and caches in our cache folder.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::exec;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A suite whose lists of packages were just fetched. Another process that wants the suite waits for its drop.
pub(crate) struct Suite {
    apt: PathBuf,
    _lock: File,
}

/// Downloads and unpacks a package once, and gives the path of `file` in it.
///
/// # Errors
/// The host is no Debian, the mirror does not have the package, or the package not the file.
pub(crate) fn fetch(suite: &str, package: &str, file: &str) -> Result<PathBuf> {
    let root = exec::cache()?.join(suite).join(package).join("root");
    let unpacked = root.join(file);
    if unpacked.exists() {
        return Ok(unpacked);
    }
    let deb = Suite::open(suite)?.download(package)?;
    unpack(&deb, &root)?;
    if !unpacked.exists() {
        bail!("{} has no {file}", deb.display());
    }
    Ok(unpacked)
}

/// cAdvisor, which the benchmark and the tests compare the agent with.
///
/// # Errors
/// As for [`fetch`].
pub(crate) fn cadvisor() -> Result<PathBuf> {
    fetch("bullseye", "cadvisor", "usr/bin/cadvisor").context("cannot get cAdvisor")
}

impl Suite {
    /// Fetches its lists.
    ///
    /// # Errors
    /// The host is no Debian, or its mirror does not have the suite.
    pub(crate) fn open(name: &str) -> Result<Self> {
        let apt = exec::cache()?.join(name).join("apt");
        for folder in ["lists/partial", "parts", "deb"] {
            std::fs::create_dir_all(apt.join(folder)).with_context(|| apt.display().to_string())?;
        }
        let lock = File::create(apt.join("lock")).with_context(|| apt.display().to_string())?;
        lock.lock().with_context(|| apt.display().to_string())?;
        let this = Self { apt, _lock: lock };
        let source = format!("deb [signed-by={KEYRING}] {} {name} main\n", mirror()?);
        std::fs::write(this.apt.join("source.list"), source)?;
        exec::run(this.apt().args(["update", "-qq"]))?;
        Ok(this)
    }

    /// Downloads the newest of a package and gives its file.
    ///
    /// # Errors
    /// The mirror does not have it.
    pub(crate) fn download(&self, package: &str) -> Result<PathBuf> {
        let folder = self.apt.join("deb");
        exec::run(self.apt().args(["download", "-qq", package]).current_dir(&folder))?;
        newest_deb(&folder, package)
    }

    fn apt(&self) -> Command {
        let mut command = Command::new("apt-get");
        for (key, path) in [
            ("Dir::Etc::SourceList", "source.list"),
            ("Dir::Etc::SourceParts", "parts"),
            ("Dir::State::Lists", "lists"),
        ] {
            command.arg(format!("-o{key}={}", self.apt.join(path).display()));
        }
        // No binary cache: it would be the machine's. No other user: it could not read our folder.
        command.args(["-oDir::Cache::pkgcache=", "-oDir::Cache::srcpkgcache=", "-oAPT::Sandbox::User=root"]);
        command
    }
}

/// Unpacks a package's files below `root`.
///
/// # Errors
/// It is damaged, or the folder cannot be written.
pub(crate) fn unpack(deb: &Path, root: &Path) -> Result<()> {
    // dpkg-deb makes the folder, and none above it.
    std::fs::create_dir_all(root).with_context(|| root.display().to_string())?;
    exec::run(Command::new("dpkg-deb").arg("-x").arg(deb).arg(root))
}

/// The packages that a package depends on.
///
/// # Errors
/// It is damaged.
pub(crate) fn depends(deb: &Path) -> Result<Vec<String>> {
    let field = exec::read(Command::new("dpkg-deb").arg("-f").arg(deb).arg("Depends"))?;
    Ok(names_in(&field).map(str::to_owned).collect())
}

/// `a (>= 1), b | c` without the versions.
fn names_in(field: &str) -> impl Iterator<Item = &str> {
    field.split([',', '|']).filter_map(|one| one.split_whitespace().next())
}

fn newest_deb(folder: &Path, package: &str) -> Result<PathBuf> {
    let start = format!("{package}_");
    let files = std::fs::read_dir(folder)?.flatten();
    let debs = files.filter(|f| f.file_name().to_string_lossy().starts_with(&start)).map(|f| f.path());
    debs.max().with_context(|| format!("apt-get download {package} left no file in {}", folder.display()))
}

/// The mirror that this machine's apt uses.
fn mirror() -> Result<String> {
    for file in ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"] {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Some(mirror) = mirror_in(&text) {
            return Ok(mirror.to_owned());
        }
    }
    bail!("no Debian mirror in /etc/apt/sources.list or /etc/apt/sources.list.d/debian.sources")
}

/// In either form: `URIs: ADDRESS`, or `deb [options] ADDRESS suite main`.
fn mirror_in(text: &str) -> Option<&str> {
    text.lines().find_map(|line| {
        if let Some(addresses) = line.strip_prefix("URIs:") {
            return addresses.split_whitespace().next();
        }
        let mut words = line.strip_prefix("deb ")?.split_whitespace();
        let first = words.next()?;
        if !first.starts_with('[') {
            return Some(first);
        }
        if first.ends_with(']') { words.next() } else { words.skip_while(|w| !w.ends_with(']')).nth(1) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_found_in_both_forms() {
        assert_eq!(mirror_in("Types: deb\nURIs: http://a/debian http://b\n"), Some("http://a/debian"));
        assert_eq!(mirror_in("# x\ndeb http://a/debian bookworm main\n"), Some("http://a/debian"));
        assert_eq!(mirror_in("deb [arch=amd64] http://a stable main\n"), Some("http://a"));
        assert_eq!(mirror_in("deb [arch=amd64 signed-by=/k] http://a stable main\n"), Some("http://a"));
        assert_eq!(mirror_in("deb-src http://a stable main\n"), None);
    }

    #[test]
    fn a_package_is_unpacked_where_no_folder_is_yet() {
        let folder = tempfile::tempdir().unwrap();
        let (package, deb) = (folder.path().join("package"), folder.path().join("p.deb"));
        for (name, text) in [
            ("DEBIAN/control", "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: p\nDescription: p\n"),
            ("usr/bin/p", "it"),
        ] {
            let file = package.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let mut build = Command::new("dpkg-deb");
        build.args(["-Znone", "-b"]).args([&package, &deb]);
        if exec::output(&mut build).is_err() {
            return println!("skipped: needs dpkg-deb");
        }
        let root = folder.path().join("cache/suite/p/root");
        unpack(&deb, &root).unwrap();
        assert_eq!(std::fs::read_to_string(root.join("usr/bin/p")).unwrap(), "it");
    }

    #[test]
    fn dependencies_are_named_without_their_versions() {
        let names: Vec<&str> = names_in("linux-image-6.1 (= 6.1.1), kmod | busybox\n").collect();
        assert_eq!(names, ["linux-image-6.1", "kmod", "busybox"]);
        assert_eq!(names_in("\n").count(), 0);
    }
}
