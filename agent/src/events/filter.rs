//! Which events a subscriber wants.

use std::collections::BTreeSet;
use std::time::SystemTime;

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
    /// The container's id or its first digits.
    pub container: Option<String>,
    /// Not before this moment.
    pub since: Option<SystemTime>,
}

impl Filter {
    /// Whether the event is wanted.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let in_time = self.since.is_none_or(|since| event.time >= since);
        let lost = matches!(event.kind, EventKind::KernelLost { .. });
        in_time
            && (lost || (self.type_matches(event) && self.cgroup_matches(event) && self.owner_matches(event)))
    }

    fn type_matches(&self, event: &Event) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(event.kind.type_name()))
    }

    /// A cgroup that was renamed away from the wanted subtree is news there as well.
    fn cgroup_matches(&self, event: &Event) -> bool {
        let Some(wanted) = &self.cgroup else { return true };
        let renamed_from = match &event.kind {
            EventKind::CgroupCreated { renamed_from } => renamed_from.as_ref(),
            _ => None,
        };
        let path = event.cgroup.as_ref().map(|cgroup| &cgroup.path);
        path.into_iter().chain(renamed_from).any(|path| path.is_within(wanted))
    }

    fn owner_matches(&self, event: &Event) -> bool {
        let identity = event.identity.as_ref();
        let pod = identity.and_then(|identity| identity.pod_uid.as_deref());
        let container = identity.and_then(|identity| identity.container_id.as_deref());
        self.pod.as_deref().is_none_or(|wanted| pod == Some(wanted))
            && self
                .container
                .as_deref()
                .is_none_or(|wanted| container.is_some_and(|id| id.starts_with(wanted)))
    }
}
