//! A snapshot as Prometheus text 0.0.4 or OpenMetrics 1.0.0.
//!
//! Sample names are the same in both. OpenMetrics names a counter's family without `_total`; a counter whose
//! inherited name has no `_total` is `unknown` there, as the format asks for.

mod blocks;
mod limit;
mod negotiate;
mod own;
#[cfg(test)]
mod tests;
mod text;

use std::ops::ControlFlow;

use prometheus::proto::MetricFamily;

use self::blocks::Blocks;
use self::limit::LeftOut;
use self::text::{Header, Lines, Output};
use super::catalog::{self, Kind, Metric, Scope, Value, Values};
use crate::model::{LabelSet, MetricSets};
use crate::snapshot::{CgroupSample, NodeSnapshot};
use crate::telemetry::{OMITTED_CGROUPS, OMITTED_SERIES, OwnMetric};

pub use negotiate::negotiate;
pub use own::encode_own;
#[cfg(test)]
pub(crate) use tests::exposition;

/// The format of an exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The value of the `Content-Type` header.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Whose metrics an exposition follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// cAdvisor's by itself, with all labels, and the agent's own metrics.
    #[default]
    Standalone,
    /// A kubelet's at `/metrics/cadvisor`: `container`, `id`, `image`, `name`, `namespace`, `pod` and no more.
    Kubelet,
}

/// What an operator chooses of an exposition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpositionOptions {
    /// The sets of metrics to print.
    pub sets: MetricSets,
    /// The labels to print.
    pub labels: LabelSet,
    pub view: View,
    /// Whether measurements carry the time of their reading. Off, the scraper's clock counts and series of removed
    /// cgroups go stale at once.
    pub timestamps: bool,
    /// Samples of cgroups on the page at most: whole cgroups are left out, which the page says.
    pub max_series: Option<u64>,
}

/// The whole exposition, handed to `sink` in pieces of some 64 KiB that end with a line, until it breaks off: the node's
/// cgroups, the machine and the agent's own metrics.
pub fn exposition_in_chunks(
    snapshot: &NodeSnapshot,
    own: &[MetricFamily],
    options: &ExpositionOptions,
    format: Format,
    sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) {
    let scope = Scope { sets: options.sets, machine: &snapshot.machine };
    // A kubelet has none of ours.
    let is_of_view = |metric: &Metric| options.view == View::Standalone || !metric.name.starts_with("cgtap_");
    let enabled = |metric: &&Metric| metric.set.is_none_or(|set| options.sets.has(set)) && is_of_view(metric);
    let metrics: Vec<&Metric> = catalog::metrics().filter(enabled).collect();
    let cgroups = one_per_path(&snapshot.cgroups);
    let (cgroups, left_out) = limit::limit(cgroups, &metrics, &scope, options.max_series);
    let blocks = Blocks::of_cgroups(&cgroups, options.view, options.labels);
    let buffer = Vec::with_capacity(CHUNK_BYTES + 4_096);
    let output = Output { buffer, full_bytes: CHUNK_BYTES, sink, ended: false };
    let mut writer = Writer {
        snapshot,
        cgroups,
        scope,
        stamp: if options.timestamps { text::stamp(snapshot.taken, format) } else { Vec::new() },
        machine: blocks::of_machine(&snapshot.machine),
        blocks,
        format,
        output,
    };
    for metric in metrics {
        writer.family(metric);
        if writer.output.ended {
            return;
        }
    }
    if let Some(left_out) = left_out {
        writer.left_out(left_out);
    }
    let mut output = writer.output;
    encode_own(own, format, &mut output.buffer);
    if format == Format::OpenMetrics {
        output.buffer.extend_from_slice(b"# EOF\n");
    }
    output.flush();
}

/// Small enough for the processor's second-level cache.
const CHUNK_BYTES: usize = 65_536;

/// A cgroup that was made again may stand beside its own tombstone. A scraper refuses a text with one series twice,
/// so only one of them is shown: the living one.
fn one_per_path(sorted: &[CgroupSample]) -> Vec<&CgroupSample> {
    let mut kept: Vec<&CgroupSample> = Vec::with_capacity(sorted.len());
    for sample in sorted {
        match kept.last_mut() {
            Some(last) if last.path == sample.path => {
                if last.removed {
                    *last = sample;
                }
            }
            _ => kept.push(sample),
        }
    }
    kept
}

struct Writer<'a> {
    snapshot: &'a NodeSnapshot,
    /// What is shown of its cgroups.
    cgroups: Vec<&'a CgroupSample>,
    scope: Scope<'a>,
    blocks: Blocks,
    machine: Vec<u8>,
    stamp: Vec<u8>,
    format: Format,
    output: Output<'a>,
}

impl Writer<'_> {
    /// One family: its header before the first sample, then all samples. Without a sample nothing at all.
    fn family(&mut self, metric: &Metric) {
        let header = Header::new(metric.name, metric.help, metric.kind, self.format);
        let stamp: &[u8] = if metric.stamped { &self.stamp } else { b"" };
        let mut lines = Lines { output: &mut self.output, header, stamp, format: self.format, begun: false };
        let all = self.cgroups.iter().zip(self.blocks.iter());
        let shown = all.filter(|(sample, _)| !sample.removed || metric.outlives);
        match metric.values {
            Values::Count(value) => shown.for_each(|(sample, block)| {
                lines.maybe(block, value(sample).map(Value::Count));
            }),
            Values::One(value) => shown.for_each(|(sample, block)| {
                lines.maybe(block, value(sample, &self.scope));
            }),
            Values::Many(values) => shown.for_each(|(sample, block)| {
                values(sample, &self.scope, &mut |labels, value| lines.sample(block, labels, value));
            }),
            Values::Machine(value) => {
                lines.maybe(&self.machine, value(&self.snapshot.machine).map(Value::Count));
            }
            Values::MachineMany(values) => {
                values(&self.snapshot.machine, &mut |labels, value| {
                    lines.sample(&self.machine, labels, value);
                });
            }
            Values::Node(value) => lines.sample(b"", &[], value(self.snapshot)),
        }
    }

    /// What `--max-series` kept off this page.
    fn left_out(&mut self, left_out: LeftOut) {
        for (OwnMetric { name, help, .. }, value) in
            [(OMITTED_CGROUPS, left_out.cgroups), (OMITTED_SERIES, left_out.series)]
        {
            let header = Header::new(name, help, Kind::Gauge, self.format);
            Lines { output: &mut self.output, header, stamp: b"", format: self.format, begun: false }.sample(
                b"",
                &[],
                Value::Count(value),
            );
        }
    }
}
