//! The records at the end of the log, one after the other, to the state that they lead to.

use std::collections::BTreeMap;

use super::saved::Settled;
use crate::events::wire::WireEvent;
use crate::kills::totals::{KillTotals, Owner};
use crate::kills::{Ledger, Process};
use crate::model::{CgroupKey, CgroupPath, HierarchyId};
use crate::registry::{KnownCgroup, cut_name};

/// The state that the records lead to.
pub(crate) struct Replay<'a> {
    boot_id: &'a str,
    settled_seq: Option<u64>,
    pub(crate) cgroups: BTreeMap<CgroupPath, KnownCgroup>,
    pub(crate) totals: KillTotals,
    /// What was reported since everything was accounted for.
    pub(crate) ledger: Ledger,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(boot_id: &'a str, settled: Option<Settled>) -> Self {
        // In a new boot the kernel counts from 0.
        let ledger = Ledger::new(settled.map_or(0, |settled| settled.kernel_kills));
        Self {
            boot_id,
            settled_seq: settled.map(|settled| settled.seq),
            cgroups: BTreeMap::new(),
            totals: KillTotals::default(),
            ledger,
        }
    }

    /// Applies a record; those up to `saved_seq` are in what was saved.
    pub(crate) fn record(&mut self, record: &WireEvent<'_>, saved_seq: u64) {
        let seq = record.seq.unwrap_or_default();
        if record.is_oom_kill() {
            let of_this_boot = record.boot_id.as_deref().unwrap_or_default() == self.boot_id;
            if of_this_boot && self.settled_seq.is_none_or(|settled| seq > settled) {
                let tgid = record.victim.as_ref().and_then(|victim| victim.tgid);
                self.ledger.resume(tgid.map(Process));
            }
            if seq > saved_seq {
                self.totals.count(owner(record));
                let path = record.path().map(CgroupPath::from_text);
                if let Some(known) = path.and_then(|path| self.cgroups.get_mut(&path)) {
                    known.oom_kills += 1;
                }
            }
        } else if seq > saved_seq {
            self.lifecycle(record);
        }
    }

    fn lifecycle(&mut self, record: &WireEvent<'_>) {
        let Some(path) = record.path().map(CgroupPath::from_text) else { return };
        let path_cut = record.cgroup.as_ref().is_some_and(|cgroup| cgroup.path_cut);
        // The path of one that was cut is that above.
        let cut_below = |above: &CgroupPath| key(record).map(|key| above.join(cut_name(key).as_bytes()));
        let path = if path_cut { cut_below(&path) } else { Some(path) };
        let Some(path) = path else { return };
        match &*record.type_name {
            "cgroup_created" => {
                let before = record.renamed_from.as_deref().map(CgroupPath::from_text);
                let moved = before.and_then(|before| self.cgroups.remove(&before));
                let known = moved.map_or_else(
                    || KnownCgroup {
                        path: path.clone(),
                        path_cut,
                        members: key(record).into_iter().collect(),
                        running: Some(false),
                        oom_kills: 0,
                        kills_before: 0,
                    },
                    |moved| KnownCgroup { path: path.clone(), path_cut, ..moved },
                );
                self.cgroups.insert(path, known);
            }
            "cgroup_removed" => {
                self.cgroups.remove(&path);
                // Its path may have been found since.
                if let Some(cut) = path.parent().as_ref().and_then(cut_below) {
                    self.cgroups.remove(&cut);
                }
            }
            kind @ ("container_started" | "container_exited") => {
                if let Some(known) = self.cgroups.get_mut(&path) {
                    known.running = Some(kind == "container_started");
                }
            }
            _ => {}
        }
    }
}

fn key(record: &WireEvent<'_>) -> Option<CgroupKey> {
    let cgroup = record.cgroup.as_ref()?;
    Some(CgroupKey { hierarchy: HierarchyId(cgroup.hierarchy?), id: cgroup.id? })
}

/// The same labels as [`Owner::of`] gives the kill when it happens.
fn owner(record: &WireEvent<'_>) -> Owner {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let pod = record.pod();
    Owner {
        namespace: owned(pod.and_then(|pod| pod.namespace.as_deref())),
        pod: owned(record.pod_name()),
        container: owned(record.container_name()),
        constraint: owned(record.constraint.as_deref()),
        limit_owner: owned(record.limit_owner.as_ref().and_then(|owner| owner.kind.as_deref())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_counted_by_names_where_they_are_known() {
        let mut replay = Replay::new("b", None);
        for container in [
            r#"{"id":"c1","name":"web","pod":{"name":"web-1","namespace":"shop","uid":"u1"}}"#,
            r#"{"id":"c1","pod":{"uid":"u1"}}"#,
        ] {
            let json = format!(r#"{{"seq":1,"type":"oom_kill","container":{container}}}"#);
            replay.record(&WireEvent::read(json.as_bytes()).unwrap(), 0);
        }
        let totals = Vec::from(replay.totals);
        let owners: Vec<_> = totals.iter().map(|(owner, _)| (&owner.pod, &owner.container)).collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(owners, [(&some("u1"), &some("c1")), (&some("web-1"), &some("web"))]);
    }
}
