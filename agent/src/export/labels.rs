//! What the labels that say which cgroup a sample is about have as their values.

use std::borrow::Cow;

use crate::model::SampleLabel;
use crate::snapshot::CgroupSample;

impl SampleLabel {
    /// The label's value for a cgroup; `None` where it is not known. Never empty.
    pub fn value(self, sample: &CgroupSample) -> Option<Cow<'_, str>> {
        let identity = &*sample.identity;
        let (title, pod) = (sample.names.as_ref().map(|names| &*names.title), sample.pod.as_deref());
        match self {
            Self::Id => Some(sample.path.to_text()),
            Self::ContainerId => identity.container_id.as_deref().map(Cow::Borrowed),
            Self::PodUid => identity.pod_uid.as_deref().map(Cow::Borrowed),
            Self::QosClass => identity.qos.map(|qos| qos.as_str().into()),
            Self::Runtime => {
                let named = || sample.names.as_ref().and_then(|names| names.runtime);
                identity.runtime.or_else(named).map(|runtime| runtime.as_str().into())
            }
            Self::Unit => identity.unit.as_deref().map(Cow::Borrowed),
            Self::Name => title.and_then(|title| title.name.as_deref()).map(Cow::Borrowed),
            Self::Image => title.and_then(|title| title.image.as_deref()).map(Cow::Borrowed),
            Self::Pod => pod.and_then(|pod| pod.name.as_deref()).map(Cow::Borrowed),
            Self::Namespace => pod.and_then(|pod| pod.namespace.as_deref()).map(Cow::Borrowed),
            Self::Container => title.and_then(|title| title.container.as_deref()).map(Cow::Borrowed),
        }
    }
}
