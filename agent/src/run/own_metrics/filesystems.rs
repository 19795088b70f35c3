//! The agent's own metrics of reading file systems.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

use super::{Maker, raise, set};
use crate::snapshot::Progress;

/// Mounts that hang, and looks at what containers write.
pub(super) struct FilesystemMetrics {
    hung: IntGauge,
    looks: IntCounterVec,
    cut: IntCounter,
    entries: IntCounter,
}

impl FilesystemMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            hung: make.gauge(
                "cgtap_hung_filesystems",
                "Mounts that were asked how full they are and have not answered yet; they have no series meanwhile.",
            )?,
            looks: make.keep(IntCounterVec::new(
                Opts::new("cgtap_container_fs_looks_total", "Looks at what a container has written, by how."),
                &["by"],
            )?)?,
            cut: make.counter(
                "cgtap_container_fs_cut_walks_total",
                "Walks of a container's files that left something out, as it could not be read or was too much.",
            )?,
            entries: make
                .counter("cgtap_container_fs_walked_entries_total", "Files and directories walked over.")?,
        })
    }

    pub(super) fn set(&self, progress: Progress) {
        set(&self.hung, progress.hung_filesystems);
        let usage = progress.usage;
        raise(&self.looks.with_label_values(&["quota"]), usage.quotas);
        raise(&self.looks.with_label_values(&["walk"]), usage.walks);
        raise(&self.cut, usage.cut);
        raise(&self.entries, usage.entries);
    }
}
