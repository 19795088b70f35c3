//! From Docker's answer about one container to its names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::super::kubernetes::{self, known};
use crate::identity::{KeptLabels, NamesAnswer};
use crate::model::{ContainerNames, ContainerTitle, Health, NamesSource, rfc3339};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspect {
    #[serde(default)]
    name: String,
    created: Option<String>,
    #[serde(default)]
    restart_count: u32,
    state: Option<InspectState>,
    config: Option<InspectConfig>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct InspectState {
    running: bool,
    started_at: Option<String>,
    health: Option<InspectHealth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectHealth {
    status: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectConfig {
    image: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    env: Option<Vec<String>>,
}

pub(super) fn answer(
    id: &str,
    body: &[u8],
    source: NamesSource,
    kept_labels: &KeptLabels,
) -> serde_json::Result<NamesAnswer> {
    let Inspect { name, created, restart_count, state, config } = serde_json::from_slice(body)?;
    let InspectConfig { image, labels, env } = config.unwrap_or_default();
    let mut labels = labels.unwrap_or_default();
    let title = ContainerTitle {
        name: known(name.trim_start_matches('/')),
        container: labels.get(kubernetes::CONTAINER).and_then(|name| known(name)),
        image: image.as_deref().and_then(known),
    };
    let is_sandbox = title.container.as_deref() == Some("POD");
    let pod = kubernetes::pod(&labels);
    kubernetes::add_restart_label(&mut labels, restart_count);
    // cAdvisor writes these keys in lower case for Docker only.
    let all = env.unwrap_or_default();
    let envs = all.iter().filter_map(|text| kept_labels.env(text));
    let envs = envs.map(|(key, value)| (key.to_lowercase(), value.to_owned())).collect();
    let is_running = state.as_ref().is_some_and(|state| state.running);
    let started =
        state.as_ref().and_then(|state| moment(state.started_at.as_deref()?)).filter(|_| is_running);
    let names = ContainerNames {
        title: Arc::new(title),
        pod,
        labels,
        envs,
        started,
        created: created.as_deref().and_then(moment),
        restart_count: Some(restart_count),
        is_sandbox,
        health: Some(health(state.as_ref())),
        ..ContainerNames::nothing(source, Some(super::runtime(source)))
    };
    Ok(NamesAnswer { id: id.to_owned(), names, is_final: started.is_some() })
}

fn health(state: Option<&InspectState>) -> Health {
    let status = state.and_then(|state| state.health.as_ref()?.status.as_deref());
    status.and_then(Health::from_name).unwrap_or(Health::None)
}

/// `None` for the year 1, which is Go's value for a time that is not set.
fn moment(text: &str) -> Option<SystemTime> {
    rfc3339::parse(text).ok().filter(|moment| *moment > UNIX_EPOCH)
}
