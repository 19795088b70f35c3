//! Which containers need names: those in the registry that the table does not know yet.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::files::{self, HostRoot};
use crate::identity::{Names, RegisteredContainer};
use crate::model::{Identity, Role};
use crate::registry::Registry;

/// How often the table is compared with the registry. The comparison asks for names that were not asked for in time,
/// and forgets containers that are gone.
const COMPARE_INTERVAL: Duration = Duration::from_secs(10);

/// Asks for the names of a container that was made or started: the table does not know them yet, or has old ones.
pub fn want(table: &Names, identity: &Identity) {
    if let Some((id, pod_uid)) = container(identity) {
        table.want(&id, pod_uid.as_deref());
    }
}

/// Compares the table with the registry for ever. With `units`, reads descriptions of systemd units too.
pub async fn compare(table: &Names, registry: &Mutex<Registry>, units: Option<HostRoot>) {
    loop {
        let containers = containers(&registry.lock());
        table.retain(&containers);
        if let Some(host) = &units {
            describe_units(table, registry, host).await;
        }
        tokio::time::sleep(COMPARE_INTERVAL).await;
    }
}

/// Reads the unit files of units that are new: one or two small files each.
async fn describe_units(table: &Names, registry: &Mutex<Registry>, host: &HostRoot) {
    let (unknown, host) = (table.unknown_units(units(&registry.lock())), host.clone());
    let read = move || {
        let described = unknown.into_iter().map(|unit| {
            let description = files::unit_description(&host, &unit);
            (unit, description)
        });
        described.collect()
    };
    if let Ok(found) = tokio::task::spawn_blocking(read).await {
        table.put_units(found);
    }
}

fn units(registry: &Registry) -> Vec<String> {
    let own =
        registry.cgroups().filter(|(_, cgroup)| matches!(cgroup.identity.role, Role::Unit | Role::Slice));
    own.filter_map(|(path, _)| str::from_utf8(path.name()).ok().map(str::to_owned)).collect()
}

/// The containers that exist, and those that are gone and still shown, with their pods.
fn containers(registry: &Registry) -> HashMap<String, RegisteredContainer> {
    let living = registry.cgroups().map(|(_, cgroup)| (&cgroup.identity, true));
    let gone = registry.tombstones().map(|(_, tombstone)| (&tombstone.identity, false));
    // Living containers come last: they count where an id has both.
    let all = gone.chain(living).filter_map(|(identity, lives)| {
        let (id, pod_uid) = container(identity)?;
        Some((id, RegisteredContainer { pod_uid, lives }))
    });
    all.collect()
}

fn container(identity: &Identity) -> Option<(String, Option<String>)> {
    let id = identity.container_id.clone().filter(|_| identity.is_container())?;
    Some((id, identity.pod_uid.clone()))
}
