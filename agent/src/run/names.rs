//! From the settings to the threads that ask for names of containers.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, RuntimeSocket};
use crate::files::HostRoot;
use crate::identity::{KeptLabels, Names};
use crate::model::{MetricSet, MetricSets};
use crate::names::{self, RuntimeEndpoint};
use crate::serve::Shutdown;
use crate::snapshot::AgentView;

/// An empty table with the labels and variables of the settings.
pub(super) fn table(config: &Config) -> Arc<Names> {
    Arc::new(Names::new(KeptLabels {
        all_labels: config.store_container_labels,
        labels: config.container_label_allow.iter().cloned().collect(),
        env_prefixes: config.container_env_allow.clone(),
    }))
}

fn endpoints(config: &Config) -> Vec<RuntimeEndpoint> {
    let Some(sockets) = &config.runtime_sockets else {
        return RuntimeEndpoint::usual(&config.host_root);
    };
    let given = sockets.iter().filter_map(|socket| match socket {
        RuntimeSocket::None => None,
        RuntimeSocket::At(source, path) => Some(RuntimeEndpoint::new(*source, path)),
    });
    let mut endpoints: Vec<RuntimeEndpoint> = given.collect();
    if !endpoints.is_empty() {
        endpoints.push(RuntimeEndpoint::logs(&config.host_root));
    }
    endpoints
}

/// Starts the threads that ask, and the task that compares the table with the registry after the first walk.
pub(super) fn start(config: &Config, sets: MetricSets, agent: &AgentView, shutdown: &Shutdown) {
    let endpoints = endpoints(config);
    let units = sets.has(MetricSet::UnitInfo).then(|| HostRoot::new(&config.host_root));
    if endpoints.is_empty() && units.is_none() {
        return;
    }
    names::start(&agent.names, endpoints);
    let (agent, mut shutdown) = (agent.clone(), shutdown.clone());
    let compare = async move {
        while agent.telemetry.ready_after.get().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        names::compare(&agent.names, &agent.registry, units).await;
    };
    tokio::spawn(async move {
        tokio::select! {
            () = shutdown.wait() => {}
            () = compare => {}
        }
    });
}
