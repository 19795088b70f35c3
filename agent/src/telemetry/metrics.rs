//! The table of own metrics: name, help, type, labels, and where each value comes from.

use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::{Handle, Origin, OwnKind, OwnMetric, SharedSinkStatus};
use crate::model::Ladder;

/// A row is `handle: type [labels] = name, help, where its value comes from`. A handle is called as its metric, without
/// `cgtap_` and `_total`.
macro_rules! own_metrics {
    ($($handle:ident: $type:ident $([$($label:literal),+])? = $name:literal, $help:literal, $origin:expr;)+) => {
        /// The handles of all own metrics, and what else `/status` shows of the agent itself.
        pub struct Telemetry {
            pub(super) registry: Registry,
            pub(super) sinks: Mutex<Vec<SharedSinkStatus>>,
            /// From the start to the end of the first walk.
            pub ready_after: OnceLock<Duration>,
            /// Ladders whose source has ended.
            pub ended: Mutex<Vec<Ladder>>,
            $(pub $handle: $type,)+
        }

        impl Telemetry {
            /// Registers all own metrics and those of the process.
            ///
            /// # Errors
            /// A declaration is wrong: a fault of the agent.
            pub fn new() -> prometheus::Result<Self> {
                let registry = Registry::new();
                registry.register(Box::new(ProcessCollector::for_self()))?;
                let telemetry = Self {
                    $($handle: Handle::register(&registry, $name, $help, &[$($($label),+)?])?,)+
                    registry,
                    sinks: Mutex::default(),
                    ready_after: OnceLock::new(),
                    ended: Mutex::default(),
                };
                for outcome in ["read", "missed", "dropped"] {
                    telemetry.final_samples.with_label_values(&[outcome]);
                }
                Ok(telemetry)
            }
        }

        /// All own metrics.
        #[cfg_attr(not(test), expect(dead_code, reason = "a test makes docs/metrics.md of it"))]
        pub const OWN_METRICS: &[OwnMetric] = &[
            $(OwnMetric {
                name: $name,
                help: $help,
                kind: <$type as Handle>::KIND,
                labels: &[$($($label),+)?],
                origin: $origin,
            },)+
            OMITTED_CGROUPS,
            OMITTED_SERIES,
        ];
    };
}

/// On each page that `--max-series` bounds.
pub const OMITTED_CGROUPS: OwnMetric = OwnMetric {
    name: "cgtap_scrape_omitted_cgroups",
    help: "Cgroups that --max-series keeps off this page.",
    kind: OwnKind::Gauge,
    labels: &[],
    origin: Origin::Page,
};
/// On each page that `--max-series` bounds.
pub const OMITTED_SERIES: OwnMetric = OwnMetric {
    name: "cgtap_scrape_omitted_series",
    help: "Samples that --max-series keeps off this page.",
    kind: OwnKind::Gauge,
    labels: &[],
    origin: Origin::Page,
};

const AT_START: Origin = Origin::Copy("facts of the start");
const PROGRAMS: Origin = Origin::Copy("maps of the BPF programs");
const REGISTRY: Origin = Origin::Copy("registry of cgroups");
const EVENT_LOG: Origin = Origin::Copy("event log");
const SINKS: Origin = Origin::Copy("reports of the sinks");
const USAGE: Origin = Origin::Copy("thread that looks at containers' files");
const NAMES: Origin = Origin::Copy("table of names");
const RUN: Origin = Origin::Folder("run");
const READING: Origin = Origin::Folder("snapshot");
const SERVE: Origin = Origin::Folder("serve");

