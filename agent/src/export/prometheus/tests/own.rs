//! The agent's own metrics.

use prometheus::{Encoder, Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use super::vanished;
use crate::export::prometheus::{ExpositionOptions, Format, encode_own, exposition};

fn own_registry() -> Registry {
    let registry = Registry::new();
    let events =
        IntCounterVec::new(Opts::new("cgtap_events_total", "Events \"seen\".\nAll."), &["type"]).unwrap();
    let odd = prometheus::IntCounter::new("cgtap_odd", "A counter without the suffix.").unwrap();
    let gauge = IntGauge::new("cgtap_followers", "Clients.").unwrap();
    let options = HistogramOpts::new("cgtap_reading_seconds", "Time.").buckets(vec![0.005, 1.0]);
    let histogram = Histogram::with_opts(options).unwrap();
    events.with_label_values(&["oom\\_\"kill\"\n"]).inc_by(3);
    gauge.set(-2);
    histogram.observe(0.5);
    histogram.observe(7.25);
    registry.register(Box::new(events)).unwrap();
    registry.register(Box::new(odd)).unwrap();
    registry.register(Box::new(gauge)).unwrap();
    registry.register(Box::new(histogram)).unwrap();
    registry
}

#[test]
fn own_metrics_read_as_the_crate_writes_them() {
    let families = own_registry().gather();
    let mut wanted = Vec::new();
    TextEncoder::new().encode(&families, &mut wanted).unwrap();
    let mut found = Vec::new();
    encode_own(&families, Format::Text, &mut found);
    assert_eq!(String::from_utf8(found).unwrap(), String::from_utf8(wanted).unwrap());
}

#[test]
fn own_metrics_in_openmetrics() {
    let mut found = Vec::new();
    encode_own(&own_registry().gather(), Format::OpenMetrics, &mut found);
    let wanted = r#"# HELP cgtap_events Events \"seen\".\nAll.
# TYPE cgtap_events counter
cgtap_events_total{type="oom\\_\"kill\"\n"} 3
# HELP cgtap_followers Clients.
# TYPE cgtap_followers gauge
cgtap_followers -2
# HELP cgtap_odd A counter without the suffix.
# TYPE cgtap_odd unknown
cgtap_odd 0
# HELP cgtap_reading_seconds Time.
# TYPE cgtap_reading_seconds histogram
cgtap_reading_seconds_bucket{le="0.005"} 0
cgtap_reading_seconds_bucket{le="1.0"} 1
cgtap_reading_seconds_bucket{le="+Inf"} 2
cgtap_reading_seconds_sum 7.75
cgtap_reading_seconds_count 2
"#;
    assert_eq!(String::from_utf8(found).unwrap(), wanted);
}

#[test]
fn own_metrics_come_before_the_end_mark() {
    let families = own_registry().gather();
    let whole = exposition(&vanished(), &families, &ExpositionOptions::default(), Format::OpenMetrics);
    let whole = String::from_utf8(whole).unwrap();
    assert!(whole.ends_with("cgtap_reading_seconds_count 2\n# EOF\n"), "{whole}");
    assert_eq!(whole.matches("# EOF").count(), 1);
}
