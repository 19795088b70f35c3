//! Starts other programs. Each failure names the whole command, so that it can be typed again.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

/// The folder of the workspace, from the cargo that runs this command.
///
/// The path that was compiled in is not enough: two checkouts may share a folder of build results, and a check would then
/// read the files of the wrong one.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let here =
            std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let here = PathBuf::from(here);
        here.parent().map_or_else(|| here.clone(), Path::to_path_buf)
    })
}

/// Cargo's folder of build results.
pub(crate) fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// The cargo that runs this command, past rustup's proxy: it stays the pinned one in every folder.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // `cargo xtask` sets these for this program; they must not change what a nested cargo does.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text == "CARGO_MANIFEST_DIR" || text == "CARGO_MANIFEST_PATH" {
            command.env_remove(name);
        }
    }
    command
}

/// The command as one would type it.
pub(crate) fn typed(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(OsStr::to_string_lossy));
    words.join(" ")
}

/// Runs to the end, with our own standard streams.
///
/// # Errors
/// It cannot start, or ends badly.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", typed(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", typed(command));
    }
    Ok(())
}

/// Runs to the end and gives what it wrote to standard output.
///
/// # Errors
/// It cannot start, or ends badly; the message has its standard error.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}: {}", typed(command), output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` wrote no UTF-8", typed(command)))
}

/// Runs to the end and gives all of it, good or bad.
///
/// # Errors
/// It cannot start.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("cannot start `{}`", typed(command)))
}

/// Where the commands keep what they fetch and build: `${XDG_CACHE_HOME:-$HOME/.cache}/cgtap`.
///
/// # Errors
/// Neither variable is set, or the folder cannot be made.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()) {
        Some(base) => PathBuf::from(base),
        None => PathBuf::from(std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
            .join(".cache"),
    };
    let dir = base.join("cgtap");
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    Ok(dir)
}

/// A program of the registry in the cache folder, built there once: cargo alone writes to it.
///
/// # Errors
/// It does not build.
pub(crate) fn installed(name: &str, version: &str, also: impl FnOnce(&mut Command)) -> Result<PathBuf> {
    let home = cache()?.join(format!("{name}-{version}"));
    let program = home.join("bin").join(name);
    if !program.exists() {
        eprintln!("building {name} {version} into {} (some minutes, once)", home.display());
        let mut cargo = cargo();
        // Outside the workspace, whose lock file and settings would apply.
        cargo.current_dir(cache()?).args(["install", name, "--locked", "--version", version, "--root"]);
        cargo.arg(&home).env_remove("RUSTFLAGS");
        also(&mut cargo);
        run(&mut cargo)?;
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c exit 3") && error.contains('3'), "{error}");
        let error = read(Command::new("sh").args(["-c", "echo why >&2; exit 1"])).unwrap_err().to_string();
        assert!(error.contains("why"), "{error}");
        assert!(
            run(&mut Command::new("/no/such/program")).unwrap_err().to_string().contains("/no/such/program")
        );
    }

    #[test]
    fn output_is_read() {
        assert_eq!(read(Command::new("echo").arg("a b")).unwrap(), "a b\n");
    }
}
