//! From a runtime's messages to names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::super::kubernetes::{self, known};
use super::messages::{Container, ContainerStatusResponse, ImageSpec, PodSandbox, PodSandboxStatusResponse};
use crate::identity::{KeptLabels, NamesAnswer};
use crate::model::{ContainerNames, ContainerTitle, NamesSource, PodNames, Runtime};

/// The runtime with this name of its own. An unknown one is most likely built on containerd.
pub(super) fn runtime(name: &str) -> Runtime {
    match name {
        "cri-o" => Runtime::CriO,
        "docker" => Runtime::Docker,
        _ => Runtime::Containerd,
    }
}

pub(super) fn container(
    container: Container,
    status: &ContainerStatusResponse,
    runtime: Runtime,
    kept_labels: &KeptLabels,
) -> NamesAnswer {
    let Container { id, metadata, image, image_ref, created_at, mut labels, annotations } = container;
    let metadata = metadata.unwrap_or_default();
    let count = annotations.get(kubernetes::RESTARTS).and_then(|count| count.parse().ok());
    let restart_count = count.unwrap_or(metadata.attempt);
    kubernetes::add_restart_label(&mut labels, restart_count);
    let name = labels.get(kubernetes::CONTAINER).and_then(|name| known(name)).or(known(&metadata.name));
    let running = status.status.as_ref();
    let specs = [running.and_then(|status| status.image.as_ref()), image.as_ref()];
    let title =
        ContainerTitle { name: Some(id.clone()), container: name, image: reference(&specs, &image_ref) };
    let started = running.and_then(|status| moment(status.started_at));
    let names = ContainerNames {
        title: Arc::new(title),
        pod: kubernetes::pod(&labels),
        labels,
        envs: envs(&status.info, kept_labels),
        started,
        created: moment(created_at),
        restart_count: Some(restart_count),
        ..ContainerNames::nothing(NamesSource::Cri, Some(runtime))
    };
    // Docker's own API knows more of its containers.
    let is_final = started.is_some() && runtime != Runtime::Docker;
    NamesAnswer { id, names, is_final }
}

pub(super) fn sandbox(
    sandbox: PodSandbox,
    status: &PodSandboxStatusResponse,
    runtime: Runtime,
) -> NamesAnswer {
    let PodSandbox { id, metadata, created_at, labels } = sandbox;
    let metadata = metadata.unwrap_or_default();
    let pod = PodNames {
        name: known(&metadata.name),
        namespace: known(&metadata.namespace),
        uid: known(&metadata.uid),
    };
    // containerd does not call its sandboxes so, and the kubelet's metrics have no name for them either.
    let container = matches!(runtime, Runtime::CriO | Runtime::Docker).then(|| "POD".to_owned());
    let image = info(&status.info).get("image").and_then(Value::as_str).map(str::to_owned);
    let title = ContainerTitle { name: Some(id.clone()), container, image };
    let names = ContainerNames {
        title: Arc::new(title),
        pod: Some(Arc::new(pod)),
        labels,
        created: moment(created_at),
        is_sandbox: true,
        ..ContainerNames::nothing(NamesSource::Cri, Some(runtime))
    };
    NamesAnswer { id, names, is_final: runtime != Runtime::Docker }
}

/// The image's name, from the runtime or from the pod. A digest is the last choice: a kubelet asks by digests.
fn reference(specs: &[Option<&ImageSpec>], image_ref: &str) -> Option<String> {
    let specs = || specs.iter().flatten();
    let named =
        specs().map(|spec| &spec.image).find(|image| !image.is_empty() && !image.starts_with("sha256:"));
    let written = || specs().map(|spec| &spec.user_specified_image).find(|image| !image.is_empty());
    named.or_else(written).cloned().or_else(|| known(image_ref))
}

/// The JSON in a verbose status, as containerd and CRI-O write it; null if it cannot be read.
fn info(texts: &BTreeMap<String, String>) -> Value {
    texts.get("info").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn envs(texts: &BTreeMap<String, String>, kept_labels: &KeptLabels) -> BTreeMap<String, String> {
    if !kept_labels.keeps_envs() {
        return BTreeMap::new();
    }
    let info = info(texts);
    let all = info.pointer("/runtimeSpec/process/env").and_then(Value::as_array).into_iter().flatten();
    let kept = all.filter_map(|text| kept_labels.env(text.as_str()?));
    kept.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// `None` for 0, which means that it has not happened.
fn moment(nsec: i64) -> Option<SystemTime> {
    let nsec = u64::try_from(nsec).ok().filter(|&nsec| nsec > 0)?;
    UNIX_EPOCH.checked_add(Duration::from_nanos(nsec))
}
