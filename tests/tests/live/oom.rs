//! The count of a container's kills outlives it.

use std::collections::HashSet;

use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::host::{Rung, bpf, memory_cgroups, skip_unless};
use cgtap_tests::load;
use cgtap_tests::log::QUIET;

use crate::support::{self, Lent, kind, path};

const LIMIT_MIB: u64 = 20;

#[test]
fn a_killed_containers_count_outlives_it() {
    if skip_unless("oom::a_killed_containers_count_outlives_it", memory_cgroups().and(bpf(Rung::TpBtf))) {
        return;
    }
    let agent = Lent::of_defaults();
    let stream = agent.follow("&types=oom_kill,cgroup_removed").unwrap();
    let cgroup = TestCgroup::new().unwrap();
    let path_then = cgroup.path();
    cgroup.limit_memory(LIMIT_MIB << 20).unwrap();
    load::hog(support::load(), cgroup.memory_dir().unwrap(), LIMIT_MIB * 8).unwrap();
    drop(cgroup);
    // They come from two rings, so either may be first.
    let mut missing = HashSet::from(["oom_kill", "cgroup_removed"]);
    stream
        .until(QUIET, |e| {
            if path(e) == path_then {
                missing.remove(kind(e));
            }
            missing.is_empty()
        })
        .unwrap();
    assert!(missing.is_empty(), "{missing:?} did not come for {path_then}");
    let metrics = agent.metrics().unwrap();
    let count = metrics.one("container_oom_events_total", &[("id", &path_then)]).unwrap();
    assert_eq!(count, Some(1.0), "a cgroup that is gone keeps its count until Prometheus has seen it");
    let memory = metrics.one("container_memory_usage_bytes", &[("id", &path_then)]).unwrap();
    assert_eq!(memory, None, "a cgroup that is gone uses no memory");
}
