//! Which events a subscriber wants.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::SystemTime;

use super::stored::Head;
use crate::model::{CgroupPath, Event, EventKind};

/// What an event must be to be delivered. Empty fields let everything through; all that are set must hold.
///
/// [`EventKind::KernelLost`] passes whatever the other fields say and is held back by `since` alone: what was lost
/// may have been just what the subscriber waits for.
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

/// What a filter looks at, of an event in memory or on disk.
struct Facts<'a> {
    time: SystemTime,
    type_name: &'a str,
    /// A cgroup that was renamed away from the wanted subtree is news there as well.
    paths: [Option<Cow<'a, CgroupPath>>; 2],
    pod: Option<&'a str>,
    namespace: Option<&'a str>,
    container: Option<&'a str>,
}

impl Filter {
    /// Whether the event is wanted.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let renamed_from = match &event.kind {
            EventKind::CgroupCreated { renamed_from } => renamed_from.as_ref(),
            _ => None,
        };
        let path = event.cgroup.as_ref().map(|cgroup| &cgroup.path);
        let identity = event.identity.as_ref();
        self.lets_through(&Facts {
            time: event.time,
            type_name: event.kind.type_name(),
            paths: [path.map(Cow::Borrowed), renamed_from.map(Cow::Borrowed)],
            pod: identity.and_then(|identity| identity.pod_uid.as_deref()),
            namespace: event.names.pod.as_ref().and_then(|pod| pod.namespace.as_deref()),
            container: identity.and_then(|identity| identity.container_id.as_deref()),
        })
    }

    /// The same for a record of the disk.
    pub(super) fn matches_stored(&self, head: &Head<'_>) -> bool {
        let path = |text: Option<&str>| text.map(CgroupPath::from_text).map(Cow::Owned);
        self.lets_through(&Facts {
            time: head.time,
            type_name: &head.type_name,
            paths: [path(head.path()), path(head.renamed_from.as_deref())],
            pod: head.pod_uid(),
            namespace: head.namespace(),
            container: head.container_id(),
        })
    }

    fn lets_through(&self, facts: &Facts<'_>) -> bool {
        let in_time = self.since.is_none_or(|since| facts.time >= since);
        let lost = facts.type_name == EventKind::LOST;
        in_time
            && (lost || (self.type_matches(facts) && self.cgroup_matches(facts) && self.owner_matches(facts)))
    }

    fn type_matches(&self, facts: &Facts<'_>) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(facts.type_name))
    }

    fn cgroup_matches(&self, facts: &Facts<'_>) -> bool {
        let Some(wanted) = &self.cgroup else { return true };
        facts.paths.iter().flatten().any(|path| path.is_within(wanted))
    }

    fn owner_matches(&self, facts: &Facts<'_>) -> bool {
        self.pod.as_deref().is_none_or(|wanted| facts.pod == Some(wanted))
            && self.namespace.as_deref().is_none_or(|wanted| facts.namespace == Some(wanted))
            && self
                .container
                .as_deref()
                .is_none_or(|wanted| facts.container.is_some_and(|id| id.starts_with(wanted)))
    }
}
