//! Which cgroup hierarchies the host mounts: from the mounts and cgroups of process 1.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::FileFault;
use super::{FilesError, HostRoot};
use crate::model::{CgroupKey, CgroupMode, CgroupPath, CgroupVersion, Hierarchy, HierarchyId};
use crate::parse::{Mount, ProcCgroup, mounts, proc_cgroup};

/// The mounted hierarchies, each once, in the order of their numbers (v2 first).
///
/// Read from the host's `/proc/1/mountinfo` and `/proc/1/cgroup`, or those of `/proc/self` where the former cannot
/// be read or name no mount that this process can open. The whole of a hierarchy is preferred to a part of it.
pub fn hierarchies(host: &HostRoot) -> Result<Vec<Hierarchy>, FilesError> {
    let of_init = hierarchies_of(host, "1");
    if of_init.as_ref().is_ok_and(|found| !found.is_empty()) {
        return of_init;
    }
    match (hierarchies_of(host, "self"), of_init) {
        (Ok(found), _) if !found.is_empty() => Ok(found),
        (_, Err(error)) => Err(error),
        _ => Err(FilesError { path: host.proc().join("1/mountinfo"), fault: FileFault::NoHierarchy }),
    }
}

/// What the host mounts, judged by its hierarchies.
pub fn mode(hierarchies: &[Hierarchy]) -> CgroupMode {
    let v2 = hierarchies.iter().any(|h| h.version == CgroupVersion::V2);
    let v1 = hierarchies.iter().any(|h| h.version == CgroupVersion::V1 && !h.controllers.is_empty());
    match (v1, v2) {
        (true, true) => CgroupMode::Hybrid,
        (false, true) => CgroupMode::V2,
        (_, false) => CgroupMode::V1,
    }
}

fn hierarchies_of(host: &HostRoot, process: &str) -> Result<Vec<Hierarchy>, FilesError> {
    let mut mounts = host.parse(format!("/proc/{process}/mountinfo"), mounts)?;
    let numbers = host.parse(format!("/proc/{process}/cgroup"), proc_cgroup)?;
    mounts.retain(|mount| mount.kind.starts_with("cgroup") && mount_dir(host, mount).is_dir());
    mounts.sort_by_key(|mount| mount.root != b"/");
    let mut found: Vec<_> = numbers.iter().filter_map(|number| hierarchy(host, number, &mounts)).collect();
    found.sort_by_key(|hierarchy| hierarchy.id);
    Ok(found)
}

/// The hierarchy of a line of `/proc/<pid>/cgroup`, if one of the mounts is of it.
fn hierarchy(host: &HostRoot, number: &ProcCgroup, mounts: &[Mount]) -> Option<Hierarchy> {
    let mount = mounts.iter().find(|mount| is_of(mount, number))?;
    let dir = mount_dir(host, mount);
    let (version, controllers) = if number.hierarchy == HierarchyId::V2 {
        (CgroupVersion::V2, v2_controllers(&dir))
    } else {
        let named = |name: &&String| !name.starts_with("name=");
        (CgroupVersion::V1, number.controllers.iter().filter(named).cloned().collect())
    };
    Some(Hierarchy { id: number.hierarchy, version, controllers, mount: dir })
}

/// Whether the mount is of that hierarchy: v2 is number 0; v1 lists its controllers among its options.
fn is_of(mount: &Mount, number: &ProcCgroup) -> bool {
    match mount.kind.as_str() {
        "cgroup2" => number.hierarchy == HierarchyId::V2,
        "cgroup" => {
            number.hierarchy != HierarchyId::V2
                && !number.controllers.is_empty()
                && number.controllers.iter().all(|name| mount.has_option(name))
        }
        _ => false,
    }
}

/// The mount point below the host root. The mounts of this very process already have the root in front.
fn mount_dir(host: &HostRoot, mount: &Mount) -> PathBuf {
    let point = Path::new(OsStr::from_bytes(&mount.mount_point));
    let below = host.join(point);
    if !below.is_dir() && point.starts_with(host.path()) { point.to_owned() } else { below }
}

