//! What was before this start: how the last agent ended, and what it knew, from its files and the end of its log.

use std::collections::HashSet;
use std::io;

use super::replay::Replay;
use super::saved::{SavedAgent, Settled, StateDir};
use super::saver::Saver;
use crate::config::{Config, options};
use crate::events::EventLog;
use crate::files::{self, HostRoot};
use crate::kills::totals::KillTotals;
use crate::model::{Hook, Machine, StartReason};
use crate::registry::KnownCgroup;
use crate::run::RunError;

/// The log and what was before, at the beginning of an agent.
pub(crate) struct Begun {
    pub(crate) events: EventLog,
    pub(crate) history: History,
    pub(crate) machine: Machine,
    pub(crate) saver: Saver,
}

/// Opens the log and reads what was before. Blocks.
///
/// # Errors
/// When another agent writes in the state directory. One that cannot be written is no error.
pub(crate) fn begin(config: &Config) -> Result<Begun, RunError> {
    let host = HostRoot::new(&config.host_root);
    let machine = files::machine(&host, false);
    let boot_id = machine.boot_id.clone().unwrap_or_default();
    let dir = StateDir::lock(&config.state_dir)
        .map_err(|_taken| RunError::StateDirTaken { dir: config.state_dir.clone() })?;
    let events = open_log(config, &dir, &boot_id)?;
    let history = History::read(&dir, &events, &boot_id);
    // Kills count from here on where nobody has counted before.
    let kernel_kills = files::oom_kills(&host).ok().flatten();
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
    let agent = SavedAgent { boot_id, running: true, settled, told_drops };
    let saver = Saver::new(dir, events.clone(), agent);
    Ok(Begun { events, history, machine, saver })
}

/// For an agent that leaves nothing behind and knows of none before.
pub(crate) fn nothing(config: &Config) -> Begun {
    let events = EventLog::new(config.event_memory_records);
    let saver = Saver::new(StateDir::unlocked(&config.state_dir), events.clone(), SavedAgent::default());
    let machine = files::machine(&HostRoot::new(&config.host_root), false);
    Begun { events, history: History::default(), machine, saver }
}

fn open_log(config: &Config, dir: &StateDir, boot_id: &str) -> io::Result<EventLog> {
    EventLog::on_disk(config.event_memory_records, options::event_log(config, dir.events()), boot_id)
}

/// What was before.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Why this agent begins; `None` where nothing tells it.
    pub(crate) reason: Option<StartReason>,
    /// The cgroups that the last agent knew.
    pub(crate) cgroups: Vec<KnownCgroup>,
    /// Whether those are all. An agent that crashed before it had saved them has left what its log says: that is of those
    /// that came while it ran.
    pub(crate) knows_all: bool,
    /// Kills on this node, as long as the state directory lives.
    pub(crate) totals: KillTotals,
    /// What the log accounts for of this boot's kills; `None` when nobody watched them before.
    pub(crate) kills: Option<Accounted>,
    /// What was told as lost of what programs have dropped that are still attached.
    pub(crate) told_drops: [u64; Hook::ALL.len()],
}

/// Kills of this boot that the log tells of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accounted {
    /// The kernel's count when nothing was missing.
    pub(crate) kernel_kills: u64,
    /// Kills that were told since.
    pub(crate) told: u64,
    /// Their processes, where those are known.
    pub(crate) tgids: HashSet<u32>,
    /// The kernel log is of interest behind this record.
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
            kills: watched.then_some(replay.accounted),
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
