//! From the settings to the threads that ask for names of containers.

use std::sync::Arc;
use std::time::Duration;

use super::state::State;
use crate::config::{Config, RuntimeSocket};
use crate::files::HostRoot;
use crate::identity::{Names, Wishes};
use crate::model::{MetricSet, MetricSets};
use crate::names::{self, Place};
use crate::serve::Shutdown;

/// An empty table with the labels and variables of the settings.
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

/// Starts the threads that ask, and the task that compares the table with the registry after the first walk.
pub(super) fn start(config: &Config, sets: MetricSets, state: &Arc<State>, shutdown: &Shutdown) {
    let places = places(config);
    let units = sets.has(MetricSet::UnitInfo).then(|| HostRoot::new(&config.host_root));
    if places.is_empty() && units.is_none() {
        return;
    }
    names::start(&state.names, &places);
    let (state, mut shutdown) = (state.clone(), shutdown.clone());
    let compare = async move {
        while state.ready_after.get().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        names::compare(&state.names, &state.registry, units).await;
    };
    tokio::spawn(async move {
        tokio::select! {
            () = shutdown.wait() => {}
            () = compare => {}
        }
    });
}
