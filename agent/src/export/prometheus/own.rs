//! The agent's own metrics, kept by the `prometheus` crate, in the formats of this module.
//!
//! The crate's own encoder writes text only, so a scrape in OpenMetrics needs this one.

use std::io::Write;

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::Format;
use super::text::{Header, write_label};
use crate::export::catalog::Kind;

/// Appends families of the `prometheus` crate. The agent has counters and gauges; families of another
/// type are left out.
pub fn encode_own(families: &[MetricFamily], format: Format, out: &mut Vec<u8>) {
    for family in families.iter().filter(|family| !family.get_metric().is_empty()) {
        let kind = match family.get_field_type() {
            MetricType::COUNTER => Kind::Counter,
            MetricType::GAUGE => Kind::Gauge,
            MetricType::HISTOGRAM | MetricType::SUMMARY | MetricType::UNTYPED => continue,
        };
        Header::new(family.name(), family.help(), kind, format).write(out, format);
        for metric in family.get_metric() {
            let value = match kind {
                Kind::Counter => metric.get_counter().get_value(),
                Kind::Gauge => metric.get_gauge().get_value(),
            };
            sample(family.name(), metric, value, out);
        }
    }
}

fn sample(name: &str, metric: &Metric, value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    let mut separator = b'{';
    // An empty label is an absent one to Prometheus; the crate wants a value for each.
    for pair in metric.get_label().iter().filter(|pair| !pair.value().is_empty()) {
        out.push(separator);
        write_label(pair.name(), pair.value(), out);
        separator = b',';
    }
    out.extend_from_slice(if separator == b',' { b"} " } else { b" " });
    let written = match value {
        f64::INFINITY => out.write_all(b"+Inf"),
        f64::NEG_INFINITY => out.write_all(b"-Inf"),
        finite => write!(out, "{finite}"),
    };
    debug_assert!(written.is_ok(), "writing to memory does not fail");
    out.push(b'\n');
}
