//! The agent's own metrics, kept by the `prometheus` crate, in the formats of this module.
//!
//! The crate's own encoder writes text only, so a scrape in OpenMetrics needs this one.

use std::io::Write;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::Format;
use super::text::{Header, escape_label, write_integer};

/// Appends families of the `prometheus` crate. Families of a type that the crate has no metric of (summary, untyped)
/// are left out.
pub fn encode_own(families: &[MetricFamily], format: Format, out: &mut Vec<u8>) {
    for family in families.iter().filter(|family| !family.get_metric().is_empty()) {
        let Some(kind) = type_of(family, format) else { continue };
        Header { name: family.name(), help: family.help(), kind }.write(out, format);
        let mut lines = OwnLines { name: family.name(), format, out };
        for metric in family.get_metric() {
            match family.get_field_type() {
                MetricType::COUNTER => lines.sample("", metric, None, metric.get_counter().get_value()),
                MetricType::GAUGE => lines.sample("", metric, None, metric.get_gauge().get_value()),
                _ => lines.histogram(metric),
            }
        }
    }
}

fn type_of(family: &MetricFamily, format: Format) -> Option<&'static str> {
    match family.get_field_type() {
        MetricType::COUNTER if format == Format::OpenMetrics && !family.name().ends_with("_total") => {
            Some("unknown")
        }
        MetricType::COUNTER => Some("counter"),
        MetricType::GAUGE => Some("gauge"),
        MetricType::HISTOGRAM => Some("histogram"),
        MetricType::SUMMARY | MetricType::UNTYPED => None,
    }
}

struct OwnLines<'a> {
    name: &'a str,
    format: Format,
    out: &'a mut Vec<u8>,
}

impl OwnLines<'_> {
    fn histogram(&mut self, metric: &Metric) {
        let histogram = metric.get_histogram();
        for bucket in histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
            self.start("_bucket", metric, Some(bucket.upper_bound()));
            self.finish_count(bucket.cumulative_count());
        }
        self.start("_bucket", metric, Some(f64::INFINITY));
        self.finish_count(histogram.get_sample_count());
        self.sample("_sum", metric, None, histogram.get_sample_sum());
        self.start("_count", metric, None);
        self.finish_count(histogram.get_sample_count());
    }

    fn sample(&mut self, suffix: &str, metric: &Metric, le: Option<f64>, value: f64) {
        self.start(suffix, metric, le);
        write_float(value, false, self.out);
        self.out.push(b'\n');
    }

    fn finish_count(&mut self, count: u64) {
        write_integer(count, self.out);
        self.out.push(b'\n');
    }

    /// Name and labels; `le` is a bucket's bound.
    fn start(&mut self, suffix: &str, metric: &Metric, le: Option<f64>) {
        self.out.extend_from_slice(self.name.as_bytes());
        self.out.extend_from_slice(suffix.as_bytes());
        let mut separator = b'{';
        // An empty label is an absent one to Prometheus; the crate wants a value for each.
        for pair in metric.get_label().iter().filter(|pair| !pair.value().is_empty()) {
            self.label(separator, pair);
            separator = b',';
        }
        if let Some(bound) = le {
            self.out.push(separator);
            self.out.extend_from_slice(b"le=\"");
            write_float(bound, self.format == Format::OpenMetrics, self.out);
            self.out.push(b'"');
            separator = b',';
        }
        self.out.extend_from_slice(if separator == b',' { b"} " } else { b" " });
    }

    fn label(&mut self, separator: u8, pair: &LabelPair) {
        self.out.push(separator);
        self.out.extend_from_slice(pair.name().as_bytes());
        self.out.extend_from_slice(b"=\"");
        escape_label(pair.value(), self.out);
        self.out.push(b'"');
    }
}

/// Both formats write infinities as `+Inf` and `-Inf`. OpenMetrics wants a point in every bucket bound (`1.0`), so
/// that a bound has one spelling.
fn write_float(value: f64, point: bool, out: &mut Vec<u8>) {
    let written = if value.is_infinite() {
        out.write_all(if value > 0.0 { b"+Inf" } else { b"-Inf" })
    } else if point {
        write!(out, "{value:?}")
    } else {
        write!(out, "{value}")
    };
    debug_assert!(written.is_ok(), "writing to memory does not fail");
}
