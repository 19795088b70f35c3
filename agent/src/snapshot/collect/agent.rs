//! The agent itself: what its parts keep, for `/status` and for the own metrics that are copies.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::events::EventLog;
use crate::identity::Names;
use crate::kernel::CounterReader;
use crate::model::{
    DiskHealth, Hook, HookCounters, HookStatus, HostFacts, NamesStatus, OomKillCounts, SinkStatus, Status,
};
use crate::registry::Registry;
use crate::snapshot::LastMemory;
use crate::telemetry::{Telemetry, raise, set};

/// The parts of the agent that know something about it. Clones share them.
#[derive(Clone)]
pub struct AgentView {
    /// What was found at the start.
    pub facts: Arc<HostFacts>,
    /// The cgroups that exist.
    pub registry: Arc<Mutex<Registry>>,
    /// What containers are called.
    pub names: Arc<Names>,
    pub events: EventLog,
    /// The counters of the BPF programs, where any is attached.
    pub programs: Option<Arc<CounterReader>>,
    pub telemetry: Arc<Telemetry>,
    /// The memory of each cgroup at the last reading.
    pub memory: Arc<Mutex<Option<Arc<LastMemory>>>>,
}

impl AgentView {
    /// Everything that `/status` shows.
    pub fn status(&self) -> Status {
        let [cgroups, containers, tombstones] = self.sizes();
        let hooks = self.facts.hooks.iter();
        let ended = self.telemetry.ended.lock().clone();
        let facts = Arc::clone(&self.facts);
        Status {
            ready_after: self.telemetry.ready_after.get().copied(),
            hooks: hooks
                .map(|hook| HookStatus {
                    counters: self.counters_of(hook.hook).unwrap_or_default(),
                    ..hook.clone()
                })
                .collect(),
            cgroups,
            containers,
            tombstones,
            walks: self.telemetry.walks.get(),
            lost_records: self.telemetry.lost_records.get(),
            oom_kills: self.facts.kernel_counts_kills.then(|| OomKillCounts {
                reported: self.telemetry.oom_kills_reported.get(),
                unreported: self.telemetry.oom_kills_unreported.get(),
            }),
            last_seq: self.events.last_seq(),
            first_seq: self.events.first_seq(),
            event_disk: self.events.disk(),
            sinks: self.telemetry.sinks(),
            followers: self.events.followers(),
            names: self.names.status(),
            facts: if ended.is_empty() { facts } else { Arc::new(facts.without(&ended)) },
        }
    }

    /// The counters of one hook's program now; `None` when nothing counts, or the counts cannot be read now.
    pub fn counters_of(&self, hook: Hook) -> Option<HookCounters> {
        self.programs.as_ref()?.read(hook).ok()
    }

    /// Sets the metrics that do not change while the agent runs.
    pub(super) fn show_facts(&self) {
        let telemetry = &*self.telemetry;
        telemetry.build_info.with_label_values(&[self.facts.version]).set(1);
        for HookStatus { hook, rung, .. } in &self.facts.hooks {
            let form = rung.map_or("none", |rung| rung.as_str());
            telemetry.hook_attached.with_label_values(&[hook.as_str(), form]).set(i64::from(rung.is_some()));
        }
    }

    /// Copies into own metrics what the parts keep.
    pub(super) fn copy(&self) {
        let telemetry = &*self.telemetry;
        for hook in Hook::ALL {
            let HookCounters { seen, submitted, dropped } = self.counters_of(hook).unwrap_or_default();
            for (outcome, value) in [("seen", seen), ("submitted", submitted), ("dropped", dropped)] {
                raise(&telemetry.kernel_records.with_label_values(&[hook.as_str(), outcome]), value);
            }
        }
        let [cgroups, containers, tombstones] = self.sizes();
        set(&telemetry.cgroups, cgroups);
        set(&telemetry.containers, containers);
        set(&telemetry.tombstones, tombstones);
        raise(&telemetry.events, self.events.last_seq());
        set(&telemetry.event_followers, self.events.followers());
        if let Some(health) = self.events.disk() {
            copy_disk(telemetry, &health);
        }
        telemetry.sinks().iter().for_each(|sink| copy_sink(telemetry, sink));
        copy_names(telemetry, &self.names.status());
    }

    /// How many cgroups, containers and tombstones the registry has.
    fn sizes(&self) -> [u64; 3] {
        let registry = self.registry.lock();
        [registry.len(), registry.containers(), registry.tombstones().count() as u64]
    }
}

fn copy_disk(telemetry: &Telemetry, health: &DiskHealth) {
    telemetry.event_log_healthy.set(i64::from(health.failing.is_none()));
    set(&telemetry.event_log_segments, health.segments);
    set(&telemetry.event_log_bytes, health.bytes);
    raise(&telemetry.event_log_errors, health.errors);
    raise(&telemetry.event_log_unsaved_events, health.unsaved);
    raise(&telemetry.event_log_served_early_events, health.served_early);
    raise(&telemetry.event_log_cut_bytes, health.cut_bytes);
    raise(&telemetry.event_log_damaged_events, health.damaged);
}

fn copy_sink(telemetry: &Telemetry, sink: &SinkStatus) {
    for (outcome, events) in [("sent", sink.sent), ("dropped", sink.dropped), ("refused", sink.refused)] {
        raise(&telemetry.sink_events.with_label_values(&[sink.name.as_str(), outcome]), events);
    }
    raise(&telemetry.sink_retries.with_label_values(&[&sink.name]), sink.retried);
    raise(&telemetry.sink_cursor_errors.with_label_values(&[&sink.name]), sink.cursor_errors);
    set(&telemetry.sink_position.with_label_values(&[&sink.name]), sink.seq);
}

fn copy_names(telemetry: &Telemetry, names: &NamesStatus) {
    set(&telemetry.names_resolved, names.resolved);
    set(&telemetry.names_unresolved, names.unresolved);
    raise(&telemetry.names_dropped_labels, names.dropped_labels);
    raise(&telemetry.names_refused, names.refused);
    // A source that has not been asked has no value.
    telemetry.runtime_up.reset();
    for source in &names.sources {
        let labels = [source.source.as_str(), source.place.as_str()];
        if let Some(up) = source.up {
            telemetry.runtime_up.with_label_values(&labels).set(i64::from(up));
            raise(&telemetry.runtime_errors.with_label_values(&labels), source.errors);
        }
    }
}

#[cfg(test)]
impl AgentView {
    /// An agent on no host that knows these cgroups.
    pub(crate) fn fixture(registry: Registry, events: EventLog) -> Self {
        Self {
            facts: Arc::new(HostFacts::fixture()),
            registry: Arc::new(Mutex::new(registry)),
            names: Arc::new(Names::new(crate::identity::KeptLabels::default())),
            events,
            programs: None,
            telemetry: Arc::default(),
            memory: Arc::default(),
        }
    }
}
