//! What the agent counts about itself: each own metric (`cgtap_*`), declared once.
//!
//! [`Telemetry`] has one handle for each metric, and the code where something happens sets it. A value that another
//! part keeps anyway (the maps of the BPF programs, the sizes of tables) is copied into its handle for each scrape.

mod metrics;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

#[cfg(test)]
pub use metrics::OWN_METRICS;
pub use metrics::{OMITTED_CGROUPS, OMITTED_SERIES, Telemetry};

use crate::model::SinkStatus;

/// The declaration of one own metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnMetric {
    pub name: &'static str,
    /// Its help text.
    pub help: &'static str,
    /// Its type.
    pub kind: OwnKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Where its value comes from.
    pub origin: Origin,
}

/// The type of an own metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnKind {
    /// It only rises.
    Counter,
    /// It rises and falls.
    Gauge,
}

/// Where the value of an own metric comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The code of this folder sets it when it happens.
    Folder(&'static str),
    /// It is copied for each scrape from the part that keeps it.
    Copy(&'static str),
    /// The exporter writes it at the end of a page.
    Page,
}

/// What a sink reports about itself, shared with its readers.
pub type SharedSinkStatus = Arc<Mutex<SinkStatus>>;

impl Telemetry {
    /// The values of all own metrics now.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// Leaves out the metrics that compare OOM kills with the kernel's own count: this kernel has none.
    ///
    /// # Errors
    /// They were left out before.
    pub fn without_kernel_kills(&self) -> prometheus::Result<()> {
        self.registry.unregister(Box::new(self.oom_kills_reported.clone()))?;
        self.registry.unregister(Box::new(self.oom_kills_unreported.clone()))
    }

    /// Adds a sink to those that are shown.
    pub fn add_sink(&self, name: &str) -> SharedSinkStatus {
        let status = Arc::new(Mutex::new(SinkStatus { name: name.to_owned(), ..SinkStatus::default() }));
        self.sinks.lock().push(Arc::clone(&status));
        status
    }

    /// What each sink reports now.
    #[must_use]
    pub fn sinks(&self) -> Vec<SinkStatus> {
        self.sinks.lock().iter().map(|status| status.lock().clone()).collect()
    }
}

#[cfg(test)]
impl Default for Telemetry {
    fn default() -> Self {
        Self::new().unwrap()
    }
}

/// Raises a counter to a value that is kept elsewhere and never falls.
pub fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

/// Sets a gauge to a value that may be larger than a gauge can hold.
pub fn set(gauge: &IntGauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// A handle of the `prometheus` crate that the table of metrics can make.
trait Handle: Collector + Clone + 'static {
    const KIND: OwnKind;

    fn declare(opts: Opts, labels: &[&str]) -> prometheus::Result<Self>;

    fn register(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        let handle = Self::declare(Opts::new(name, help), labels)?;
        registry.register(Box::new(handle.clone()))?;
        Ok(handle)
    }
}

macro_rules! handles {
    ($($handle:ty, $kind:ident, |$opts:ident, $labels:ident| $made:expr;)+) => {
        $(impl Handle for $handle {
            const KIND: OwnKind = OwnKind::$kind;

            fn declare($opts: Opts, $labels: &[&str]) -> prometheus::Result<Self> {
                $made
            }
        })+
    };
}

handles! {
    IntCounter, Counter, |opts, _labels| Self::with_opts(opts);
    IntCounterVec, Counter, |opts, labels| Self::new(opts, labels);
    IntGauge, Gauge, |opts, _labels| Self::with_opts(opts);
    IntGaugeVec, Gauge, |opts, labels| Self::new(opts, labels);
    Gauge, Gauge, |opts, _labels| Self::with_opts(opts);
}
