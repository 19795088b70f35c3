//! The agent's own metrics: `cgtap_*` and `process_*`, through the prometheus crate.
//!
//! Most of them mirror counters that are kept elsewhere (in BPF maps, the log, the server), so they are refreshed when
//! a scrape asks and cost nothing else.

mod filesystems;

use std::sync::atomic::Ordering;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use self::filesystems::FilesystemMetrics;
use super::names_metrics::NamesMetrics;
use super::state::State;
use crate::model::{DiskHealth, Hook, HookCounters};
use crate::serve::CountersNow;
use crate::snapshot::Progress;

/// The metrics, and the registry that gathers them.
pub(super) struct OwnMetrics {
    registry: Registry,
    kernel_records: IntCounterVec,
    lost_records: IntCounter,
    /// Only where the kernel counts OOM kills.
    oom_kills: Option<(IntCounter, IntCounter)>,
    finals: IntCounterVec,
    walks: IntCounter,
    walk_seconds: Gauge,
    cgroups: IntGauge,
    containers: IntGauge,
    tombstones: IntGauge,
    events: IntCounter,
    followers: IntGauge,
    events_lost: IntCounter,
    disk: DiskMetrics,
    sink_events: IntCounterVec,
    sink_retries: IntCounterVec,
    sink_position: IntGaugeVec,
    kill_totals: IntCounterVec,
    snapshots: IntCounter,
    snapshot_seconds: Gauge,
    vanished: IntCounter,
    read_errors: IntCounter,
    open_files: IntGauge,
    filesystems: FilesystemMetrics,
    perf_left_out: IntGauge,
    names: NamesMetrics,
    connections: IntGauge,
    requests: IntCounter,
    bad_requests: IntCounter,
    refused: IntCounter,
}

/// The event log on disk.
struct DiskMetrics {
    healthy: IntGauge,
    segments: IntGauge,
    bytes: IntGauge,
    errors: IntCounter,
    unsaved: IntCounter,
    served_early: IntCounter,
    cut_bytes: IntCounter,
    damaged: IntCounter,
}

impl DiskMetrics {
    fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            healthy: make.gauge(
                "cgtap_event_log_healthy",
                "Whether events are written to disk; 0 while they are served from memory alone.",
            )?,
            segments: make.gauge("cgtap_event_log_segments", "Files of the event log.")?,
            bytes: make.gauge("cgtap_event_log_bytes", "Size of the event log on disk.")?,
            errors: make.counter("cgtap_event_log_errors_total", "Failures to write the event log.")?,
            unsaved: make.counter(
                "cgtap_event_log_unsaved_events_total",
                "Events that left the memory before the disk took them.",
            )?,
            served_early: make.counter(
                "cgtap_event_log_served_early_events_total",
                "Events served before the disk had them, as it failed or was too slow.",
            )?,
            cut_bytes: make
                .counter("cgtap_event_log_cut_bytes_total", "Bytes of records that a crash had cut.")?,
            damaged: make.counter(
                "cgtap_event_log_damaged_events_total",
                "Records at the end of the log that were damaged when the agent began.",
            )?,
        })
    }

    fn set(&self, health: &DiskHealth) {
        self.healthy.set(i64::from(health.failing.is_none()));
        set(&self.segments, health.segments);
        set(&self.bytes, health.bytes);
        raise(&self.errors, health.errors);
        raise(&self.unsaved, health.unsaved);
        raise(&self.served_early, health.served_early);
        raise(&self.cut_bytes, health.cut_bytes);
        raise(&self.damaged, health.damaged);
    }
}

/// Registers metrics; the first failure (a name twice) is kept and reported once.
pub(super) struct Maker {
    registry: Registry,
}

impl Maker {
    pub(super) fn keep<C: Collector + Clone + 'static>(&self, metric: C) -> prometheus::Result<C> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.keep(IntCounter::new(name, help)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.keep(IntGauge::new(name, help)?)
    }

    fn seconds(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.keep(Gauge::new(name, help)?)
    }
}

