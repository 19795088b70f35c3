//! The agent's own metrics about names of containers.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::own_metrics::{Maker, raise, set};
use crate::model::NamesStatus;

/// How names come, and who fails to tell them.
pub(super) struct NamesMetrics {
    resolved: IntGauge,
    unresolved: IntGauge,
    dropped_labels: IntCounter,
    up: IntGaugeVec,
    errors: IntCounterVec,
}

impl NamesMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        let labels = ["runtime", "socket"];
        Ok(Self {
            resolved: make.gauge("cgtap_names_resolved", "Containers whose names are known.")?,
            unresolved: make
                .gauge("cgtap_names_unresolved", "Containers whose names are asked for and not known yet.")?,
            dropped_labels: make.counter(
                "cgtap_names_dropped_labels_total",
                "Labels and variables of containers that were too large to keep.",
            )?,
            up: make.keep(IntGaugeVec::new(
                Opts::new("cgtap_runtime_up", "Whether a source of names answered when it was last asked."),
                &labels,
            )?)?,
            errors: make.keep(IntCounterVec::new(
                Opts::new("cgtap_runtime_errors_total", "Questions that a source of names did not answer."),
                &labels,
            )?)?,
        })
    }

    pub(super) fn set(&self, names: &NamesStatus) {
        set(&self.resolved, names.resolved);
        set(&self.unresolved, names.unresolved);
        raise(&self.dropped_labels, names.dropped_labels);
        // What is not there any more has no value.
        self.up.reset();
        for source in &names.sources {
            let labels = [source.source.as_str(), source.place.as_str()];
            if let Some(up) = source.up {
                self.up.with_label_values(&labels).set(i64::from(up));
                raise(&self.errors.with_label_values(&labels), source.errors);
            }
        }
    }
}