/// `cgroup.controllers` of the root; none when it cannot be read.
fn v2_controllers(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// The directory that has this path now; `None` where there is none.
pub fn directory_key(hierarchy: &Hierarchy, path: &CgroupPath) -> Option<CgroupKey> {
    use std::os::unix::fs::MetadataExt;
    let directory = std::fs::metadata(hierarchy.dir(path)).ok()?;
    Some(CgroupKey { hierarchy: hierarchy.id, id: directory.ino() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;

    fn names(hierarchy: &Hierarchy) -> Vec<&str> {
        hierarchy.controllers.iter().map(String::as_str).collect()
    }

    #[test]
    fn v1_hierarchies_have_the_kernels_numbers() {
        let fixture = Fixture::v1();
        let found = hierarchies(&fixture.host()).unwrap();
        let numbers: Vec<_> = found.iter().map(|h| (h.id.0, names(h))).collect();
        assert_eq!(numbers, [(2, vec!["cpu", "cpuacct"]), (4, vec!["memory"]), (9, vec![])]);
        assert_eq!(found[1].mount, fixture.path("sys/fs/cgroup/memory"));
        assert_eq!(mode(&found), CgroupMode::V1);
    }

    #[test]
    fn v2_alone() {
        let fixture = Fixture::v2();
        let found = hierarchies(&fixture.host()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(names(&found[0]), ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"]);
        assert_eq!((found[0].id, mode(&found)), (HierarchyId::V2, CgroupMode::V2));
    }

    #[test]
    fn v2_beside_v1_is_hybrid() {
        let fixture = Fixture::v1();
        let mounts = std::fs::read_to_string(fixture.path("proc/1/mountinfo")).unwrap();
        let more = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        fixture.file("proc/1/mountinfo", mounts + more);
        fixture.file("proc/1/cgroup", "4:memory:/\n2:cpu,cpuacct:/\n0::/\n");
        fixture.file("sys/fs/cgroup/unified/cgroup.controllers", "\n");
        let found = hierarchies(&fixture.host()).unwrap();
        assert_eq!(found.iter().map(|h| h.id.0).collect::<Vec<_>>(), [0, 2, 4]);
        assert_eq!((names(&found[0]).len(), mode(&found)), (0, CgroupMode::Hybrid));
    }

    #[test]
    fn v2_beside_a_named_v1_hierarchy_is_v2() {
        let named = Hierarchy {
            id: HierarchyId(1),
            version: CgroupVersion::V1,
            controllers: vec![],
            mount: PathBuf::new(),
        };
        let unified = Hierarchy { id: HierarchyId::V2, version: CgroupVersion::V2, ..named.clone() };
        assert_eq!(mode(&[unified, named]), CgroupMode::V2);
    }

    #[test]
    fn the_whole_hierarchy_is_preferred_to_a_part() {
        let fixture = Fixture::v2();
        fixture.file(
            "proc/1/mountinfo",
            "40 31 0:38 /part /mnt/part rw - cgroup2 cgroup2 rw\n41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        );
        fixture.dir(b"mnt/part");
        assert_eq!(hierarchies(&fixture.host()).unwrap()[0].mount, fixture.path("sys/fs/cgroup"));
    }

    #[test]
    fn own_files_serve_where_those_of_process_1_do_not() {
        let fixture = Fixture::v2();
        let mounts = std::fs::read(fixture.path("proc/1/mountinfo")).unwrap();
        fixture.file("proc/self/mountinfo", mounts);
        fixture.file("proc/self/cgroup", "0::/\n");
        std::fs::remove_dir_all(fixture.path("proc/1")).unwrap();
        assert_eq!(hierarchies(&fixture.host()).unwrap().len(), 1);
    }

    #[test]
    fn without_a_cgroup_mount_there_is_an_error() {
        let fixture = Fixture::new();
        assert!(hierarchies(&fixture.host()).unwrap_err().is_gone());
        fixture.file("proc/1/mountinfo", "31 23 0:28 / / rw - ext4 /dev/sda rw\n");
        fixture.file("proc/1/cgroup", "0::/\n");
        let error = hierarchies(&fixture.host()).unwrap_err();
        assert!(matches!(error.fault, FileFault::NoHierarchy), "{error}");
    }

    #[test]
    fn a_broken_list_of_mounts_is_an_error() {
        let fixture = Fixture::v2();
        fixture.file("proc/1/mountinfo", "what\n");
        assert!(matches!(hierarchies(&fixture.host()).unwrap_err().fault, FileFault::Parse(_)));
    }
}