own_metrics! {
    build_info: IntGaugeVec["version"] = "cgtap_build_info", "Always 1; the version is a label.", AT_START;
    hook_attached: IntGaugeVec["hook", "rung"] = "cgtap_hook_attached",
        "Whether a hook is attached, and on which rung (none when it is not).", AT_START;

    kernel_records: IntCounterVec["hook", "outcome"] = "cgtap_kernel_records_total",
        "Records of each BPF program by what became of them.", PROGRAMS;
    lost_records: IntCounter = "cgtap_lost_records_total", "Kernel records lost before they could be read.", RUN;
    oom_kills_reported: IntCounter = "cgtap_oom_kills_reported_total", "OOM kills reported as events.", RUN;
    oom_kills_unreported: IntCounter = "cgtap_oom_kills_unreported_total",
        "OOM kills that the kernel counted and no rung reported.", RUN;
    oom_kills: IntCounterVec["namespace", "pod", "container", "constraint", "limit_owner"] = "cgtap_oom_kills_total",
        "OOM kills on this node, for as long as the state directory lives, by whose they were.", Origin::Folder("kills");
    final_samples: IntCounterVec["outcome"] = "cgtap_final_samples_total",
        "Last values of containers: read, missed as the directory was gone, dropped as too many waited.",
        Origin::Folder("last_values");
    walks: IntCounter = "cgtap_walks_total", "Walks of the cgroup tree.", RUN;
    walk_duration_seconds: Gauge = "cgtap_walk_duration_seconds", "Wall time of the last walk.", RUN;
    cgroups: IntGauge = "cgtap_cgroups", "Cgroups that exist, by path.", REGISTRY;
    containers: IntGauge = "cgtap_containers", "Cgroups that are containers.", REGISTRY;
    tombstones: IntGauge = "cgtap_tombstones", "Removed cgroups that are still remembered.", REGISTRY;

    events: IntCounter = "cgtap_events_total", "Events put into the log.", EVENT_LOG;
    event_followers: IntGauge = "cgtap_event_followers", "Clients that follow the events now.", EVENT_LOG;
    events_lost_to_clients: IntCounter = "cgtap_events_lost_to_clients_total",
        "Events that left the log before a client that asked for them had read them.", SERVE;
    event_log_healthy: IntGauge = "cgtap_event_log_healthy",
        "Whether events are written to disk; 0 while they are served from memory alone.", EVENT_LOG;
    event_log_segments: IntGauge = "cgtap_event_log_segments", "Files of the event log.", EVENT_LOG;
    event_log_bytes: IntGauge = "cgtap_event_log_bytes", "Size of the event log on disk.", EVENT_LOG;
    event_log_errors: IntCounter = "cgtap_event_log_errors_total", "Failures to write the event log.", EVENT_LOG;
    event_log_unsaved_events: IntCounter = "cgtap_event_log_unsaved_events_total",
        "Events that left the memory before the disk took them.", EVENT_LOG;
    event_log_served_early_events: IntCounter = "cgtap_event_log_served_early_events_total",
        "Events served before the disk had them, as it failed or was too slow.", EVENT_LOG;
    event_log_cut_bytes: IntCounter = "cgtap_event_log_cut_bytes_total",
        "Bytes of records that a crash had cut.", EVENT_LOG;
    event_log_damaged_events: IntCounter = "cgtap_event_log_damaged_events_total",
        "Records at the end of the log that were damaged when the agent began.", EVENT_LOG;

    state_save_errors: IntCounter = "cgtap_state_save_errors_total",
        "Failures to save what the next agent must know.", Origin::Folder("restart");
    sink_events: IntCounterVec["sink", "outcome"] = "cgtap_sink_events_total",
        "Events of a sink: sent, dropped before they were sent, refused by its target for good.", SINKS;
    sink_retries: IntCounterVec["sink"] = "cgtap_sink_retries_total",
        "Deliveries of a sink that failed and were tried again.", SINKS;
    sink_cursor_errors: IntCounterVec["sink"] = "cgtap_sink_cursor_errors_total",
        "Failures to save how far a sink has come; after a crash it sends events again.", SINKS;
    sink_position: IntGaugeVec["sink"] = "cgtap_sink_position",
        "The number of the event up to which a sink has dealt with all.", SINKS;

    snapshots: IntCounter = "cgtap_snapshots_total", "Readings of the node.", READING;
    snapshot_duration_seconds: Gauge = "cgtap_snapshot_duration_seconds", "Wall time of the last reading.", READING;
    vanished_cgroups: IntCounter = "cgtap_vanished_cgroups_total", "Cgroups that vanished while they were read.", READING;
    read_errors: IntCounter = "cgtap_read_errors_total", "Kernel files that could not be read or understood.", READING;
    open_cgroup_files: IntGauge = "cgtap_open_cgroup_files",
        "Descriptors of cgroup files that are kept open.", READING;
    perf_left_out_cgroups: IntGauge = "cgtap_perf_left_out_cgroups",
        "Cgroups whose performance events are not counted, for want of descriptors.", READING;
    hung_filesystems: IntGauge = "cgtap_hung_filesystems",
        "Mounts that were asked how full they are and have not answered yet; they have no series meanwhile.", READING;
    container_fs_looks: IntCounterVec["by"] = "cgtap_container_fs_looks_total",
        "Looks at what a container has written, by how.", USAGE;
    container_fs_cut_walks: IntCounter = "cgtap_container_fs_cut_walks_total",
        "Walks of a container's files that left something out, as it could not be read or was too much.", USAGE;
    container_fs_walked_entries: IntCounter = "cgtap_container_fs_walked_entries_total",
        "Files and directories walked over.", USAGE;

    names_resolved: IntGauge = "cgtap_names_resolved", "Containers whose names are known.", NAMES;
    names_unresolved: IntGauge = "cgtap_names_unresolved",
        "Containers whose names are asked for and not known yet.", NAMES;
    names_dropped_labels: IntCounter = "cgtap_names_dropped_labels_total",
        "Labels and variables of containers that were too large to keep.", NAMES;
    names_refused: IntCounter = "cgtap_names_refused_total",
        "Names of containers and pods that were too large, or found the table full.", NAMES;
    runtime_up: IntGaugeVec["runtime", "socket"] = "cgtap_runtime_up",
        "Whether a source of names answered when it was last asked.", NAMES;
    runtime_errors: IntCounterVec["runtime", "socket"] = "cgtap_runtime_errors_total",
        "Questions that a source of names did not answer.", NAMES;

    http_connections: IntGauge = "cgtap_http_connections", "Open connections.", SERVE;
    http_requests: IntCounter = "cgtap_http_requests_total", "Requests.", SERVE;
    http_bad_requests: IntCounter = "cgtap_http_bad_requests_total", "Requests answered with 400, 404 or 405.", SERVE;
    http_refused: IntCounter = "cgtap_http_refused_total", "Connections and requests refused for a limit.", SERVE;
    http_failed_scrapes: IntCounter = "cgtap_http_failed_scrapes_total",
        "Scrapes that could not be answered, as the node could not be read or the page not be made.", SERVE;
    http_accept_errors: IntCounter = "cgtap_http_accept_errors_total",
        "Failures to accept a connection, most often for want of descriptors.", SERVE;
    http_stalled_connections: IntCounter = "cgtap_http_stalled_connections_total",
        "Connections closed because the client took nothing for too long.", SERVE;
}
