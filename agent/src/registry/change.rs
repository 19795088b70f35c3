//! Changes of the set of cgroups, which become events for users.

use std::sync::Arc;
use std::time::SystemTime;

use crate::model::{CgroupKey, CgroupPath, CgroupRef, EventKind, Identity, Source};

/// When a change happened, and who reported it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) time: SystemTime,
    pub(super) source: Source,
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

impl Change {
    pub(super) fn new(
        kind: ChangeKind,
        origin: Origin,
        path: &CgroupPath,
        path_cut: bool,
        key: CgroupKey,
        identity: &Arc<Identity>,
    ) -> Self {
        // Users see a cut path as the kernel gave it, without the key that makes it unique here.
        let shown = if path_cut { path.parent().unwrap_or_else(|| path.clone()) } else { path.clone() };
        let cgroup = CgroupRef { path: shown, key: Some(key), path_cut };
        Self { time: origin.time, source: origin.source, cgroup, identity: identity.clone(), kind }
    }
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
