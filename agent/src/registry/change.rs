//! Changes of the set of cgroups, which become events for users.

use std::sync::Arc;
use std::time::SystemTime;

use crate::model::{CgroupKey, CgroupPath, CgroupRef, EventKind, Identity, Source};

/// Changes that one event or walk leads to: when they happened, and who reported them.
#[derive(Debug)]
pub(super) struct News {
    pub(super) time: SystemTime,
    pub(super) source: Source,
    pub(super) changes: Vec<Change>,
}

impl News {
    pub(super) fn new(time: SystemTime, source: Source) -> Self {
        Self { time, source, changes: Vec::new() }
    }

    pub(super) fn push(
        &mut self,
        kind: ChangeKind,
        path: &CgroupPath,
        path_cut: bool,
        key: CgroupKey,
        identity: &Arc<Identity>,
    ) {
        // Users see a cut path as the kernel gave it, without the key that makes it unique here.
        let shown = path.parent().filter(|_| path_cut).unwrap_or_else(|| path.clone());
        let cgroup = CgroupRef { path: shown, key: Some(key), path_cut };
        let (time, source, identity) = (self.time, self.source, identity.clone());
        self.changes.push(Change { time, source, cgroup, identity, kind });
    }
}

/// A change of the set of cgroups.
#[derive(Clone, Debug)]
pub struct Change {
    /// When it happened.
    pub time: SystemTime,
    /// Who reported it.
    pub source: Source,
    pub cgroup: CgroupRef,
    pub identity: Arc<Identity>,
    pub kind: ChangeKind,
}

/// What happened to a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Its first directory was created, or moved to its path.
    CgroupCreated {
        /// The path that it had before.
        renamed_from: Option<CgroupPath>,
    },
    /// Its last directory was removed.
    CgroupRemoved,
    /// A container's first process started.
    ContainerStarted,
    /// A container's last process ended.
    ContainerExited,
}

impl From<ChangeKind> for EventKind {
    fn from(kind: ChangeKind) -> Self {
        match kind {
            ChangeKind::CgroupCreated { renamed_from } => Self::CgroupCreated { renamed_from },
            ChangeKind::CgroupRemoved => Self::CgroupRemoved,
            ChangeKind::ContainerStarted => Self::ContainerStarted,
            ChangeKind::ContainerExited => Self::ContainerExited { last_sample: None },
        }
    }
}