impl OwnMetrics {
    /// Declares the metrics and sets those that stay as they are.
    pub(super) fn new(state: &State) -> prometheus::Result<Self> {
        let make = Maker { registry: Registry::new() };
        make.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        constant_info(&make, state)?;
        let kernel_records = IntCounterVec::new(
            Opts::new("cgtap_kernel_records_total", "Records of each BPF program by what became of them."),
            &["hook", "outcome"],
        )?;
        Ok(Self {
            kernel_records: make.keep(kernel_records)?,
            lost_records: make
                .counter("cgtap_lost_records_total", "Kernel records lost before they could be read.")?,
            oom_kills: if state.cross.is_some() { Some(oom_kills(&make)?) } else { None },
            finals: make.keep(IntCounterVec::new(
                Opts::new(
                    "cgtap_final_samples_total",
                    "Containers whose last values were read after their end, and whose directory was gone by then.",
                ),
                &["outcome"],
            )?)?,
            walks: make.counter("cgtap_walks_total", "Walks of the cgroup tree.")?,
            walk_seconds: make.seconds("cgtap_walk_duration_seconds", "Wall time of the last walk.")?,
            cgroups: make.gauge("cgtap_cgroups", "Cgroups that exist, by path.")?,
            containers: make.gauge("cgtap_containers", "Cgroups that are containers.")?,
            tombstones: make.gauge("cgtap_tombstones", "Removed cgroups that are still remembered.")?,
            events: make.counter("cgtap_events_total", "Events put into the log.")?,
            followers: make.gauge("cgtap_event_followers", "Clients that follow the events now.")?,
            events_lost: make.counter(
                "cgtap_events_lost_to_clients_total",
                "Events that left the log before a client that asked for them had read them.",
            )?,
            disk: DiskMetrics::new(&make)?,
            sink_events: make.keep(IntCounterVec::new(
                Opts::new(
                    "cgtap_sink_events_total",
                    "Events of a sink: sent, dropped by the log before they were sent, refused by its target for good.",
                ),
                &["sink", "outcome"],
            )?)?,
            sink_retries: make.keep(IntCounterVec::new(
                Opts::new("cgtap_sink_retries_total", "Deliveries of a sink that failed and were tried again."),
                &["sink"],
            )?)?,
            sink_position: make.keep(IntGaugeVec::new(
                Opts::new("cgtap_sink_position", "The number of the event up to which a sink has dealt with all."),
                &["sink"],
            )?)?,
            kill_totals: make.keep(IntCounterVec::new(
                Opts::new(
                    "cgtap_oom_kills_total",
                    "OOM kills on this node, for as long as the state directory lives, by whose they were.",
                ),
                &["namespace", "pod", "container", "constraint", "limit_owner"],
            )?)?,
            snapshots: make.counter("cgtap_snapshots_total", "Readings of the node.")?,
            snapshot_seconds: make
                .seconds("cgtap_snapshot_duration_seconds", "Wall time of the last reading.")?,
            vanished: make
                .counter("cgtap_vanished_cgroups_total", "Cgroups that vanished while they were read.")?,
            read_errors: make
                .counter("cgtap_read_errors_total", "Kernel files that could not be read or understood.")?,
            open_files: make
                .gauge("cgtap_open_cgroup_files", "Descriptors of cgroup files that are kept open.")?,
            filesystems: FilesystemMetrics::new(&make)?,
            perf_left_out: make.gauge(
                "cgtap_perf_left_out_cgroups",
                "Cgroups whose performance events are not counted, for want of descriptors.",
            )?,
            connections: make.gauge("cgtap_http_connections", "Open connections.")?,
            requests: make.counter("cgtap_http_requests_total", "Requests.")?,
            bad_requests: make
                .counter("cgtap_http_bad_requests_total", "Requests answered with 400, 404 or 405.")?,
            refused: make
                .counter("cgtap_http_refused_total", "Connections and requests refused for a limit.")?,
            names: NamesMetrics::new(&make)?,
            registry: make.registry,
        })
    }

    /// Everything as it is now.
    pub(super) fn gather(&self, state: &State, progress: Progress, http: CountersNow) -> Vec<MetricFamily> {
        for hook in Hook::ALL {
            self.set_hook(hook, state.counters_of(hook));
        }
        self.set_state(state);
        self.set_progress(progress);
        self.set_http(http);
        self.registry.gather()
    }

