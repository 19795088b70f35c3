//! The agent's own metrics.

use prometheus::{Encoder, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use super::vanished;
use crate::export::prometheus::{ExpositionOptions, Format, encode_own, exposition};

fn own_registry() -> Registry {
    let registry = Registry::new();
    let events =
        IntCounterVec::new(Opts::new("cgtap_events_total", "Events \"seen\".\nAll."), &["type"]).unwrap();
    let odd = prometheus::IntCounter::new("cgtap_odd", "A counter without the suffix.").unwrap();
    let gauge = IntGauge::new("cgtap_followers", "Clients.").unwrap();
    events.with_label_values(&["oom\\_\"kill\"\n"]).inc_by(3);
    gauge.set(-2);
    registry.register(Box::new(events)).unwrap();
    registry.register(Box::new(odd)).unwrap();
    registry.register(Box::new(gauge)).unwrap();
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
"#;
    assert_eq!(String::from_utf8(found).unwrap(), wanted);
}

#[test]
fn own_metrics_come_before_the_end_mark() {
    let families = own_registry().gather();
    let whole = exposition(&vanished(), &families, &ExpositionOptions::default(), Format::OpenMetrics);
    let whole = String::from_utf8(whole).unwrap();
    assert!(whole.ends_with("cgtap_odd 0\n# EOF\n"), "{whole}");
    assert_eq!(whole.matches("# EOF").count(), 1);
}
