//! The labels that a kubelet gives to every container.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::PodNames;

/// The container's name in its pod.
pub(super) const CONTAINER: &str = "io.kubernetes.container.name";
/// The annotation that counts its starts after the first.
pub(super) const RESTARTS: &str = "io.kubernetes.container.restartCount";
const POD: &str = "io.kubernetes.pod.name";
const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const UID: &str = "io.kubernetes.pod.uid";

/// cAdvisor's label of how often a container was started again; it has none for 0.
pub(super) const RESTART_LABEL: &str = "restartcount";

/// The pod of these labels, if they are of one.
pub(super) fn pod(labels: &BTreeMap<String, String>) -> Option<Arc<PodNames>> {
    let value = |key| labels.get(key).filter(|value: &&String| !value.is_empty()).cloned();
    let pod = PodNames { name: value(POD), namespace: value(NAMESPACE), uid: value(UID) };
    (pod != PodNames::default()).then(|| Arc::new(pod))
}

/// `None` for an empty text: runtimes leave out nothing.
pub(super) fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
