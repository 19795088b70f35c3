//! `cargo xtask ebpf`: builds the BPF object that the agent embeds, byte for byte the same on every host.
//!
//! The compiler, its BPF core library and LLVM are Debian's; [`toolchain`] finds or installs them. What would make the
//! object differ is taken out: paths are remapped, DWARF is stripped (BTF stays), dependencies are locked.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::exec;

pub(crate) mod toolchain;

use toolchain::Toolchain;

const OBJECT: &str = "ebpf/prebuilt/cgtap.bpf.o";
const TARGET: &str = "bpfel-unknown-none";

/// Builds the object into its place, or with `check` compares the one that is there with what the source builds to.
///
/// # Errors
/// The tool chain is incomplete, the source does not build, or the object is not the source's.
pub(crate) fn run(check: bool) -> Result<()> {
    let toolchain = Toolchain::ensure()?;
    let built = build(&toolchain)?;
    let kept = exec::root().join(OBJECT);
    if !check {
        std::fs::copy(&built, &kept).with_context(|| format!("cannot write {}", kept.display()))?;
        println!("{OBJECT}: {} bytes", std::fs::metadata(&kept)?.len());
        return Ok(());
    }
    let wanted = std::fs::read(&kept).with_context(|| kept.display().to_string())?;
    let fresh = std::fs::read(&built).with_context(|| built.display().to_string())?;
    compare(&wanted, &fresh).with_context(|| format!("built with {}", toolchain.describe()))?;
    println!("{OBJECT} is what ebpf/ builds to ({} bytes)", fresh.len());
    Ok(())
}

fn compare(kept: &[u8], fresh: &[u8]) -> Result<()> {
    if kept == fresh {
        return Ok(());
    }
    let at = kept.iter().zip(fresh).position(|(a, b)| a != b).unwrap_or(kept.len().min(fresh.len()));
    bail!(
        "{OBJECT} is not what ebpf/ builds to: {} bytes there, {} built, first difference at byte {at}; \
         run `cargo xtask ebpf` and commit the object",
        kept.len(),
        fresh.len()
    )
}

/// Builds in the cache folder, so that a check leaves the source tree alone, and gives the stripped object.
fn build(toolchain: &Toolchain) -> Result<PathBuf> {
    let source = exec::root().join("ebpf");
    let target = exec::cache()?.join("ebpf-target");
    let mut cargo = exec::cargo();
    cargo.current_dir(&source).args(["build", "--locked", "--release", "--target", TARGET, "--target-dir"]);
    cargo.arg(&target);
    toolchain.apply(&mut cargo);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rust_flags(toolchain, &source)?.join("\x1f"));
    exec::run(&mut cargo)?;
    let linked = target.join(TARGET).join("release/cgtap");
    let object = target.join("cgtap.bpf.o");
    // `-g` takes the DWARF and leaves `.BTF` and `.BTF.ext`, which the loader needs.
    exec::run(Command::new(&toolchain.strip).arg("-g").arg(&linked).arg("-o").arg(&object))?;
    Ok(object)
}

fn rust_flags(toolchain: &Toolchain, source: &Path) -> Result<Vec<String>> {
    let mut flags = vec![
        format!("-Clinker={}", toolchain.linker.display()),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        format!("--remap-path-prefix={}=/ebpf", source.display()),
    ];
    // The folder of a registry has a hash of its address in its name, which a mirror changes.
    let sources = cargo_home()?.join("registry/src");
    for entry in std::fs::read_dir(&sources).into_iter().flatten().flatten() {
        flags.push(format!("--remap-path-prefix={}=/cargo", entry.path().display()));
    }
    Ok(flags)
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME").filter(|v| !v.is_empty()) {
        return Ok(PathBuf::from(home));
    }
    Ok(PathBuf::from(std::env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?).join(".cargo"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_different_object_is_refused_with_the_place() {
        assert!(compare(b"abc", b"abc").is_ok());
        for (kept, fresh, at) in
            [(&b"abc"[..], &b"abd"[..], "byte 2"), (b"abc", b"ab", "byte 2"), (b"", b"a", "byte 0")]
        {
            let error = compare(kept, fresh).unwrap_err().to_string();
            assert!(error.contains(at) && error.contains("cargo xtask ebpf"), "{error}");
        }
    }
}
