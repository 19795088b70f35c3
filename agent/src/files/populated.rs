//! Looks whether processes run in a cgroup or below it.

use std::path::Path;

use crate::parse;

/// Whether there is a process in the cgroup of that directory or below. One that is gone has none.
///
/// On v2 this is in `cgroup.events`; on v1 every directory below is read.
pub fn has_processes(dir: &Path) -> bool {
    if let Some(populated) = populated(dir) {
        return populated;
    }
    // A list of directories to read, no recursion: a container may nest cgroups deeply.
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        if std::fs::read(dir.join("cgroup.procs")).is_ok_and(|text| !text.is_empty()) {
            return true;
        }
        let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        pending.extend(below.map(|entry| entry.path()));
    }
    false
}

/// `populated` of `cgroup.events` (v2); `None` where there is no such file.
pub(super) fn populated(dir: &Path) -> Option<bool> {
    let text = std::fs::read(dir.join("cgroup.events")).ok()?;
    Some(parse::value_of(&text, "populated").ok()?? != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v2_has_a_file_and_v1_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        file("v2/cgroup.events", "populated 1\nfrozen 0\n");
        file("empty/cgroup.events", "populated 0\nfrozen 0\n");
        file("empty/cgroup.procs", "1\n");
        file("v1/cgroup.procs", "");
        file("v1/a/b/cgroup.procs", "7\n");
        file("none/a/cgroup.procs", "");
        for (dir, wanted) in [("v2", true), ("empty", false), ("v1", true), ("none", false), ("gone", false)]
        {
            assert_eq!(has_processes(&folder.path().join(dir)), wanted, "{dir}");
        }
    }
}
