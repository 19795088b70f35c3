//! What the tests need in a machine beside the project's own programs: tools of this host, with their libraries.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use cgtap_tests::host;

use crate::apt::Need;
use crate::exec;

/// The programs that tests start. Those of busybox do not have all of their options.
pub(super) const NEEDS: [Need; 9] = [
    Need { file: "sh", packages: &["dash"] },
    Need { file: "sleep", packages: &["coreutils"] },
    Need { file: "ip", packages: &["iproute2"] },
    Need { file: "mount", packages: &["mount"] },
    Need { file: "umount", packages: &["mount"] },
    Need { file: "setpriv", packages: &["util-linux"] },
    Need { file: "strace", packages: &["strace"] },
    Need { file: "unshare", packages: &["util-linux"] },
    // It unpacks a kernel's modules.
    Need { file: "xz", packages: &["xz-utils"] },
];

/// Files of this host by their places in a machine, without the leading slash.
pub(super) type Files = BTreeMap<String, PathBuf>;

/// The tools and their libraries.
///
/// # Errors
/// A tool is missing, or its libraries cannot be found.
pub(super) fn files() -> Result<Files> {
    let mut files = Files::new();
    for Need { file: name, .. } in NEEDS {
        let path = host::find_program(name).with_context(|| format!("no {name} on this host"))?;
        files.insert(format!("bin/{name}"), path);
    }
    for tool in files.values().cloned().collect::<Vec<_>>() {
        for library in libraries(&exec::read(Command::new("ldd").arg(&tool))?) {
            files.insert(library.trim_start_matches('/').to_owned(), PathBuf::from(library));
        }
    }
    Ok(files)
}

/// The paths in what `ldd` prints: `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)` of the loader.
fn libraries(listed: &str) -> impl Iterator<Item = &str> {
    listed.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_paths_that_ldd_prints() {
        let listed = "\tlinux-vdso.so.1 (0x7fff)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f1)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x7f2)\n";
        let found: Vec<&str> = libraries(listed).collect();
        assert_eq!(found, ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
    }
}
