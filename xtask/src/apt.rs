//! Installs Debian packages where that is allowed, or prints which to install.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use cgtap_tests::host;

use crate::exec;

/// One thing that must be there, and the packages that bring it.
pub(crate) struct Need {
    /// Where it stands when it is there.
    pub(crate) file: &'static str,
    /// The Debian packages.
    pub(crate) packages: &'static [&'static str],
}

impl Need {
    fn met(&self) -> bool {
        if self.file.starts_with('/') {
            PathBuf::from(self.file).exists()
        } else {
            host::find_program(self.file).is_some()
        }
    }
}

/// Makes sure that all of `needs` are met: by `apt-get install` for root on a host with apt.
///
/// # Errors
/// Something is missing and cannot be installed; the message is the command to type.
pub(crate) fn ensure(what_for: &str, needs: &[Need]) -> Result<()> {
    let packages = missing(needs);
    if packages.is_empty() {
        return Ok(());
    }
    let typed = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    if host::root().is_err() || host::find_program("apt-get").is_none() {
        bail!("{what_for} needs packages that are not here. As root on Debian 12 or later:\n  {typed}");
    }
    eprintln!("{what_for}: {typed}");
    install(&packages).with_context(|| format!("{what_for} needs `{typed}`"))?;
    let still = missing(needs);
    if !still.is_empty() {
        bail!("{what_for}: {} is installed but does not have what is needed", still.join(" "));
    }
    Ok(())
}

fn missing(needs: &[Need]) -> Vec<&'static str> {
    needs.iter().filter(|n| !n.met()).flat_map(|n| n.packages).copied().collect()
}

fn install(packages: &[&str]) -> Result<()> {
    if apt(packages).is_ok() {
        return Ok(());
    }
    // The lists of a fresh image are empty or old.
    exec::run(Command::new("apt-get").args(["update", "-qq"]))?;
    apt(packages)
}

fn apt(packages: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    // Another step may install something at the same time.
    command.args(["install", "-qq", "--yes", "--no-install-recommends", "-oDPkg::Lock::Timeout=600"]);
    command.args(packages);
    exec::run(command.env("DEBIAN_FRONTEND", "noninteractive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_asked_for() {
        let needs = [
            Need { file: "sh", packages: &["dash"] },
            Need { file: "/no/such/file", packages: &["a", "b"] },
            Need { file: "no-such-program-cgtap", packages: &["c"] },
        ];
        assert_eq!(missing(&needs), ["a", "b", "c"]);
    }
}
