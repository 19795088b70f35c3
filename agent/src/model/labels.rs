//! The labels that say which cgroup a sample is about, and which of them to print.

use super::named;

named! {
    /// A label of every `container_*` metric, in the order in which they are printed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum SampleLabel {
        /// The cgroup's path. Always printed, as it alone is different for each cgroup.
        Id = "id",
        /// 64 hexadecimal digits.
        ContainerId = "container_id",
        /// The pod's uid.
        PodUid = "pod_uid",
        /// `Guaranteed`, `Burstable` or `BestEffort`.
        QosClass = "qos_class",
        /// `docker`, `containerd`, `cri-o` or `podman`.
        Runtime = "runtime",
        /// The innermost systemd unit.
        Unit = "unit",
        /// The runtime's name of a container, as in cAdvisor.
        Name = "name",
        /// The reference of the container's image.
        Image = "image",
        /// The pod's name.
        Pod = "pod",
        /// The pod's namespace.
        Namespace = "namespace",
        /// The container's name in its pod.
        Container = "container",
    }
}

/// Which labels to print. Each one costs its bytes in every sample of every cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelSet(u32);

/// A list of labels with a name that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown label {name:?}: wanted one of {}", SampleLabel::NAMES.join(", "))]
pub struct LabelSetError {
    /// The name as given.
    pub name: String,
}

impl LabelSet {
    /// The labels of a comma list; `id` is always among them. Blanks around names are fine.
    ///
    /// # Errors
    /// For a name that is no label.
    pub fn parse(list: &str) -> Result<Self, LabelSetError> {
        let bits = SampleLabel::bits_of(list).map_err(|name| LabelSetError { name })?;
        Ok(Self(SampleLabel::Id.bit() | bits))
    }

    /// Whether a label is printed.
    pub const fn has(self, label: SampleLabel) -> bool {
        self.0 & label.bit() != 0
    }
}

impl Default for LabelSet {
    fn default() -> Self {
        Self(SampleLabel::ALL.into_iter().fold(0, |bits, label| bits | label.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_always_there() {
        assert_eq!(LabelSet::parse("").unwrap(), LabelSet::parse("").unwrap());
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
