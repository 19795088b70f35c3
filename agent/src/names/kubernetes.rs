//! The labels that a kubelet gives to every container.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::PodNames;

/// The container's name in its pod.
pub(super) const CONTAINER: &str = "io.kubernetes.container.name";
/// The annotation that counts restarts.
pub(super) const RESTARTS: &str = "io.kubernetes.container.restartCount";
const POD: &str = "io.kubernetes.pod.name";
const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const UID: &str = "io.kubernetes.pod.uid";

/// Adds cAdvisor's label for the number of restarts; cAdvisor has no label for 0.
pub(super) fn add_restart_label(labels: &mut BTreeMap<String, String>, restart_count: u32) {
    if restart_count > 0 {
        labels.insert("restartcount".to_owned(), restart_count.to_string());
    }
}

/// The pod that these labels name.
pub(super) fn pod(labels: &BTreeMap<String, String>) -> Option<Arc<PodNames>> {
    let value = |key| labels.get(key).and_then(|value| known(value));
    let pod = PodNames { name: value(POD), namespace: value(NAMESPACE), uid: value(UID) };
    (pod != PodNames::default()).then(|| Arc::new(pod))
}

/// `None` for an empty text: runtimes send one where they know nothing.
pub(super) fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
