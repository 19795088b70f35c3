//! Builds what runs in the machines, without shared libraries, and packs it with the tools that tests need there.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::cpio::Cpio;
use super::kernel::Kernel;
use super::tools::{self, Files};
use crate::exec;

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Cargo's names of the programs, and where they are in a machine.
const PROGRAMS: [(&str, &str); 5] = [
    ("cgtap-init", "init"),
    ("cgtap", "bin/cgtap"),
    ("cgtap-load", "bin/cgtap-load"),
    ("cgtap-load-shared", "bin/cgtap-load-shared"),
    ("live", "bin/live"),
];
const FOLDERS: [&str; 6] = ["bin", "dev", "proc", "sys", "tmp", "var"];

/// Builds and packs; gives the path of the image. One is for all machines: it has the drivers of all `kernels`.
///
/// # Errors
/// Something does not build, or the folder cannot be written.
pub(super) fn make(folder: &Path, kernels: &[&Kernel]) -> Result<PathBuf> {
    eprintln!("building for virtual machines");
    let messages = build()?;
    let mut files = tools::files()?;
    for (name, place) in PROGRAMS {
        files.insert(place.to_owned(), executable(&messages, name)?);
    }
    for kernel in kernels {
        files.insert(format!("modules/{}/veth.ko", kernel.release), kernel.veth.clone());
    }
    let path = folder.join("initramfs.cpio");
    pack(&files, &path).with_context(|| path.display().to_string())?;
    Ok(path)
}

fn pack(files: &Files, path: &Path) -> Result<()> {
    let mut cpio = Cpio::new(BufWriter::new(File::create(path)?));
    let mut folders: BTreeSet<&Path> = FOLDERS.iter().map(Path::new).collect();
    folders.extend(files.keys().flat_map(|place| Path::new(place).ancestors().skip(1)));
    // In order a folder stands before those in it.
    for folder in folders.into_iter().filter(|folder| !folder.as_os_str().is_empty()) {
        cpio.folder(&folder.to_string_lossy())?;
    }
    // The kernel gives it to the first process, before anybody could mount a /dev.
    cpio.device("dev/console", 5, 1)?;
    for (place, file) in files {
        cpio.program(place, &std::fs::read(file).with_context(|| file.display().to_string())?)?;
    }
    cpio.finish().map(drop)
}

/// A target folder of its own: with other flags cargo would build everything anew after each change between the two.
fn build() -> Result<String> {
    let mut cargo = exec::cargo();
    cargo.args(["build", "--quiet", "--locked", "--target", TARGET, "--target-dir"]);
    cargo.arg(exec::root().join("target/vm"));
    cargo.args(["--package", "cgtap", "--package", "cgtap-tests", "--bins", "--test", "live"]);
    cargo.arg("--message-format=json-render-diagnostics");
    cargo.env("RUSTFLAGS", "-Ctarget-feature=+crt-static --cfg cgtap_machine");
    // An emulated processor is slow, and the image stands in each machine's memory. Higher levels take longer to build than they save.
    cargo.args(["--config", "profile.dev.package.\"*\".opt-level=1"]);
    cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1").env("CARGO_PROFILE_DEV_DEBUG", "0");
    // With debug assertions the programs also log each record.
    cargo.env("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false");
    let output = exec::output(cargo.stderr(Stdio::inherit()))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", exec::typed(&cargo), output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The file that cargo says it built for a target.
fn executable(messages: &str, name: &str) -> Result<PathBuf> {
    let built = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let files = built.filter(|m| m.pointer("/target/name").and_then(Value::as_str) == Some(name));
    files
        .filter_map(|m| m.get("executable").and_then(Value::as_str).map(PathBuf::from))
        .next_back()
        .with_context(|| format!("cargo built no program {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"cgtap"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"cgtap"},"executable":"/t/cgtap"}
{"reason":"compiler-artifact","target":{"name":"live"},"executable":"/t/deps/live-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "cgtap").unwrap(), Path::new("/t/cgtap"));
        assert_eq!(executable(messages, "live").unwrap(), Path::new("/t/deps/live-1"));
        assert!(executable(messages, "cgtap-init").unwrap_err().to_string().contains("cgtap-init"));
    }
}
