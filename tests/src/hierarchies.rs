//! Which cgroup hierarchies this host mounts, and where a cgroup must be made.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The controllers whose files the agent reads.
pub const CONTROLLERS: [&str; 6] = ["memory", "cpu", "cpuacct", "blkio", "io", "pids"];

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Whether it is the unified one.
    pub v2: bool,
    /// Its controllers, as the kernel names them.
    pub controllers: Vec<String>,
    /// Where its root is.
    pub mount: PathBuf,
}

impl Hierarchy {
    fn useful(&self) -> bool {
        self.controllers.iter().any(|c| CONTROLLERS.contains(&c.as_str()))
    }
}

/// All hierarchies of this host.
#[derive(Clone, Debug)]
pub struct Hierarchies(Vec<Hierarchy>);

impl Hierarchies {
    /// From `/proc/self/mountinfo`.
    ///
    /// # Errors
    /// No cgroup file system is mounted, or the file cannot be read.
    pub fn of_this_host() -> Result<Self> {
        let text = std::fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
        let mut found = parse(&text);
        for unified in found.iter_mut().filter(|h| h.v2) {
            let file = unified.mount.join("cgroup.controllers");
            let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            unified.controllers = text.split_whitespace().map(str::to_owned).collect();
        }
        if found.is_empty() {
            bail!("no cgroup file system is mounted");
        }
        Ok(Self(found))
    }

    /// The hierarchy of a controller.
    #[must_use]
    pub fn with(&self, controller: &str) -> Option<&Hierarchy> {
        self.0.iter().find(|h| h.controllers.iter().any(|c| c == controller))
    }

    /// The unified hierarchy.
    #[must_use]
    pub fn unified(&self) -> Option<&Hierarchy> {
        self.0.iter().find(|h| h.v2)
    }

    /// Whether the unified hierarchy has the memory controller: then the kernel's files are v2's.
    #[must_use]
    pub fn memory_is_v2(&self) -> bool {
        self.with("memory").is_some_and(|h| h.v2)
    }

    /// All, also those that no test reads.
    #[must_use]
    pub fn all(&self) -> &[Hierarchy] {
        &self.0
    }

    /// The roots below which a cgroup must be made so that every controller we read counts for it.
    #[must_use]
    pub fn roots(&self) -> Vec<&Hierarchy> {
        self.0.iter().filter(|h| h.useful()).collect()
    }

    /// A file of the cgroup `path` (with its leading slash) in v2, with or without controllers.
    #[must_use]
    pub fn v2_file(&self, path: &str, name: &str) -> Option<PathBuf> {
        let v2 = self.0.iter().find(|hierarchy| hierarchy.v2)?;
        Some(v2.mount.join(path.trim_start_matches('/')).join(name))
    }

    /// A kernel file of the cgroup `path` (with its leading slash), in the hierarchy of `controller`.
    #[must_use]
    pub fn file(&self, controller: &str, path: &str, name: &str) -> Option<PathBuf> {
        let folder = self.with(controller)?.mount.join(path.trim_start_matches('/'));
        Some(folder.join(name))
    }
}

/// Turns on every controller for the children of a v2 cgroup. Elsewhere there is nothing to do, and a controller that
/// cannot be turned on has no files, which the tests see by themselves.
pub fn enable_controllers(dir: &Path) {
    let Ok(have) = std::fs::read_to_string(dir.join("cgroup.controllers")) else { return };
    let switch = dir.join("cgroup.subtree_control");
    let on = std::fs::read_to_string(&switch).unwrap_or_default();
    for controller in have.split_whitespace().filter(|c| CONTROLLERS.contains(c)) {
        if !on.split_whitespace().any(|c| c == controller) {
            let _ = std::fs::write(&switch, format!("+{controller}"));
        }
    }
}

/// `mountinfo` lines end in ` - TYPE SOURCE OPTIONS`; v1 lists its controllers among the options.
fn parse(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = mountinfo.lines().filter_map(parse_line).collect();
    // A host may mount one hierarchy at two places.
    found.dedup_by(|b, a| a.v2 == b.v2 && a.controllers == b.controllers);
    found
}

fn parse_line(line: &str) -> Option<Hierarchy> {
    let (left, right) = line.split_once(" - ")?;
    let mut fields = left.split(' ').skip(3);
    let (root, mount) = (fields.next()?, fields.next()?);
    let mut kind = right.split(' ');
    let v2 = match kind.next()? {
        "cgroup" => false,
        "cgroup2" => true,
        _ => return None,
    };
    if root != "/" {
        return None;
    }
    let options = kind.nth(1)?;
    let controllers = match v2 {
        true => Vec::new(),
        false => options.split(',').filter(|o| !o.contains('=') && *o != "rw").map(str::to_owned).collect(),
    };
    Some(Hierarchy { v2, controllers, mount: PathBuf::from(mount) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
22 1 0:5 / /dev rw - devtmpfs none rw
30 22 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
31 22 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 22 0:28 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,xattr,name=systemd
33 22 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
34 22 0:29 /box /mnt/bind rw - cgroup2 cgroup2 rw
";

    #[test]
    fn a_hybrid_host_is_read() {
        let found = Hierarchies(parse(HYBRID));
        assert_eq!(found.0.len(), 4, "the bind mount of a subtree is no hierarchy: {found:?}");
        assert_eq!(found.with("cpuacct").unwrap().mount, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert!(!found.memory_is_v2());
        assert_eq!(found.roots().len(), 2);
        let file = found.file("memory", "/a/b", "memory.stat").unwrap();
        assert_eq!(file, Path::new("/sys/fs/cgroup/memory/a/b/memory.stat"));
    }

    #[test]
    fn a_line_without_its_separator_is_no_hierarchy() {
        assert!(parse("31 22 0:27 / /sys/fs/cgroup/memory rw cgroup cgroup rw,memory").is_empty());
    }
}