    fn set_hook(&self, hook: Hook, counters: HookCounters) {
        let outcomes =
            [("seen", counters.seen), ("submitted", counters.submitted), ("dropped", counters.dropped)];
        for (outcome, value) in outcomes {
            raise(&self.kernel_records.with_label_values(&[hook.as_str(), outcome]), value);
        }
    }

    fn set_state(&self, state: &State) {
        let status = state.status();
        raise(&self.lost_records, status.lost_records);
        if let (Some((reported, unreported)), Some(now)) = (&self.oom_kills, status.oom_kills) {
            raise(reported, now.reported);
            raise(unreported, now.unreported);
        }
        let finals = [("read", &state.finals.read), ("missed", &state.finals.missed)];
        for (outcome, count) in finals {
            raise(&self.finals.with_label_values(&[outcome]), count.load(Ordering::Relaxed));
        }
        raise(&self.walks, status.walks);
        self.walk_seconds.set(state.last_walk().as_secs_f64());
        set(&self.cgroups, status.cgroups);
        set(&self.containers, status.containers);
        set(&self.tombstones, status.tombstones);
        raise(&self.events, status.last_seq);
        if let Some(health) = &status.event_disk {
            self.disk.set(health);
        }
        for sink in &status.sinks {
            let events = |outcome| self.sink_events.with_label_values(&[sink.name.as_str(), outcome]);
            raise(&events("sent"), sink.sent);
            raise(&events("dropped"), sink.dropped);
            raise(&events("refused"), sink.refused);
            raise(&self.sink_retries.with_label_values(&[&sink.name]), sink.retried);
            set(&self.sink_position.with_label_values(&[&sink.name]), sink.seq);
        }
        for (owner, kills) in state.totals().iter() {
            let labels =
                [&owner.namespace, &owner.pod, &owner.container, &owner.constraint, &owner.limit_owner];
            let labels = labels.map(|label| label.as_deref().unwrap_or_default());
            raise(&self.kill_totals.with_label_values(&labels), kills);
        }
        set(&self.followers, status.followers);
        self.names.set(&status.names);
    }

    fn set_progress(&self, progress: Progress) {
        raise(&self.snapshots, progress.snapshots);
        self.snapshot_seconds.set(progress.last_duration.as_secs_f64());
        raise(&self.vanished, progress.vanished);
        raise(&self.read_errors, progress.errors);
        set(&self.open_files, progress.open_files);
        self.filesystems.set(progress);
        set(&self.perf_left_out, progress.perf_left_out);
    }

    fn set_http(&self, http: CountersNow) {
        set(&self.connections, http.connections);
        raise(&self.requests, http.requests);
        raise(&self.bad_requests, http.bad_requests);
        raise(&self.refused, http.refused_connections + http.refused_requests);
        raise(&self.events_lost, http.lost_events);
    }
}

/// Kills reported, and kills that only the kernel's count tells of.
fn oom_kills(make: &Maker) -> prometheus::Result<(IntCounter, IntCounter)> {
    Ok((
        make.counter("cgtap_oom_kills_reported_total", "OOM kills told as events.")?,
        make.counter(
            "cgtap_oom_kills_unreported_total",
            "OOM kills that the kernel counted and no rung told of.",
        )?,
    ))
}

/// What does not change while the agent runs.
fn constant_info(make: &Maker, state: &State) -> prometheus::Result<()> {
    let build =
        IntGaugeVec::new(Opts::new("cgtap_build_info", "Always 1; the version is a label."), &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    make.keep(build)?;
    let hooks = IntGaugeVec::new(
        Opts::new(
            "cgtap_hook_attached",
            "Whether a hook is attached, and on which rung (none when it is not).",
        ),
        &["hook", "rung"],
    )?;
    for status in &state.hooks {
        let rung = status.rung.map_or("none", |rung| rung.as_str());
        hooks.with_label_values(&[status.hook.as_str(), rung]).set(i64::from(status.rung.is_some()));
    }
    make.keep(hooks)?;
    Ok(())
}

/// A counter follows one that is kept elsewhere and never goes back.
pub(super) fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

pub(super) fn set(gauge: &IntGauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
