//! What one agent leaves for the next beside the event log: two small JSON files in the state directory.
//!
//! `agent.json` says how the last agent ended, and up to where the log accounts for the kernel's count of OOM kills.
//! `cgroups.json` holds the cgroups, and the totals of OOM kills, as of one number of the log; the records of the log after that
//! number bring them up to date. Both are replaced whole, so a crash leaves the old one or the new one, and neither is written
//! before the log has on disk what it refers to.
//!
//! `agent.end` is the next `agent.json` of an agent that ends in order. It is written in advance, so that the end needs no room on
//! the disk.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::durable::{self, read_file, replace_file};
use crate::kills::totals::KillTotals;
use crate::model::{CgroupPath, CgroupRef};
use crate::registry::KnownCgroup;

const AGENT: &str = "agent.json";
const END: &str = "agent.end";
const CGROUPS: &str = "cgroups.json";
/// Far more than the cgroups of any node need.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// How an agent runs or ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedAgent {
    /// Of the boot in which it ran. A file without it is broken.
    pub(crate) boot_id: String,
    /// Whether it has not ended in order.
    #[serde(default)]
    pub(crate) running: bool,
    /// The names in the file are those of older versions.
    #[serde(default, rename = "settled")]
    pub(crate) checkpoint: Option<SavedCheckpoint>,
    /// Records that the programs have dropped and that were reported as lost, per hook.
    #[serde(default, rename = "told_drops")]
    pub(crate) reported_drops: Vec<u64>,
}

/// At this point the log of events had all OOM kills that the kernel had counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedCheckpoint {
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
    pub(crate) cgroups: Vec<KnownCgroup>,
    pub(crate) kills: KillTotals,
}

impl SavedCgroups {
    /// As the log of events has it: for its readers, an exit that is held back has not happened.
    pub(crate) fn new<'a>(
        seq: u64,
        known: impl Iterator<Item = KnownCgroup>,
        unreported_exits: impl Iterator<Item = &'a CgroupRef>,
        kills: KillTotals,
    ) -> Self {
        let mut known: BTreeMap<CgroupPath, KnownCgroup> =
            known.map(|known| (known.path.clone(), known)).collect();
        for CgroupRef { path, key, .. } in unreported_exits {
            let gone = || KnownCgroup::new(path.clone(), false, *key, true);
            known.entry(path.clone()).or_insert_with(gone).running = Some(true);
        }
        Self { seq, cgroups: known.into_values().collect(), kills }
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
    /// Waits a moment for another agent to end, unless this one is to end first. A directory that cannot be made or opened is not
    /// locked, as nothing can be written there either.
    pub(crate) fn lock(path: &Path, is_over: impl Fn() -> bool) -> Result<Self, Taken> {
        let opened = fs::create_dir_all(path).and_then(|()| File::open(path));
        let Ok(file) = opened else { return Ok(Self::unlocked(path)) };
        match durable::lock(&file, is_over) {
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

    /// For messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn agent(&self) -> Option<SavedAgent> {
        self.load(AGENT)
    }

    pub(crate) fn cgroups(&self) -> Option<SavedCgroups> {
        self.load(CGROUPS)
    }

    pub(crate) fn save_agent(&self, agent: &SavedAgent) -> io::Result<()> {
        if agent.running {
            self.save(END, &SavedAgent { running: false, ..agent.clone() })?;
        }
        self.save(AGENT, agent)
    }

    /// Notes that the agent that saved last ends in order. All else that it saved stays.
    pub(crate) fn note_end(&self) -> io::Result<()> {
        fs::rename(self.path.join(END), self.path.join(AGENT))
    }

    pub(crate) fn save_cgroups(&self, cgroups: &SavedCgroups) -> io::Result<()> {
        self.save(CGROUPS, cgroups)
    }

    /// `None` when there is none. One that cannot be read is as good as none, and logged.
    fn load<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = self.path.join(name);
        let text = match read_file(&path, MAX_FILE_BYTES) {
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
    use crate::model::{CgroupKey, HierarchyId};

    #[test]
    fn what_is_saved_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::lock(&folder.path().join("made"), || false).unwrap();
        assert_eq!((dir.agent(), dir.cgroups()), (None, None));
        let checkpoint = Some(SavedCheckpoint { kernel_kills: 3, seq: 9, log_sequence: Some(7) });
        let reported_drops = vec![1, 2];
        let agent = SavedAgent { boot_id: "b".to_owned(), running: true, checkpoint, reported_drops };
        dir.save_agent(&agent).unwrap();
        let known = KnownCgroup {
            path: CgroupPath::from_bytes(b"/a\xff"),
            path_cut: true,
            members: vec![CgroupKey { hierarchy: HierarchyId(4), id: 5 }],
            running: Some(true),
            oom_kills: 3,
            kills_before: 0,
        };
        let cgroups = SavedCgroups { seq: 8, cgroups: vec![known.clone()], kills: KillTotals::default() };
        dir.save_cgroups(&cgroups).unwrap();
        assert_eq!((dir.agent(), dir.cgroups()), (Some(agent), Some(cgroups.clone())));
        assert_eq!(cgroups.cgroups[0], known);
    }

    /// As versions before this one wrote it.
    #[test]
    fn the_form_of_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::unlocked(folder.path());
        let text = r#"{"boot_id":"b","running":true,"settled":{"kernel_kills":3,"seq":9,"log_sequence":null},"told_drops":[1,0]}"#;
        fs::write(folder.path().join(AGENT), text).unwrap();
        dir.save_agent(&dir.agent().unwrap()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join(AGENT)).unwrap(), text);
        dir.note_end().unwrap();
        let ended = text.replace("true", "false");
        assert_eq!(fs::read_to_string(folder.path().join(AGENT)).unwrap(), ended);
    }

    #[test]
    fn what_is_damaged_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::unlocked(folder.path());
        for text in ["", "{", "7", "{\"boot_id\":\"x\",\"running\":7}", "{\"running\":true}"] {
            fs::write(folder.path().join(AGENT), text).unwrap();
            assert_eq!(dir.agent(), None, "{text:?}");
        }
        fs::remove_file(folder.path().join(AGENT)).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join(AGENT), rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(dir.agent(), None, "it would wait for a writer");
        fs::remove_file(folder.path().join(AGENT)).unwrap();
        // A later agent may save more.
        fs::write(folder.path().join(AGENT), r#"{"boot_id":"x","later":1}"#).unwrap();
        assert_eq!(dir.agent().unwrap().boot_id, "x");
    }
}
