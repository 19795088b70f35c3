//! The records at the end of the log, one after the other, to the state that they lead to.

use std::collections::BTreeMap;

use serde_json::Value;

use super::history::Accounted;
use super::saved::Settled;
use crate::kills::totals::{KillTotals, Owner};
use crate::model::{CgroupKey, CgroupPath, EventKind, HierarchyId};
use crate::registry::{KnownCgroup, cut_name};

/// The state that the records lead to.
pub(crate) struct Replay<'a> {
    boot_id: &'a str,
    settled_seq: Option<u64>,
    pub(crate) cgroups: BTreeMap<CgroupPath, KnownCgroup>,
    pub(crate) totals: KillTotals,
    pub(crate) accounted: Accounted,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(boot_id: &'a str, settled: Option<Settled>) -> Self {
        // In a new boot the kernel counts from 0, and its log begins with it.
        let anew = || Accounted { log_sequence: Some(0), ..Accounted::default() };
        let accounted = settled.map_or_else(anew, |settled| Accounted {
            kernel_kills: settled.kernel_kills,
            log_sequence: settled.log_sequence,
            ..Accounted::default()
        });
        Self {
            boot_id,
            settled_seq: settled.map(|settled| settled.seq),
            cgroups: BTreeMap::new(),
            totals: KillTotals::default(),
            accounted,
        }
    }

    /// Applies a record; those up to `saved_seq` are in what was saved.
    pub(crate) fn record(&mut self, json: &[u8], saved_seq: u64) {
        let Ok(record) = serde_json::from_slice::<Value>(json) else { return };
        let seq = record.get("seq").and_then(Value::as_u64).unwrap_or_default();
        let kind = text(&record, "/type").unwrap_or_default();
        if kind == EventKind::OOM_KILL {
            let of_this_boot = text(&record, "/boot_id").unwrap_or_default() == self.boot_id;
            if of_this_boot && self.settled_seq.is_none_or(|settled| seq > settled) {
                self.accounted.told += 1;
                let tgid = record.pointer("/victim/tgid").and_then(Value::as_u64);
                self.accounted.tgids.extend(tgid.and_then(|tgid| u32::try_from(tgid).ok()));
            }
            if seq > saved_seq {
                self.totals.count(owner(&record));
                let path = text(&record, "/cgroup/path").map(CgroupPath::from_text);
                if let Some(known) = path.and_then(|path| self.cgroups.get_mut(&path)) {
                    known.oom_kills += 1;
                }
            }
        } else if seq > saved_seq {
            self.lifecycle(kind, &record);
        }
    }

    fn lifecycle(&mut self, kind: &str, record: &Value) {
        let Some(path) = text(record, "/cgroup/path").map(CgroupPath::from_text) else { return };
        let path_cut = record.pointer("/cgroup/path_cut").and_then(Value::as_bool).unwrap_or(false);
        // The path of one that was cut is that above.
        let cut_below = |above: &CgroupPath| key(record).map(|key| above.join(cut_name(key).as_bytes()));
        let path = if path_cut { cut_below(&path) } else { Some(path) };
        let Some(path) = path else { return };
        match kind {
            "cgroup_created" => {
                let before = text(record, "/renamed_from").map(CgroupPath::from_text);
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
            "container_started" | "container_exited" => {
                if let Some(known) = self.cgroups.get_mut(&path) {
                    known.running = Some(kind == "container_started");
                }
            }
            _ => {}
        }
    }
}

fn key(record: &Value) -> Option<CgroupKey> {
    let hierarchy = record.pointer("/cgroup/hierarchy")?.as_u64()?;
    let id = record.pointer("/cgroup/id")?.as_u64()?;
    Some(CgroupKey { hierarchy: HierarchyId(u32::try_from(hierarchy).ok()?), id })
}

fn owner(record: &Value) -> Owner {
    let owned = |at: &str| text(record, at).map(str::to_owned);
    Owner {
        namespace: owned("/container/pod/namespace"),
        pod: owned("/container/pod/uid"),
        container: owned("/container/id"),
        constraint: owned("/constraint"),
        limit_owner: owned("/limit_owner/kind"),
    }
}

fn text<'a>(record: &'a Value, at: &str) -> Option<&'a str> {
    record.pointer(at)?.as_str()
}
