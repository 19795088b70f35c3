//! Names of containers: who is asked for them, and for which containers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::state::State;
use crate::config::{Config, RuntimeSocket};
use crate::files::{self, HostRoot};
use crate::identity::{Known, Names, Wishes};
use crate::model::{Identity, MetricSet, MetricSets, Role};
use crate::names::{self, Place};
use crate::registry::{Change, ChangeKind};
use crate::serve::Shutdown;

/// How often the table is compared with the containers that there are: what was not wanted in time is then, and what
/// nobody remembers any more is forgotten.
const COMPARE_INTERVAL: Duration = Duration::from_secs(10);

/// The table for the settings, empty.
pub(super) fn table(config: &Config) -> Arc<Names> {
    Arc::new(Names::new(Wishes {
        all_labels: config.names.all_labels,
        labels: config.names.labels.iter().map(|label| label.trim().to_owned()).collect(),
        env_prefixes: config.names.env_prefixes.iter().map(|prefix| prefix.trim().to_owned()).collect(),
    }))
}

fn places(config: &Config) -> Vec<Place> {
    let Some(sockets) = &config.names.runtime_sockets else { return Place::usual(&config.host_root) };
    let given = sockets.iter().filter_map(|socket| match socket {
        RuntimeSocket::None => None,
        RuntimeSocket::Cri(path) => Some(Place::Cri(path.clone())),
        RuntimeSocket::Docker(path) => Some(Place::Docker(vec![path.clone()])),
        RuntimeSocket::Podman(path) => Some(Place::Podman(vec![path.clone()])),
    });
    let mut places: Vec<Place> = given.collect();
    if !places.is_empty() {
        places.push(Place::logs(&config.host_root));
    }
    places
}

/// Begins to ask, each source on a thread of its own.
pub(super) fn start(config: &Config, sets: MetricSets, state: &Arc<State>, shutdown: &Shutdown) {
    let places = places(config);
    let units = sets.has(MetricSet::UnitInfo).then(|| HostRoot::new(&config.host_root));
    if places.is_empty() && units.is_none() {
        return;
    }
    names::start(&state.names, &places, files::entry_names);
    let (state, mut shutdown) = (state.clone(), shutdown.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = shutdown.wait() => {}
            () = compare(&state, units) => {}
        }
    });
}

async fn compare(state: &State, units: Option<HostRoot>) {
    while state.ready_after.get().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    loop {
        let known = known(state);
        state.names.retain(&known);
        if let Some(host) = &units {
            describe_units(state, host).await;
        }
        tokio::time::sleep(COMPARE_INTERVAL).await;
    }
}

/// Reads the files of units that are new; each is a small file or two.
async fn describe_units(state: &State, host: &HostRoot) {
    let units: Vec<String> = {
        let registry = state.registry();
        let own =
            registry.cgroups().filter(|(_, cgroup)| matches!(cgroup.identity.role, Role::Unit | Role::Slice));
        own.filter_map(|(path, _)| str::from_utf8(path.name()).ok().map(str::to_owned)).collect()
    };
    let (unknown, host) = (state.names.unknown_units(units), host.clone());
    let read = move || {
        let described = unknown.into_iter().map(|unit| {
            let description = files::unit_description(&host, &unit);
            (unit, description)
        });
        described.collect()
    };
    if let Ok(found) = tokio::task::spawn_blocking(read).await {
        state.names.put_units(found);
    }
}

/// The containers that there are, and those that are gone and still shown, with their pods.
fn known(state: &State) -> HashMap<String, Known> {
    let registry = state.registry();
    let living = registry.cgroups().map(|(_, cgroup)| (&cgroup.identity, true));
    let gone = registry.tombstones().map(|(_, tombstone)| (&tombstone.identity, false));
    // The living last: they count where an id has both.
    let all = gone.chain(living).filter_map(|(identity, lives)| {
        let (id, pod_uid) = container(identity)?;
        Some((id, Known { pod_uid, lives }))
    });
    all.collect()
}

fn container(identity: &Identity) -> Option<(String, Option<String>)> {
    let id = identity.container_id.clone().filter(|_| identity.is_container())?;
    Some((id, identity.pod_uid.clone()))
}

impl State {
    /// Whoever is made or started has names that are not known yet, or not any more.
    pub(super) fn want_names(&self, change: &Change) {
        let is_news = matches!(change.kind, ChangeKind::ContainerStarted | ChangeKind::CgroupCreated { .. });
        if is_news && let Some((id, pod_uid)) = container(&change.identity) {
            self.names.want(&id, pod_uid.as_deref());
        }
    }
}
