//! Monitoring of the last-level cache and of memory bandwidth, where `/sys/fs/resctrl` is mounted. Only reads.
//!
//! Kernel text: <https://docs.kernel.org/filesystems/resctrl.html>
//!
//! ```text
//! mon_data/mon_L3_00/llc_occupancy            the whole machine
//! CONTAINER/mon_data/...                      a group that a runtime made to limit the container
//! mon_groups/CONTAINER/mon_data/...           one that it made to watch it
//! GROUP/mon_groups/CONTAINER/mon_data/...     the same, limited with others
//! ```

use std::collections::HashMap;

use super::{FilesError, HostRoot};
use crate::model::CacheDomain;
use crate::parse::resctrl_count;

const ROOT: &str = "/sys/fs/resctrl";

/// Groups that are looked at: processors have some hundreds of monitoring ids at most.
const MAX_GROUPS: usize = 4096;

/// Domains of a group: one for each last-level cache.
const MAX_DOMAINS: usize = 1024;

/// The groups that there are now, by name.
#[derive(Debug, Default)]
pub struct CacheGroups(HashMap<String, String>);

/// What was read of a group.
#[derive(Debug, Default)]
pub struct CacheReading {
    /// Its domains, in order.
    pub domains: Vec<CacheDomain>,
    /// Files that could not be read or understood.
    pub errors: Vec<FilesError>,
}

impl CacheGroups {
    /// Looks for the groups; `None` where resctrl is not mounted.
    pub fn list(host: &HostRoot) -> Option<Self> {
        if !host.join(ROOT).join("info").is_dir() {
            return None;
        }
        let mut found = HashMap::new();
        let controls: Vec<String> =
            host.names(ROOT).take(MAX_GROUPS).filter(|name| !is_kernels(name)).collect();
        let parents =
            std::iter::once(ROOT.to_owned()).chain(controls.iter().map(|name| format!("{ROOT}/{name}")));
        for parent in parents {
            for name in host.names(&format!("{parent}/mon_groups")) {
                if found.len() >= MAX_GROUPS {
                    break;
                }
                let dir = format!("{parent}/mon_groups/{name}");
                found.insert(name, dir);
            }
        }
        // Last, as a group that limits has the sum of all that watch in it.
        for name in controls {
            let dir = format!("{ROOT}/{name}");
            found.insert(name, dir);
        }
        Some(Self(found))
    }

    pub fn read_root(&self, host: &HostRoot) -> CacheReading {
        read(host, ROOT)
    }

    /// The group of that name; `None` when there is none.
    pub fn read(&self, host: &HostRoot, name: &str) -> Option<CacheReading> {
        self.0.get(name).map(|dir| read(host, dir))
    }
}

/// Names that are no group.
fn is_kernels(name: &str) -> bool {
    matches!(name, "info" | "mon_data" | "mon_groups")
}

fn read(host: &HostRoot, group: &str) -> CacheReading {
    let mut reading = CacheReading::default();
    for name in host.names(&format!("{group}/mon_data")).take(MAX_DOMAINS) {
        let Some(id) = name.strip_prefix("mon_L3_").and_then(|id| id.parse().ok()) else { continue };
        let mut count = |file| {
            let count = host.parse(format!("{group}/mon_data/{name}/{file}"), resctrl_count);
            count.unwrap_or_else(|error| {
                // A processor that does not watch this has no such file.
                reading.errors.extend(Some(error).filter(|error| !error.is_gone()));
                None
            })
        };
        let domain = CacheDomain {
            id,
            occupancy_bytes: count("llc_occupancy"),
            bandwidth_bytes: count("mbm_total_bytes"),
            local_bandwidth_bytes: count("mbm_local_bytes"),
        };
        reading.domains.push(domain);
    }
    reading.domains.sort_unstable_by_key(|domain| domain.id);
    reading.domains.dedup_by_key(|domain| domain.id);
    reading
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;

    fn group(fixture: &Fixture, dir: &str, domain: &str, occupancy: &str, total: &str) {
        let base = format!("sys/fs/resctrl/{dir}mon_data/{domain}");
        fixture.file(&format!("{base}/llc_occupancy"), occupancy);
        fixture.file(&format!("{base}/mbm_total_bytes"), total);
    }

    fn host() -> Fixture {
        let fixture = Fixture::new();
        fixture.dir(b"sys/fs/resctrl/info");
        group(&fixture, "", "mon_L3_01", "2\n", "Unavailable\n");
        group(&fixture, "", "mon_L3_00", "1\n", "10\n");
        group(&fixture, "limited/", "mon_L3_00", "3\n", "30\n");
        group(&fixture, "limited/mon_groups/limited/", "mon_L3_00", "99\n", "99\n");
        group(&fixture, "mon_groups/watched/", "mon_L3_00", "4\n", "Error\n");
        group(&fixture, "gold/mon_groups/inner/", "mon_L3_00", "5\n", "x\n");
        fixture
    }

    #[test]
    fn the_machine_has_its_domains_in_order() {
        let fixture = host();
        let groups = CacheGroups::list(&fixture.host()).unwrap();
        let reading = groups.read_root(&fixture.host());
        let domain = |id, occupancy_bytes, bandwidth_bytes| CacheDomain {
            id,
            occupancy_bytes,
            bandwidth_bytes,
            local_bandwidth_bytes: None,
        };
        assert_eq!(reading.domains, [domain(0, Some(1), Some(10)), domain(1, Some(2), None)]);
        assert!(reading.errors.is_empty(), "no file is no error");
    }

    #[test]
    fn a_group_is_found_wherever_a_runtime_makes_it() {
        let fixture = host();
        let groups = CacheGroups::list(&fixture.host()).unwrap();
        let occupancy = |name: &str| {
            let reading = groups.read(&fixture.host(), name)?;
            Some((reading.domains[0].occupancy_bytes, reading.errors.len()))
        };
        assert_eq!(occupancy("limited"), Some((Some(3), 0)), "the sum, not the part");
        assert_eq!(occupancy("watched"), Some((Some(4), 0)));
        assert_eq!(occupancy("inner"), Some((Some(5), 1)), "garbage is an error");
        for name in ["none", "info", "mon_data", "mon_groups"] {
            assert_eq!(occupancy(name), None, "{name}");
        }
    }

    #[test]
    fn without_the_mount_there_is_nothing() {
        let fixture = Fixture::new();
        fixture.dir(b"sys/fs/resctrl");
        assert!(CacheGroups::list(&fixture.host()).is_none());
    }
}
