//! Mounts the file systems of a usual host. tracefs and bpffs are left out: the agent must do without them.

use std::ffi::CString;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cgtap_tests::hierarchies::enable_controllers;
use rustix::mount::{MountFlags, mount};

const CGROUPS: &str = "/sys/fs/cgroup";
/// One hierarchy each, and the named one that systemd has everywhere.
const V1: [&str; 7] = ["cpu,cpuacct", "memory", "pids", "blkio", "cpuset", "freezer", "none,name=systemd"];

/// The kernel's own file systems and a place for temporary files.
///
/// # Errors
/// One cannot be mounted.
pub(crate) fn host() -> Result<()> {
    one("proc", "/proc", "")?;
    one("sysfs", "/sys", "")?;
    one("devtmpfs", "/dev", "")?;
    one("tmpfs", "/tmp", "")?;
    // A kernel without security modules has no such folder; then nothing locks it down either.
    if Path::new("/sys/kernel/security").exists() {
        one("securityfs", "/sys/kernel/security", "")?;
    }
    Ok(())
}

/// The cgroup hierarchies of this layout: `v1`, `hybrid` or `v2`.
///
/// # Errors
/// The kernel does not have it, or no layout has that name.
pub(crate) fn cgroups(layout: &str) -> Result<()> {
    match layout {
        "v1" => v1(),
        "hybrid" => v1().and_then(|()| one("cgroup2", &format!("{CGROUPS}/unified"), "")),
        "v2" => {
            one("cgroup2", CGROUPS, "")?;
            enable_controllers(Path::new(CGROUPS));
            Ok(())
        }
        _ => bail!("cgtap.cgroups={layout}: wanted v1, hybrid or v2"),
    }
}

fn v1() -> Result<()> {
    one("tmpfs", CGROUPS, "mode=755")?;
    for controllers in V1 {
        one("cgroup", &format!("{CGROUPS}/{}", folder(controllers)), controllers)?;
    }
    Ok(())
}

fn folder(controllers: &str) -> &str {
    controllers.strip_prefix("none,name=").unwrap_or(controllers)
}

fn one(kind: &str, target: &str, options: &str) -> Result<()> {
    let what = || format!("cannot mount {kind} ({options}) at {target}");
    if !Path::new(target).exists() {
        std::fs::create_dir_all(target).with_context(what)?;
    }
    let options = CString::new(options)?;
    match mount(kind, target, kind, MountFlags::empty(), options.as_c_str()) {
        // Some kernels mount devtmpfs themselves.
        Err(rustix::io::Errno::BUSY) if kind == "devtmpfs" => Ok(()),
        mounted => mounted.with_context(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_as_hosts_name_them() {
        assert_eq!(V1.map(folder)[0], "cpu,cpuacct");
        assert_eq!(V1.map(folder)[6], "systemd");
    }

    #[test]
    fn an_unknown_layout_is_named() {
        let error = cgroups("v3").unwrap_err().to_string();
        assert!(error.contains("v3") && error.contains("hybrid"), "{error}");
    }
}
