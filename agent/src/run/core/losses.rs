//! What was lost between the kernel and the agent: counted, told in the stream, settled by a walk.

use std::time::SystemTime;

use super::Core;
use crate::events::EventDraft;
use crate::kernel::KernelError;
use crate::model::{EventKind, EventNames, Hook, Source};

impl Core {
    pub(super) fn check_batch(&mut self, missing: u64, broken: &[KernelError]) {
        for error in broken {
            tracing::error!(%error, "a kernel record cannot be understood");
        }
        if missing > 0 {
            self.check_drops();
        }
        if !broken.is_empty() {
            self.lost(broken.len() as u64, self.state.facts.lifecycle_source);
        }
    }

    /// The programs count what they dropped; whatever is new is told once per ring and settled by a walk.
    pub(super) fn check_drops(&mut self) {
        let mut fresh = [(Hook::CgroupMkdir, 0), (Hook::MarkVictim, 0)];
        for (hook, told) in Hook::ALL.into_iter().zip(&mut self.told_drops) {
            if hook == Hook::SchedProcessExit {
                // Only an early word: what it is of is told by the others.
                continue;
            }
            let is_read =
                if hook == Hook::MarkVictim { self.oom.is_some() } else { self.lifecycle.is_some() };
            if !is_read {
                // A ring without a reader fills up once and drops for ever; that was told when its reader went.
                continue;
            }
            let dropped = self.state.dropped_of(hook);
            let [lifecycle, oom] = &mut fresh;
            let sum = if hook == Hook::MarkVictim { oom } else { lifecycle };
            sum.1 += dropped.saturating_sub(*told);
            *told = dropped;
        }
        for (hook, records) in fresh.into_iter().filter(|(_, records)| *records > 0) {
            self.lost(records, self.state.facts.rung(hook).unwrap_or(Source::Agent));
        }
    }

    pub(super) fn lost(&mut self, records: u64, source: Source) {
        self.state.telemetry.lost_records.inc_by(records);
        let kind = EventKind::KernelLost { records };
        self.state.events.append(EventDraft {
            time: SystemTime::now(),
            source,
            cgroup: None,
            identity: None,
            names: EventNames::default(),
            kind,
        });
        self.walks.want();
    }
}
