//! Counters on this kernel. What needs the right to count says so where it is missing.

use super::*;
use crate::files::{ReadSets, hierarchies};
use crate::model::{Hierarchy, HierarchyId, Identity};
use crate::registry::Cgroup;

const PAGE_FAULTS: PerfCode = PerfCode { pmu: 1, config: [2, 0, 0] };

fn plan(names: &[(&str, PerfCode)]) -> PerfPlan {
    let event = |&(name, code): &(&str, PerfCode)| PerfEvent { name: name.into(), code };
    PerfPlan { core: names.iter().map(|name| vec![event(name)]).collect(), ..PerfPlan::default() }
}

fn reader() -> CgroupReader {
    let hierarchies: Arc<[Hierarchy]> = hierarchies(&HostRoot::default()).unwrap_or_default().into();
    CgroupReader::new(HostRoot::default(), hierarchies, ReadSets::NONE, 0)
}

fn known(path: &str, role: Role, members: Vec<CgroupKey>) -> CgroupToRead {
    let identity = Identity { role, ..Identity::default() };
    CgroupToRead { path: CgroupPath::from(path), known: Cgroup::fixture(identity, members) }
}

fn count(found: &HashMap<CgroupPath, Box<HardwareStats>>, path: &str) -> Option<u64> {
    let reading = found.get(&CgroupPath::from(path))?;
    reading.perf.first().map(|counts| counts.cpus.iter().map(|(_, counted)| counted.count).sum())
}

#[test]
fn the_node_is_counted_as_a_whole_and_what_nobody_has_is_left_out() {
    let mut perf = Perf::new(
        plan(&[("page-faults", PAGE_FAULTS), ("none", PerfCode { pmu: u32::MAX, config: [0; 3] })]),
        1000,
    );
    let (host, mut reader, root) = (HostRoot::default(), reader(), [known("/", Role::Root, vec![])]);
    let Some(before) = count(&perf.collect(&host, &mut reader, &root), "/") else {
        println!("skipped: needs the right to count performance events");
        return;
    };
    #[expect(clippy::disallowed_methods, reason = "a process that starts has page faults, whatever it is")]
    let started =
        std::process::Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    let found = perf.collect(&host, &mut reader, &root);
    assert!(count(&found, "/").unwrap() >= before + 8, "{found:?} after {before}, {started:?}");
    assert_eq!(found[&CgroupPath::root()].perf.len(), 1);
    assert_eq!(perf.logged.events.iter().map(|name| &**name).collect::<Vec<_>>(), ["none"]);
    assert_eq!((perf.open, perf.left_out), (online_cpus(&host).len(), 0));
}

#[test]
fn what_is_gone_is_closed_and_made_anew_when_it_is_another() {
    let Some(made) = Made::new() else { return };
    let mut perf = Perf::new(plan(&[("page-faults", PAGE_FAULTS)]), 1000);
    let (host, mut reader) = (HostRoot::default(), reader());
    let container = [known(&made.path, Role::Container, vec![made.key])];
    if count(&perf.collect(&host, &mut reader, &container), &made.path).is_none() {
        println!("skipped: needs the right to count performance events of a cgroup");
        return;
    }
    assert_eq!(perf.open, online_cpus(&host).len());
    let other = [known(&made.path, Role::Container, vec![CgroupKey { id: 1, ..made.key }])];
    assert_eq!(count(&perf.collect(&host, &mut reader, &other), &made.path), None, "another directory");
    assert_eq!((perf.open, perf.kept.len()), (0, 0));
    perf.collect(&host, &mut reader, &container);
    assert_eq!(perf.kept.len(), 1);
    perf.collect(&host, &mut reader, &[]);
    assert_eq!((perf.open, perf.kept.len()), (0, 0));
}

#[test]
fn too_few_descriptors_leave_out_what_comes_last() {
    let (host, mut reader) = (HostRoot::default(), reader());
    let cpus = online_cpus(&host).len();
    let mut perf = Perf::new(plan(&[("page-faults", PAGE_FAULTS)]), cpus * 2 - 1);
    let key = CgroupKey { hierarchy: HierarchyId::V2, id: 1 };
    let nodes = [known("/", Role::Root, vec![]), known("/a", Role::Container, vec![key])];
    let found = perf.collect(&host, &mut reader, &nodes);
    if count(&found, "/").is_none() || reader.perf_member(&[key]).is_none() {
        println!("skipped: needs the right to count performance events, and no v1 hierarchy of them");
        return;
    }
    assert_eq!((count(&found, "/a"), perf.left_out, perf.logged.limit), (None, 1, true));
    perf.collect(&host, &mut reader, &nodes[..1]);
    assert_eq!(perf.left_out, 0);
}

#[test]
fn only_containers_and_the_node_are_counted() {
    let (host, mut reader) = (HostRoot::default(), reader());
    let key = CgroupKey { hierarchy: HierarchyId::V2, id: 1 };
    let mut perf = Perf::new(plan(&[("page-faults", PAGE_FAULTS)]), 1000);
    for role in [Role::Pod, Role::Slice, Role::InsideContainer, Role::Other] {
        assert!(perf.collect(&host, &mut reader, &[known("/a", role, vec![key])]).is_empty(), "{role:?}");
    }
    let root = [known("/", Role::Root, vec![])];
    assert!(Perf::new(PerfPlan::default(), 1000).collect(&host, &mut reader, &root).is_empty());
}

/// A cgroup in the hierarchy by which events are counted, removed with the value.
struct Made {
    dir: std::path::PathBuf,
    path: String,
    key: CgroupKey,
}

impl Made {
    fn new() -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let found = hierarchies(&HostRoot::default()).unwrap_or_default();
        let counted = found.iter().find(|hierarchy| hierarchy.has("perf_event"));
        let counted = counted.or_else(|| found.iter().find(|hierarchy| hierarchy.id == HierarchyId::V2));
        let path = format!("/cgtap-test-{}-perf", std::process::id());
        let dir = counted.map(|hierarchy| hierarchy.dir(&CgroupPath::from(path.as_str())));
        let (Some(hierarchy), Some(dir)) = (counted, dir) else {
            println!("skipped: no hierarchy has perf_event");
            return None;
        };
        if let Err(error) = std::fs::create_dir(&dir) {
            println!("skipped: {}: {error}", dir.display());
            return None;
        }
        let id = std::fs::metadata(&dir).unwrap().ino();
        Some(Self { dir, path, key: CgroupKey { hierarchy: hierarchy.id, id } })
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.dir);
    }
}
