//! What was before this start: how the last agent ended, and what it knew, from its files and the end of its log.

use std::sync::Arc;

use super::replay::Replay;
use super::saved::{SavedAgent, SavedCheckpoint, StateDir};
use super::saver::Saver;
use crate::events::EventLog;
use crate::model::{Checkpoint, StartReason};
use crate::story::Past;
use crate::telemetry::Telemetry;

/// Records before the last checkpoint that are read too: the kernel may mark another thread of a process that they report.
const EARLIER_RECORDS: u64 = 1000;

/// Reads what the last agent left, and begins what is left to the next. `kernel_kills` is the kernel's count; where no agent has
/// counted kills before, they count from `now` on. Blocks.
pub(crate) fn open(
    dir: StateDir,
    events: &EventLog,
    boot_id: &str,
    telemetry: &Arc<Telemetry>,
    kernel_kills: Option<u64>,
    now: impl FnOnce() -> Option<Checkpoint>,
) -> (Past, Saver) {
    let last_seq = events.last_seq();
    // Without the boot's id it is not known of which boot it is.
    let agent = dir.agent().filter(|agent| agent.boot_id.is_empty() == boot_id.is_empty());
    let cgroups = dir.cgroups();
    let reason = reason(agent.as_ref(), last_seq, boot_id);
    let is_new_boot = reason == Some(StartReason::Reboot);
    let saved = agent.as_ref().and_then(|agent| agent.checkpoint).filter(|_| !is_new_boot);
    // A file that is broken, or a machine that went back to a snapshot: the kernel counts no kill back.
    let saved = saved.filter(|saved| kernel_kills.is_none_or(|kills| saved.kernel_kills <= kills));
    // In a new boot the kernel counts from 0, and its log begins.
    let at_boot = SavedCheckpoint { seq: last_seq, kernel_kills: 0, log_sequence: Some(0) };
    let counted = saved.or(is_new_boot.then_some(at_boot));
    let first = if counted.is_none() { now() } else { None };
    let (knows_all, is_new) = (cgroups.is_some(), last_seq == 0);
    let mut replay = Replay::new(boot_id, saved, cgroups.unwrap_or_default());
    let from_seq = replay.saved_seq().saturating_sub(EARLIER_RECORDS);
    events.replay(from_seq, |record| replay.record(record));
    let no_kills = first.is_none_or(|first| first.kernel_kills == 0);
    let left = [
        ("agent.json", is_new || no_kills),
        ("cgroups.json", is_new || knows_all),
        ("events", replay.is_whole(last_seq)),
    ];
    let cgroups = replay.cgroups.into_values().collect();
    let (cgroups, gone) = if is_new_boot { (Vec::new(), cgroups) } else { (cgroups, Vec::new()) };
    let saved_drops = agent.map(|agent| agent.reported_drops).unwrap_or_default();
    let past = Past {
        reason,
        cgroups,
        gone,
        knows_all,
        is_incomplete: lacks_something(&dir, &left),
        totals: replay.totals,
        ledger: counted.map(|_| replay.ledger),
        log_sequence: counted.and_then(|counted| counted.log_sequence),
        reported_drops: std::array::from_fn(|hook| saved_drops.get(hook).copied().unwrap_or_default()),
    };
    let agent = SavedAgent {
        boot_id: boot_id.to_owned(),
        running: true,
        checkpoint: counted,
        reported_drops: past.reported_drops.to_vec(),
    };
    let mut saver = Saver::new(dir, events.clone(), agent, telemetry.clone());
    first.into_iter().for_each(|first| saver.checkpoint(first));
    (past, saver)
}

/// Logs what is not there and must have been left.
fn lacks_something(dir: &StateDir, left: &[(&str, bool)]) -> bool {
    let lacks: Vec<&str> = left.iter().filter(|(_, is_left)| !is_left).map(|(name, _)| *name).collect();
    if !lacks.is_empty() {
        tracing::warn!(
            state_dir = %dir.path().display(),
            ?lacks,
            "what the last agent left is not whole: events of the time without an agent may be missing"
        );
    }
    !lacks.is_empty()
}

fn reason(agent: Option<&SavedAgent>, last_seq: u64, boot_id: &str) -> Option<StartReason> {
    match agent {
        Some(agent) if agent.boot_id != boot_id => Some(StartReason::Reboot),
        Some(agent) if agent.running => Some(StartReason::Crash),
        Some(_) => Some(StartReason::Restart),
        None if last_seq == 0 => Some(StartReason::FirstStart),
        // There is a log, and no file about the end of its agent.
        None => None,
    }
}

#[cfg(test)]
mod tests;
