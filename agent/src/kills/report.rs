//! From a kill to the event's draft: whose cgroup it was, and whose limit.

use std::sync::Arc;

use crate::identity::identify;
use crate::model::{
    CgroupPath, CgroupRef, Constraint, Decision, EventDraft, EventKind, EventNames, HierarchyId, LimitOwner,
    OomKill, OomReport, OwnerKind, Role,
};
use crate::registry::Registry;

/// Counts the kill in its cgroup. `memory` is the hierarchy that accounts memory.
pub(super) fn draft(mut kill: OomKill, registry: &mut Registry, memory: HierarchyId) -> EventDraft {
    let path = kill.cgroup.and_then(|key| registry.path_of_key(key)).or(kill.path.take());
    kill.cgroup = kill.cgroup.or_else(|| registry.key_of(path.as_ref()?, memory));
    // Where no walk has found the cgroup yet, its path is enough to know whose it is.
    let identity =
        path.as_ref().map(|path| registry.oom_kill_at(path).unwrap_or_else(|| Arc::new(identify(path))));
    let decision = named(kill.decision, registry);
    let report = OomReport { victim: kill.victim, decision, last_sample: None };
    EventDraft {
        time: kill.time,
        source: kill.source,
        cgroup: path.map(|path| CgroupRef { path, key: kill.cgroup, path_cut: false }),
        identity,
        names: EventNames::default(),
        kind: EventKind::OomKill(Box::new(report)),
    }
}

/// With the paths of the cgroups that a source knows by their ids, and what the owner of the limit is.
fn named(mut decision: Decision, registry: &Registry) -> Decision {
    if let Some(trigger) = &mut decision.trigger {
        trigger.path = trigger.path.take().or_else(|| registry.path_of_key(trigger.cgroup?));
    }
    if decision.constraint == Some(Constraint::None) {
        decision
            .owner
            .get_or_insert_with(|| LimitOwner { kind: Some(OwnerKind::Node), ..LimitOwner::default() });
    }
    if let Some(owner) = &mut decision.owner {
        owner.path = owner.path.take().or_else(|| registry.path_of_key(owner.key?));
        owner.kind = owner.kind.or_else(|| owner.path.as_ref().map(kind_of));
    }
    decision
}

fn kind_of(path: &CgroupPath) -> OwnerKind {
    match identify(path).role {
        Role::Root => OwnerKind::Node,
        Role::Container | Role::InsideContainer => OwnerKind::Container,
        Role::Pod => OwnerKind::Pod,
        Role::Qos => OwnerKind::Qos,
        _ => OwnerKind::Slice,
    }
}
