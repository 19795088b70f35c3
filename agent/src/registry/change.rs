//! What users are told of.

use std::sync::Arc;
use std::time::SystemTime;

use crate::model::{CgroupKey, CgroupPath, CgroupRef, EventKind, Identity, Source};

/// When and how something was learnt.
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
    /// What told of it.
    pub source: Source,
    /// Which cgroup.
    pub cgroup: CgroupRef,
    /// Whose cgroup.
    pub identity: Arc<Identity>,
    /// What happened.
    pub kind: ChangeKind,
}

/// What happened to a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Its first directory was made, or moved to its path.
    CgroupCreated {
        /// The path that it had before.
        renamed_from: Option<CgroupPath>,
    },
    /// Its last directory is gone.
    CgroupRemoved,
    /// A container's first process came.
    ContainerStarted,
    /// A container's last process went.
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
        // Users see the cut path as the kernel gave it, without the key that makes it unique here.
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
