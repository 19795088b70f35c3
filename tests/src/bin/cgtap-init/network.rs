//! The loopback interface, and the driver of the interfaces that containers have.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::system::finit_module;

/// Brings the loopback interface up; the kernel then gives it 127.0.0.1 by itself.
///
/// # Errors
/// `ip` cannot be started, or the kernel refuses.
pub(crate) fn loopback() -> Result<()> {
    let status = Command::new("/bin/ip").args(["link", "set", "lo", "up"]).status().context("/bin/ip")?;
    if !status.success() {
        bail!("`ip link set lo up` failed: {status}");
    }
    Ok(())
}

/// Loads the driver for pairs of interfaces that the image has for this release of the kernel.
///
/// # Errors
/// The image has none, or the kernel refuses it.
pub(crate) fn driver(release: &str) -> Result<()> {
    let path = Path::new("/modules").join(release).join("veth.ko");
    let what = || path.display().to_string();
    finit_module(File::open(&path).with_context(what)?, c"", 0).with_context(what)
}
