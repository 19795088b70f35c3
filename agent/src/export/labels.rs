//! The labels that say which cgroup a sample is about, and which of them to print.

use crate::snapshot::CgroupSample;
use std::borrow::Cow;

/// A label of every `container_*` metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleLabel {
    /// `id`: the cgroup's path. Always printed, as it alone tells cgroups apart.
    Id,
    /// `container_id`: 64 hexadecimal digits.
    ContainerId,
    /// `pod_uid`.
    PodUid,
    /// `qos_class`: `Guaranteed`, `Burstable` or `BestEffort`.
    QosClass,
    /// `runtime`: `docker`, `containerd`, `cri-o` or `podman`.
    Runtime,
    /// `unit`: the innermost systemd unit.
    Unit,
    /// `name`: the runtime's name of a container, as in cAdvisor.
    Name,
    /// `image`.
    Image,
    /// `pod`: its name.
    Pod,
    /// `namespace`: the pod's.
    Namespace,
    /// `container`: its name in its pod.
    Container,
}

impl SampleLabel {
    /// All labels, in the order in which they are printed.
    pub const ALL: [Self; 11] = [
        Self::Id,
        Self::ContainerId,
        Self::PodUid,
        Self::QosClass,
        Self::Runtime,
        Self::Unit,
        Self::Name,
        Self::Image,
        Self::Pod,
        Self::Namespace,
        Self::Container,
    ];

    /// The label's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::ContainerId => "container_id",
            Self::PodUid => "pod_uid",
            Self::QosClass => "qos_class",
            Self::Runtime => "runtime",
            Self::Unit => "unit",
            Self::Name => "name",
            Self::Image => "image",
            Self::Pod => "pod",
            Self::Namespace => "namespace",
            Self::Container => "container",
        }
    }

    /// The label's value for a cgroup; `None` where it is not known. Never empty.
    #[must_use]
    pub fn value(self, sample: &CgroupSample) -> Option<Cow<'_, str>> {
        let identity = &*sample.identity;
        let (title, pod) = (sample.names.as_ref().map(|names| &*names.title), sample.pod.as_deref());
        match self {
            Self::Id => Some(sample.path.to_text()),
            Self::ContainerId => identity.container_id.as_deref().map(Cow::Borrowed),
            Self::PodUid => identity.pod_uid.as_deref().map(Cow::Borrowed),
            Self::QosClass => identity.qos.map(|qos| qos.as_str().into()),
            Self::Runtime => {
                let told = || sample.names.as_ref().and_then(|names| names.runtime);
                identity.runtime.or_else(told).map(|runtime| runtime.as_str().into())
            }
            Self::Unit => identity.unit.as_deref().map(Cow::Borrowed),
            Self::Name => title.and_then(|title| title.name.as_deref()).map(Cow::Borrowed),
            Self::Image => title.and_then(|title| title.image.as_deref()).map(Cow::Borrowed),
            Self::Pod => pod.and_then(|pod| pod.name.as_deref()).map(Cow::Borrowed),
            Self::Namespace => pod.and_then(|pod| pod.namespace.as_deref()).map(Cow::Borrowed),
            Self::Container => title.and_then(|title| title.container.as_deref()).map(Cow::Borrowed),
        }
    }

    const fn bit(self) -> u16 {
        1 << (self as u8)
    }
}

/// Which labels to print. Each one costs its bytes in every sample of every cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelSet(u16);

/// A list of labels with a name that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown label {name:?}: wanted one of {}", SampleLabel::ALL.map(SampleLabel::as_str).join(", "))]
pub struct LabelSetError {
    /// The name as given.
    pub name: String,
}

impl LabelSet {
    /// `id` alone.
    #[must_use]
    pub const fn id_only() -> Self {
        Self(SampleLabel::Id.bit())
    }

    /// The labels of a comma list; `id` is always among them. Blanks around names are fine.
    ///
    /// # Errors
    /// For a name that is no label.
    pub fn parse(list: &str) -> Result<Self, LabelSetError> {
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(find).try_fold(Self::id_only(), |set, label| Ok(Self(set.0 | label?.bit())))
    }

    /// Whether a label is printed.
    #[must_use]
    pub const fn has(self, label: SampleLabel) -> bool {
        self.0 & label.bit() != 0
    }
}

fn find(name: &str) -> Result<SampleLabel, LabelSetError> {
    let known = SampleLabel::ALL.into_iter().find(|label| label.as_str() == name);
    known.ok_or_else(|| LabelSetError { name: name.to_owned() })
}

impl Default for LabelSet {
    /// All labels.
    fn default() -> Self {
        Self(SampleLabel::ALL.into_iter().fold(0, |bits, label| bits | label.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_always_there() {
        assert_eq!(LabelSet::parse("").unwrap(), LabelSet::id_only());
        let set = LabelSet::parse("pod_uid, unit").unwrap();
        let printed: Vec<_> = SampleLabel::ALL.into_iter().filter(|&label| set.has(label)).collect();
        assert_eq!(printed, [SampleLabel::Id, SampleLabel::PodUid, SampleLabel::Unit]);
    }

    #[test]
    fn an_unknown_label_is_refused_with_the_allowed_ones() {
        let error = LabelSet::parse("id,pods").unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown label \"pods\": wanted one of id, container_id, pod_uid, qos_class, runtime, unit, name, image, \
             pod, namespace, container"
        );
    }

    #[test]
    fn the_default_is_all() {
        assert!(SampleLabel::ALL.into_iter().all(|label| LabelSet::default().has(label)));
    }
}
