//! What the next agent must know about the cgroups.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::change::News;
use super::{Change, ChangeKind, Registry};
use crate::identity::identify;
use crate::model::{CgroupKey, CgroupPath, HierarchyId, Source};

/// What one agent leaves to the next about one cgroup, also in the form of `cgroups.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownCgroup {
    /// Its path. If the kernel cut it: the parent's path with [`cut_name`].
    #[serde(serialize_with = "path_text", deserialize_with = "path_of_text")]
    pub path: CgroupPath,
    /// Whether only the parent's path is known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path_cut: bool,
    /// Its directories. Events name the first one. On disk: hierarchy and id of each.
    #[serde(serialize_with = "pairs", deserialize_with = "keys_of_pairs")]
    pub members: Vec<CgroupKey>,
    /// Whether processes ran in it, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
    /// OOM kills of its own processes that were reported.
    #[serde(default, skip_serializing_if = "is_default")]
    pub oom_kills: u64,
    /// By how much the kernel's count of its directory is greater than `oom_kills` when all were reported: what was before the first
    /// report, less what earlier directories of this path had.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kills_before: i64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn path_text<S: Serializer>(path: &CgroupPath, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_text())
}

fn path_of_text<'de, D: Deserializer<'de>>(from: D) -> Result<CgroupPath, D::Error> {
    Ok(CgroupPath::from_text(&String::deserialize(from)?))
}

fn pairs<S: Serializer>(keys: &[CgroupKey], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(keys.iter().map(|key| (key.hierarchy.0, key.id)))
}

fn keys_of_pairs<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<CgroupKey>, D::Error> {
    let key = |(hierarchy, id)| CgroupKey { hierarchy: HierarchyId(hierarchy), id };
    Ok(Vec::deserialize(from)?.into_iter().map(key).collect())
}

/// The name of a cgroup whose own name the kernel cut: its key, because the cut path is not unique.
pub fn cut_name(key: CgroupKey) -> String {
    format!("#{}:{}", key.hierarchy.0, key.id)
}

impl KnownCgroup {
    /// A cgroup without kills.
    pub fn new(path: CgroupPath, path_cut: bool, key: Option<CgroupKey>, running: bool) -> Self {
        let members = key.into_iter().collect();
        Self { path, path_cut, members, running: Some(running), oom_kills: 0, kills_before: 0 }
    }

    /// The changes after a reboot: every known cgroup is gone, children before their parents.
    pub fn all_gone(mut known: Vec<Self>, time: SystemTime) -> Vec<Change> {
        known.sort_unstable_by(|a, b| b.path.cmp(&a.path));
        let mut news = News::new(time, Source::Recovered);
        for Self { path, path_cut, members, running, .. } in known {
            let Some(key) = members.first().filter(|_| !path.is_root()) else { continue };
            let identity = Arc::new(identify(&path));
            if identity.is_container() && running == Some(true) {
                news.push(ChangeKind::ContainerExited, &path, path_cut, *key, &identity);
            }
            news.push(ChangeKind::CgroupRemoved, &path, path_cut, *key, &identity);
        }
        news.changes
    }
}

impl Registry {
    /// Takes over what the previous agent knew; must come before any other input. A cgroup that the first walk does not
    /// find was removed between the two agents.
    pub fn restore(&mut self, known: impl IntoIterator<Item = KnownCgroup>) {
        for KnownCgroup { path, path_cut, members, running, oom_kills, kills_before } in known {
            for key in members {
                self.add(key, path.clone(), path_cut, None);
            }
            if let Some(cgroup) = self.cgroups.get_mut(&path) {
                cgroup.running = running;
                (cgroup.oom_kills, cgroup.kills_before) = (oom_kills, kills_before);
            }
        }
    }

    /// Every cgroup as the next agent must know it.
    pub fn known(&self) -> impl Iterator<Item = KnownCgroup> {
        let is_cut = |key: &CgroupKey| self.nodes.get(key).is_some_and(|node| node.path_cut);
        self.cgroups.iter().map(move |(path, cgroup)| KnownCgroup {
            path: path.clone(),
            path_cut: cgroup.members.iter().any(is_cut),
            members: cgroup.members.clone(),
            running: cgroup.running,
            oom_kills: cgroup.oom_kills,
            kills_before: cgroup.kills_before,
        })
    }

    /// Notes how many of the kernel's OOM kills happened before the first agent.
    pub fn kills_before(&mut self, counts: &HashMap<CgroupPath, u64>) {
        for (path, count) in counts {
            if let Some(cgroup) = self.cgroups.get_mut(path) {
                cgroup.kills_before = count.cast_signed().saturating_sub(cgroup.oom_kills.cast_signed());
            }
        }
    }

    /// Cgroups with fewer reported kills than the kernel has counted, and how many are missing.
    pub fn kills_unreported(&self, counts: &HashMap<CgroupPath, u64>) -> Vec<(CgroupPath, u64)> {
        let unreported = |(path, count): (&CgroupPath, &u64)| {
            let cgroup = self.cgroups.get(path)?;
            let reported = cgroup.oom_kills.saturating_add_signed(cgroup.kills_before);
            let missing = count.saturating_sub(reported);
            (missing > 0).then(|| (path.clone(), missing))
        };
        let mut unreported: Vec<(CgroupPath, u64)> = counts.iter().filter_map(unreported).collect();
        unreported.sort_unstable();
        unreported
    }
}
