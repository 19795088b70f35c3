//! What the event path shares with the rest of the agent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::events::EventLog;
use crate::identity::Names;
use crate::kernel::CounterReader;
use crate::kills::totals::KillTotals;
use crate::model::{Hook, HostFacts};
use crate::registry::Registry;
use crate::snapshot::AgentView;
use crate::telemetry::Telemetry;

/// What was found at the start, and what is shared.
pub(super) struct State {
    pub(super) facts: Arc<HostFacts>,
    pub(super) registry: Arc<Mutex<Registry>>,
    pub(super) events: EventLog,
    /// What containers are called.
    pub(super) names: Arc<Names>,
    pub(super) telemetry: Arc<Telemetry>,
    /// The counters of the BPF programs.
    pub(super) programs: Option<Arc<CounterReader>>,
    /// OOM kills by whose they were, for as long as the state directory lives.
    pub(super) totals: Mutex<KillTotals>,
    pub(super) began: Instant,
}

impl State {
    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the program of a hook dropped; `None` where nothing counts, or the count cannot be read now.
    pub(super) fn dropped_of(&self, hook: Hook) -> Option<u64> {
        let read = self.programs.as_ref().map(|programs| programs.read(hook));
        Some(read?.ok()?.dropped)
    }

    pub(super) fn totals(&self) -> MutexGuard<'_, KillTotals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same for those who serve it.
    pub(super) fn view(&self) -> AgentView {
        AgentView {
            facts: self.facts.clone(),
            registry: self.registry.clone(),
            names: self.names.clone(),
            events: self.events.clone(),
            programs: self.programs.clone(),
            telemetry: self.telemetry.clone(),
        }
    }
}
