//! The compiler and linker for BPF.
//!
//! Debian's `rustc-web` has a ready `core` for the BPF target, so no nightly and no source of the standard library is
//! needed, and its LLVM is the one that `bpf-linker` is built against here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::{self, Need};
use crate::exec;

const COMPILER: &str = "/usr/bin/rustc";
const COMPILER_VERSION: &str = "1.96.";
const LLVM: &str = "/usr/lib/llvm-22";
const LINKER_VERSION: &str = "0.13.0";

const NEEDS: [Need; 4] = [
    Need { file: COMPILER, packages: &["rustc-web"] },
    Need {
        file: "/usr/lib/rustlib/bpfel-unknown-none/lib",
        packages: &["rustc-web", "libstd-rust-web-dev-bpf"],
    },
    Need { file: "/usr/lib/llvm-22/lib/libLLVMCore.a", packages: &["llvm-22-dev"] },
    Need { file: "/usr/include/zstd.h", packages: &["libzstd-dev", "zlib1g-dev"] },
];

/// Everything that turns `ebpf/` into an object.
pub(crate) struct Toolchain {
    /// `bpf-linker`.
    pub(crate) linker: PathBuf,
    /// `llvm-strip`.
    pub(crate) strip: PathBuf,
    compiler_version: String,
}

impl Toolchain {
    /// Finds the tool chain; installs what is missing where that is allowed.
    ///
    /// # Errors
    /// Something is missing; the message has the way to get it.
    pub(crate) fn ensure() -> Result<Self> {
        apt::ensure("building the BPF object", &NEEDS)?;
        let compiler_version = exec::read(Command::new(COMPILER).arg("--version"))?.trim().to_owned();
        check_compiler(&compiler_version)?;
        Ok(Self { linker: linker()?, strip: Path::new(LLVM).join("bin/llvm-strip"), compiler_version })
    }

    /// Sets the compiler for a cargo command.
    pub(crate) fn apply(&self, cargo: &mut Command) {
        cargo.env("RUSTC", COMPILER);
        // `no_std` programs use features that stable rustc does not offer, such as the BPF target itself.
        cargo.env("RUSTC_BOOTSTRAP", "1");
        // A wrapper or flags of the caller would change the object.
        for name in ["RUSTUP_TOOLCHAIN", "RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
            cargo.env_remove(name);
        }
    }

    /// The versions that decide what the object is.
    pub(crate) fn describe(&self) -> String {
        format!("{}, bpf-linker {LINKER_VERSION}", self.compiler_version)
    }
}

fn check_compiler(version: &str) -> Result<()> {
    if version.strip_prefix("rustc ").is_some_and(|v| v.starts_with(COMPILER_VERSION)) {
        return Ok(());
    }
    bail!(
        "{COMPILER} is {version:?}, and the BPF object is built with {COMPILER_VERSION}x: apt-get install rustc-web"
    )
}

fn linker() -> Result<PathBuf> {
    let built = exec::installed("bpf-linker", LINKER_VERSION, |cargo| {
        cargo.args(["--no-default-features", "--features", "llvm-22"]).env("LLVM_PREFIX", LLVM);
    });
    built.context("cannot build bpf-linker")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_compiler_that_made_the_object_will_do() {
        assert!(check_compiler("rustc 1.96.0 (abc 2026-05-01) (built from a source tarball)").is_ok());
        for version in ["rustc 1.63.0", "rustc 1.960.0", "", "gcc 1.96.0"] {
            assert!(check_compiler(version).is_err(), "{version}");
        }
    }
}
