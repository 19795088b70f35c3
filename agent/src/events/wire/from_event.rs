//! From an event of the log to the record that is written of it.

use std::borrow::Cow;

use super::{
    WireCgroup, WireContainer, WireEvent, WireLimitOwner, WirePod, WireSample, WireTrigger, WireVictim,
};
use crate::model::{
    CgroupPath, CgroupRef, ContainerTitle, Decision, Event, EventKind, EventNames, Identity, Limit,
    OomReport, rfc3339, text_of,
};

/// An object of the record with the named fields of `$from`, and others.
macro_rules! copied {
    ($object:ident from $from:ident { $($same:ident),* } $($name:ident: $value:expr),*) => {
        $object { $($same: $from.$same.into(),)* $($name: $value,)* ..$object::default() }
    };
}

impl<'a> WireEvent<'a> {
    /// The record of an event. `boot_id` is empty where it is not known.
    pub fn from_event(Event { seq, draft: event }: &'a Event, boot_id: &'a str) -> Self {
        let identity = event.identity.as_deref();
        let mut record = Self {
            seq: Some(*seq),
            time: Some(rfc3339::format(event.time).into()),
            boot_id: (!boot_id.is_empty()).then_some(boot_id.into()),
            type_name: event.kind.type_name().into(),
            source: Some(event.source.as_str().into()),
            cgroup: event.cgroup.as_ref().map(cgroup),
            container: identity.and_then(|identity| container(identity, &event.names)),
            unit: identity.and_then(|identity| text(identity.unit.as_ref())),
            ..Self::default()
        };
        match &event.kind {
            EventKind::CgroupCreated { renamed_from } => record.renamed_from = path(renamed_from.as_ref()),
            EventKind::CgroupRemoved | EventKind::ContainerStarted => {}
            EventKind::ContainerExited { last_sample } => {
                record.last_sample = last_sample.as_ref().map(|sample| {
                    Box::new(copied!(WireSample from sample {
                        cpu_usage_nsec, cpu_user_nsec, cpu_system_nsec, memory_peak_bytes,
                        io_read_bytes, io_write_bytes, io_reads, io_writes, oom_kills
                    }))
                });
            }
            EventKind::OomKill(report) => record.add_kill(report, event.cgroup.as_ref()),
            EventKind::KernelLost { records } => record.records = *records,
            EventKind::AgentStarted { version, reason, cgroups } => {
                record.version = Some((*version).into());
                record.reason = reason.map(|reason| reason.as_str().into());
                record.cgroups = Some(*cgroups);
            }
        }
        record
    }

    fn add_kill(&mut self, report: &'a OomReport, cgroup: Option<&'a CgroupRef>) {
        let Decision { incident, constraint, owner, trigger, group_kill } = &report.decision;
        self.incident = *incident;
        self.constraint = constraint.map(|constraint| constraint.as_str().into());
        self.limit_owner = owner.as_ref().map(|owner| {
            Box::new(copied!(WireLimitOwner from owner { usage_bytes, swap_usage_bytes }
                path: path(owner.path.as_ref()),
                id: owner.key.map(|key| key.id),
                hierarchy: owner.key.map(|key| key.hierarchy.0),
                kind: owner.kind.map(|kind| kind.as_str().into()),
                limit_bytes: owner.limit.and_then(Limit::value)))
        });
        let victim = &report.victim;
        self.victim = Some(Box::new(copied!(WireVictim from victim {
                pid, tgid, uid, oom_score_adj, total_vm_bytes, anon_rss_bytes, file_rss_bytes, shmem_rss_bytes,
                swap_bytes, pgtables_bytes
            }
            comm: comm(victim.comm.as_ref()),
            cgroup: path(cgroup.map(|cgroup| &cgroup.path)))));
        self.trigger = trigger.as_ref().map(|trigger| {
            Box::new(copied!(WireTrigger from trigger { pid }
                comm: comm(trigger.comm.as_ref()),
                cgroup: path(trigger.path.as_ref())))
        });
        self.group_kill = *group_kill;
        self.last_sample = report.last_sample.as_ref().map(|sample| {
            Box::new(
                copied!(WireSample from sample { working_set_bytes, anon_bytes, file_bytes, kernel_bytes }
                age_seconds: Some(sample.age.as_secs_f64()),
                limit_bytes: sample.limit.and_then(Limit::value)),
            )
        });
    }
}

/// The pod's uid: the path's where it has one, else the runtime's.
pub fn pod_uid<'a>(identity: &'a Identity, names: &'a EventNames) -> Option<&'a str> {
    identity.pod_uid.as_deref().or_else(|| names.pod.as_ref()?.uid.as_deref())
}

fn text(text: Option<&String>) -> Option<Cow<'_, str>> {
    text.map(Into::into)
}

fn path(path: Option<&CgroupPath>) -> Option<Cow<'_, str>> {
    path.map(CgroupPath::to_text)
}

fn comm(comm: Option<&Vec<u8>>) -> Option<Cow<'_, str>> {
    comm.map(|comm| text_of(comm).into())
}

fn cgroup(cgroup: &CgroupRef) -> WireCgroup<'_> {
    WireCgroup {
        path: path(Some(&cgroup.path)),
        path_cut: cgroup.path_cut,
        id: cgroup.key.map(|key| key.id),
        hierarchy: cgroup.key.map(|key| key.hierarchy.0),
        ..WireCgroup::default()
    }
}

/// `None` when neither path nor runtime knows a container, a pod or a class.
fn container<'a>(identity: &'a Identity, names: &'a EventNames) -> Option<WireContainer<'a>> {
    let title = names.container.as_deref();
    let container = WireContainer {
        id: text(identity.container_id.as_ref()),
        name: title.and_then(ContainerTitle::shown).map(Into::into),
        image: title.and_then(|title| text(title.image.as_ref())),
        runtime: identity.runtime.map(|runtime| runtime.as_str().into()),
        pod: pod(identity, names),
        qos: identity.qos.map(|qos| qos.as_str().into()),
        ..WireContainer::default()
    };
    let is_known = container.id.is_some()
        || container.runtime.is_some()
        || container.pod.is_some()
        || container.qos.is_some();
    is_known.then_some(container)
}

fn pod<'a>(identity: &'a Identity, names: &'a EventNames) -> Option<WirePod<'a>> {
    let known = names.pod.as_deref();
    let pod = WirePod {
        name: known.and_then(|pod| text(pod.name.as_ref())),
        namespace: known.and_then(|pod| text(pod.namespace.as_ref())),
        uid: pod_uid(identity, names).map(Into::into),
        ..WirePod::default()
    };
    (pod.uid.is_some() || pod.name.is_some()).then_some(pod)
}
