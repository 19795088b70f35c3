//! `cargo deny`: which licenses, sources and crates may enter the build, by `deny.toml`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::exec;

const VERSION: &str = "0.20.2";

/// The tool in the cache folder, built there once from the registry that cargo uses.
///
/// # Errors
/// It does not build, for example because the registry cannot be reached.
pub(crate) fn tool() -> Result<PathBuf> {
    exec::installed("cargo-deny", VERSION, |_| {}).context("cannot build cargo-deny")
}

/// Checks all dependencies. Advisories are left out: they change without a change here.
///
/// # Errors
/// One is not allowed; the tool has printed which and why.
pub(crate) fn check(tool: &Path) -> Result<()> {
    let mut deny = Command::new(tool);
    deny.current_dir(exec::root()).args([
        "--log-level",
        "error",
        "--locked",
        "check",
        "bans",
        "licenses",
        "sources",
    ]);
    exec::run(&mut deny)
}
