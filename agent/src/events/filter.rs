//! Which events a subscriber wants.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::SystemTime;

use super::wire::{WireEvent, pod_uid};
use crate::model::{CgroupPath, Event, EventKind};

/// Conditions on an event. It is delivered when all that are set hold; an empty filter lets everything through.
///
/// [`EventKind::KernelLost`] must satisfy `since` alone: the lost records may be the ones that the subscriber waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Names of [`EventKind::TYPE_NAMES`].
    pub types: Option<BTreeSet<String>>,
    /// This cgroup and all below it, by component.
    pub cgroup: Option<CgroupPath>,
    /// The pod's uid, as [`crate::model::Identity::pod_uid`] has it.
    pub pod: Option<String>,
    /// The pod's namespace, as far as it was known when the event was numbered.
    pub namespace: Option<String>,
    /// The container's id or its first digits.
    pub container: Option<String>,
    /// Not before this moment.
    pub since: Option<SystemTime>,
}

/// The values of one event that a filter compares.
struct Facts<'a> {
    /// `None` for a record of a later version with another form of time.
    time: Option<SystemTime>,
    type_name: &'a str,
    /// The path, and the path before a rename: a cgroup that left the wanted subtree concerns its subscribers.
    paths: [Option<Cow<'a, CgroupPath>>; 2],
    pod: Option<&'a str>,
    namespace: Option<&'a str>,
    container: Option<&'a str>,
}

impl Filter {
    /// Whether an event in memory is wanted.
    pub fn matches(&self, Event { draft: event, .. }: &Event) -> bool {
        let renamed_from = match &event.kind {
            EventKind::CgroupCreated { renamed_from } => renamed_from.as_ref(),
            _ => None,
        };
        let path = event.cgroup.as_ref().map(|cgroup| &cgroup.path);
        let identity = event.identity.as_deref();
        self.lets_through(&Facts {
            time: Some(event.time),
            type_name: event.kind.type_name(),
            paths: [path.map(Cow::Borrowed), renamed_from.map(Cow::Borrowed)],
            pod: identity.and_then(|identity| pod_uid(identity, &event.names)),
            namespace: event.names.pod.as_ref().and_then(|pod| pod.namespace.as_deref()),
            container: identity.and_then(|identity| identity.container_id.as_deref()),
        })
    }

    /// Whether a record of the disk is wanted.
    pub(super) fn matches_record(&self, record: &WireEvent<'_>) -> bool {
        let path = |text: Option<&str>| text.map(CgroupPath::from_text).map(Cow::Owned);
        let pod = record.pod();
        self.lets_through(&Facts {
            time: record.happened(),
            type_name: &record.type_name,
            paths: [path(record.path()), path(record.renamed_from.as_deref())],
            pod: pod.and_then(|pod| pod.uid.as_deref()),
            namespace: pod.and_then(|pod| pod.namespace.as_deref()),
            container: record.container_id(),
        })
    }

    fn lets_through(&self, facts: &Facts<'_>) -> bool {
        let is_late_enough = match (self.since, facts.time) {
            (Some(since), Some(time)) => time >= since,
            _ => true,
        };
        is_late_enough && (facts.type_name == EventKind::LOST || self.wants(facts))
    }

    fn wants(&self, facts: &Facts<'_>) -> bool {
        let is = |wanted: &Option<String>, value| wanted.is_none() || wanted.as_deref() == value;
        let is_of = |wanted: &CgroupPath| facts.paths.iter().flatten().any(|path| path.is_within(wanted));
        let starts_with = |wanted: &String| facts.container.is_some_and(|id| id.starts_with(wanted));
        self.types.as_ref().is_none_or(|types| types.contains(facts.type_name))
            && self.cgroup.as_ref().is_none_or(is_of)
            && is(&self.pod, facts.pod)
            && is(&self.namespace, facts.namespace)
            && self.container.as_ref().is_none_or(starts_with)
    }
}
