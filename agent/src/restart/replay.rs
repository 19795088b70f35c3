//! Brings what was saved up to date with the records at the end of the log.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::saved::{SavedCgroups, SavedCheckpoint};
use crate::events::wire::WireEvent;
use crate::kills::totals::{KillTotals, Owner};
use crate::kills::{Ledger, Process};
use crate::model::{CgroupKey, CgroupPath, HierarchyId};
use crate::registry::{KnownCgroup, cut_name};

/// The state after each record.
pub(crate) struct Replay<'a> {
    boot_id: &'a str,
    /// The records up to here are in what was saved of kills, and of cgroups.
    kills_seq: Option<u64>,
    cgroups_seq: u64,
    /// Records after those.
    unsaved: u64,
    pub(crate) cgroups: BTreeMap<CgroupPath, KnownCgroup>,
    pub(crate) totals: KillTotals,
    /// Kills that were reported since the saved checkpoint.
    pub(crate) ledger: Ledger,
}

impl<'a> Replay<'a> {
    /// Begins with what was saved.
    pub(crate) fn new(boot_id: &'a str, saved: Option<SavedCheckpoint>, cgroups: SavedCgroups) -> Self {
        let known = cgroups.cgroups.into_iter();
        Self {
            boot_id,
            kills_seq: saved.map(|saved| saved.seq),
            cgroups_seq: cgroups.seq,
            unsaved: 0,
            cgroups: known.map(|known| (known.path.clone(), known)).collect(),
            totals: cgroups.kills,
            // In a new boot the kernel counts from 0.
            ledger: Ledger::new(saved.map_or(0, |saved| saved.kernel_kills)),
        }
    }

    /// All that the records up to here led to is in what was saved.
    pub(crate) fn saved_seq(&self) -> u64 {
        self.kills_seq.map_or(self.cgroups_seq, |seq| seq.min(self.cgroups_seq))
    }

    /// Whether each record was applied that is not in what was saved, and the log has all to which that refers.
    pub(crate) fn is_whole(&self, last_seq: u64) -> bool {
        let newest = self.cgroups_seq.max(self.kills_seq.unwrap_or_default());
        newest <= last_seq && last_seq.checked_sub(self.saved_seq()) == Some(self.unsaved)
    }

    pub(crate) fn record(&mut self, record: &WireEvent<'_>) {
        let seq = record.seq.unwrap_or_default();
        self.unsaved += u64::from(seq > self.saved_seq());
        if record.is_oom_kill() {
            let of_this_boot = record.boot_id.as_deref().unwrap_or_default() == self.boot_id;
            let process = record.victim.as_ref().and_then(|victim| victim.tgid).map(Process);
            let time = record.happened().unwrap_or(SystemTime::UNIX_EPOCH);
            if of_this_boot && self.kills_seq.is_none_or(|saved| seq > saved) {
                self.ledger.resume(process, time);
            } else if of_this_boot {
                self.ledger.remember(process, time);
            }
            if seq > self.cgroups_seq {
                self.totals.count(owner(record));
                let path = record.path().map(CgroupPath::from_text);
                if let Some(known) = path.and_then(|path| self.cgroups.get_mut(&path)) {
                    known.oom_kills = known.oom_kills.saturating_add(1);
                }
            }
        } else if seq > self.cgroups_seq {
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
                let new = || KnownCgroup::new(path.clone(), path_cut, key(record), false);
                let known = moved.unwrap_or_else(new);
                self.cgroups.insert(path.clone(), KnownCgroup { path, path_cut, ..known });
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
        let mut replay = Replay::new("b", None, SavedCgroups::default());
        for container in [
            r#"{"id":"c1","name":"web","pod":{"name":"web-1","namespace":"shop","uid":"u1"}}"#,
            r#"{"id":"c1","pod":{"uid":"u1"}}"#,
        ] {
            let json = format!(r#"{{"seq":1,"type":"oom_kill","container":{container}}}"#);
            replay.record(&WireEvent::read(json.as_bytes()).unwrap());
        }
        let totals = Vec::from(replay.totals);
        let owners: Vec<_> = totals.iter().map(|(owner, _)| (&owner.pod, &owner.container)).collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(owners, [(&some("u1"), &some("c1")), (&some("web-1"), &some("web"))]);
    }
}
