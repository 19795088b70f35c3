//! What was before this start: how the last agent ended, and what it knew, from its files and the end of its log.

use super::replay::Replay;
use super::saved::{SavedAgent, Settled, StateDir};
use super::saver::Saver;
use crate::events::EventLog;
use crate::kills::Ledger;
use crate::kills::totals::KillTotals;
use crate::model::{Hook, StartReason};
use crate::registry::KnownCgroup;

/// What was before, and what is left for the next agent.
pub(crate) struct Past {
    pub(crate) history: History,
    pub(crate) saver: Saver,
}

/// Reads what the last agent left. `kernel_kills` is the kernel's count of kills now, from which on kills count where no agent
/// has counted before. Blocks.
pub(crate) fn open(dir: StateDir, events: &EventLog, boot_id: &str, kernel_kills: Option<u64>) -> Past {
    let history = History::read(&dir, events, boot_id);
    let settled = match &history.kills {
        Some(_) => dir
            .agent()
            .filter(|agent| agent.boot_id == boot_id)
            .and_then(|agent| agent.settled)
            .or(Some(Settled { seq: events.last_seq(), kernel_kills: 0, log_sequence: Some(0) })),
        None => kernel_kills.map(|kernel_kills| Settled {
            kernel_kills,
            seq: events.last_seq(),
            log_sequence: None,
        }),
    };
    let told_drops = history.told_drops.to_vec();
    let agent = SavedAgent { boot_id: boot_id.to_owned(), running: true, settled, told_drops };
    let saver = Saver::new(dir, events.clone(), agent);
    Past { history, saver }
}

/// What was before.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Why this agent begins; `None` where nothing shows it.
    pub(crate) reason: Option<StartReason>,
    /// The cgroups that the last agent knew.
    pub(crate) cgroups: Vec<KnownCgroup>,
    /// False when the last agent crashed before its first save: `cgroups` then holds only those that its log mentions.
    pub(crate) knows_all: bool,
    /// Kills on this node, for as long as the state directory lives.
    pub(crate) totals: KillTotals,
    /// Kills of this boot that the log of events has; `None` when no agent watched for them before.
    pub(crate) kills: Option<PastKills>,
    /// Drops of programs that are still attached, as far as they were reported.
    pub(crate) told_drops: [u64; Hook::ALL.len()],
}

/// Kills of this boot that earlier agents have reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PastKills {
    pub(crate) ledger: Ledger,
    /// The kernel log is of interest after this record.
    pub(crate) log_sequence: Option<u64>,
}

impl History {
    /// Reads the files and the end of the log. Blocks.
    pub(crate) fn read(dir: &StateDir, events: &EventLog, boot_id: &str) -> Self {
        let agent = dir.agent();
        let reason = reason(agent.as_ref(), events.last_seq(), boot_id);
        let saved = dir.cgroups();
        let same_boot = agent.as_ref().is_some_and(|agent| agent.boot_id == boot_id);
        let settled = agent.as_ref().and_then(|agent| agent.settled).filter(|_| same_boot);
        let knows_all = saved.is_some();
        let saved_seq = saved.as_ref().map_or(0, |saved| saved.seq);
        let mut replay = Replay::new(boot_id, settled);
        let saved = saved.unwrap_or_default();
        replay.totals = saved.kills;
        replay.cgroups.extend(
            saved.cgroups.into_iter().map(KnownCgroup::from).map(|known| (known.path.clone(), known)),
        );
        let from = settled.map_or(saved_seq, |settled| saved_seq.min(settled.seq));
        let whole = events.replay(from, |record| replay.record(record, saved_seq));
        if !whole {
            tracing::warn!(
                from_seq = from,
                "a part of the event log is gone; what it told of is not known any more"
            );
        }
        let watched = agent.as_ref().is_some_and(|agent| agent.settled.is_some() || agent.boot_id != boot_id);
        // The kernel's log begins with its boot.
        let log_sequence = settled.map_or(Some(0), |settled| settled.log_sequence);
        let mut told_drops = [0; Hook::ALL.len()];
        let saved = agent.as_ref().map(|agent| agent.told_drops.as_slice()).unwrap_or_default();
        for (told, saved) in told_drops.iter_mut().zip(saved) {
            *told = *saved;
        }
        Self {
            reason,
            cgroups: replay.cgroups.into_values().collect(),
            knows_all,
            totals: replay.totals,
            kills: watched.then_some(PastKills { ledger: replay.ledger, log_sequence }),
            told_drops,
        }
    }
}

fn reason(agent: Option<&SavedAgent>, last_seq: u64, boot_id: &str) -> Option<StartReason> {
    match agent {
        Some(agent) if agent.boot_id != boot_id => Some(StartReason::Reboot),
        Some(agent) if agent.running => Some(StartReason::Crash),
        Some(_) => Some(StartReason::Restart),
        None if last_seq == 0 => Some(StartReason::FirstStart),
        // There is a log, and nothing that says how its agent ended.
        None => None,
    }
}

#[cfg(test)]
mod tests;
