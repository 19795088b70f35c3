//! What one agent leaves for the next beside the event log: two small JSON files in the state directory.
//!
//! `agent.json` says how the last agent ended, and up to where the log accounts for the kernel's count of OOM kills.
//! `cgroups.json` holds the cgroups, and the totals of OOM kills, as of one number of the log; what the log has behind
//! it brings them up to date. Both are replaced whole, so a crash leaves the old one or the new one, and neither is
//! written before the log has on disk what it refers to.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::durable::{self, replace_file};
use crate::kills::totals::KillTotals;
use crate::model::{CgroupKey, CgroupPath, HierarchyId};
use crate::registry::KnownCgroup;

const AGENT: &str = "agent.json";
const CGROUPS: &str = "cgroups.json";

/// How an agent runs or ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedAgent {
    /// Of the boot in which it ran.
    pub(crate) boot_id: String,
    /// Whether it has not ended in order.
    pub(crate) running: bool,
    pub(crate) settled: Option<Settled>,
    /// Of what the programs have dropped so many were told as lost, per hook.
    pub(crate) told_drops: Vec<u64>,
}

/// At this point the log told of all OOM kills that the kernel had counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settled {
    /// `oom_kill` of `/proc/vmstat`.
    pub(crate) kernel_kills: u64,
    /// The newest event then.
    pub(crate) seq: u64,
    /// The last record of the kernel log that was read, where it is read.
    pub(crate) log_sequence: Option<u64>,
}

/// The cgroups and the totals at one number of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedCgroups {
    pub(crate) seq: u64,
    pub(crate) cgroups: Vec<SavedCgroup>,
    pub(crate) kills: KillTotals,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedCgroup {
    /// As events have it.
    path: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    path_cut: bool,
    /// Hierarchy and id of each directory.
    members: Vec<(u32, u64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<bool>,
    #[serde(default, skip_serializing_if = "is_zero")]
    oom_kills: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    kills_before: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde wants")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl From<KnownCgroup> for SavedCgroup {
    fn from(known: KnownCgroup) -> Self {
        Self {
            path: known.path.to_text().into_owned(),
            path_cut: known.path_cut,
            members: known.members.iter().map(|key| (key.hierarchy.0, key.id)).collect(),
            running: known.running,
            oom_kills: known.oom_kills,
            kills_before: known.kills_before,
        }
    }
}

impl From<SavedCgroup> for KnownCgroup {
    fn from(saved: SavedCgroup) -> Self {
        let key = |(hierarchy, id)| CgroupKey { hierarchy: HierarchyId(hierarchy), id };
        Self {
            path: CgroupPath::from_text(&saved.path),
            path_cut: saved.path_cut,
            members: saved.members.into_iter().map(key).collect(),
            running: saved.running,
            oom_kills: saved.oom_kills,
            kills_before: saved.kills_before,
        }
    }
}

/// The state directory, and the lock that makes it one agent's.
#[derive(Clone, Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    _lock: Option<Arc<File>>,
}

/// Another agent has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken;

impl StateDir {
    /// Waits a moment for another agent to end. A directory that cannot be made or opened is not locked, as nothing can be
    /// written there either.
    pub(crate) fn lock(path: &Path) -> Result<Self, Taken> {
        let opened = fs::create_dir_all(path).and_then(|()| File::open(path));
        let Ok(file) = opened else { return Ok(Self::unlocked(path)) };
        match durable::lock(&file) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: Some(Arc::new(file)) }),
            Err(TryLockError::WouldBlock) => Err(Taken),
            Err(TryLockError::Error(error)) => {
                tracing::warn!(path = %path.display(), %error, "the state directory cannot be locked");
                Ok(Self::unlocked(path))
            }
        }
    }

    pub(crate) fn unlocked(path: &Path) -> Self {
        Self { path: path.to_owned(), _lock: None }
    }

    /// Where the event log is.
    pub(crate) fn events(&self) -> PathBuf {
        self.path.join("events")
    }

    pub(crate) fn agent(&self) -> Option<SavedAgent> {
        self.load(AGENT)
    }

    pub(crate) fn cgroups(&self) -> Option<SavedCgroups> {
        self.load(CGROUPS)
    }

    pub(crate) fn save_agent(&self, agent: &SavedAgent) -> io::Result<()> {
        self.save(AGENT, agent)
    }

    pub(crate) fn save_cgroups(&self, cgroups: &SavedCgroups) -> io::Result<()> {
        self.save(CGROUPS, cgroups)
    }

    /// `None` when there is none. One that cannot be read is as good as none, and said.
    fn load<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = self.path.join(name);
        let text = match fs::read(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return None;
            }
            read => read,
        };
        let loaded = text
            .map_err(|error| error.to_string())
            .and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
        if let Err(error) = &loaded {
            tracing::warn!(path = %path.display(), error, "what the last agent left cannot be used");
        }
        loaded.ok()
    }

    fn save<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        replace_file(&self.path.join(name), &serde_json::to_vec(value)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::lock(&folder.path().join("made")).unwrap();
        assert_eq!((dir.agent(), dir.cgroups()), (None, None));
        let settled = Some(Settled { kernel_kills: 3, seq: 9, log_sequence: Some(7) });
        let agent = SavedAgent { boot_id: "b".to_owned(), running: true, settled, told_drops: vec![1, 2] };
        dir.save_agent(&agent).unwrap();
        let known = KnownCgroup {
            path: CgroupPath::from_bytes(b"/a\xff"),
            path_cut: true,
            members: vec![CgroupKey { hierarchy: HierarchyId(4), id: 5 }],
            running: Some(true),
            oom_kills: 3,
            kills_before: 0,
        };
        let cgroups =
            SavedCgroups { seq: 8, cgroups: vec![known.clone().into()], kills: KillTotals::default() };
        dir.save_cgroups(&cgroups).unwrap();
        assert_eq!((dir.agent(), dir.cgroups()), (Some(agent), Some(cgroups.clone())));
        assert_eq!(KnownCgroup::from(cgroups.cgroups[0].clone()), known);
    }

    #[test]
    fn what_is_damaged_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::unlocked(folder.path());
        for text in ["", "{", "7", "{\"running\":7}"] {
            fs::write(folder.path().join(AGENT), text).unwrap();
            assert_eq!(dir.agent(), None, "{text:?}");
        }
        // A later agent may say more.
        fs::write(folder.path().join(AGENT), r#"{"boot_id":"x","later":1}"#).unwrap();
        assert_eq!(dir.agent().unwrap().boot_id, "x");
    }
}
