//! The declarations are sound, and each metric is set by the code that its declaration names.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// The folder where all copies are made.
const COPIES: &str = "snapshot/collect";

#[test]
fn declarations_are_sound() {
    let mut names = BTreeSet::new();
    for metric in OWN_METRICS {
        assert!(names.insert(metric.name), "{} is declared twice", metric.name);
        assert!(metric.name.starts_with("cgtap_"), "{}", metric.name);
        assert_eq!(metric.name.ends_with("_total"), metric.kind == OwnKind::Counter, "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}

#[test]
fn a_new_agent_shows_every_metric_without_labels() {
    let families = Telemetry::default().gather();
    let shown: BTreeSet<&str> =
        families.iter().filter(|family| !family.get_metric().is_empty()).map(MetricFamily::name).collect();
    let declared = OWN_METRICS.iter().filter(|metric| metric.origin != Origin::Page);
    for metric in declared.filter(|metric| metric.labels.is_empty()) {
        assert!(shown.contains(metric.name), "{}", metric.name);
    }
    let names: BTreeSet<&str> = OWN_METRICS.iter().map(|metric| metric.name).collect();
    let unknown: Vec<_> =
        shown.iter().filter(|name| !name.starts_with("process_") && !names.contains(*name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn only_what_the_kernel_counts_is_compared_with_its_count() {
    let telemetry = Telemetry::default();
    telemetry.without_kernel_kills().unwrap();
    let shown = telemetry.gather();
    assert!(!shown.iter().any(|family| family.name().contains("reported")));
    assert!(telemetry.without_kernel_kills().is_err());
}

/// The source of a file, or of all files of a folder, without white space.
fn code(path: &Path) -> String {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        return entries
            .filter(|path| !path.ends_with("tests") && !path.ends_with("tests.rs"))
            .map(|path| code(&path))
            .collect();
    }
    let text = std::fs::read_to_string(path).unwrap();
    let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    product.split_whitespace().collect()
}

#[test]
fn each_metric_is_set_where_its_declaration_says() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for metric in OWN_METRICS {
        let place = match metric.origin {
            Origin::Folder(folder) => folder,
            Origin::Copy(_) => COPIES,
            // A test of the exporter has them on a page.
            Origin::Page => continue,
        };
        let code = code(&source.join(place));
        let name = metric.name.trim_start_matches("cgtap_").trim_end_matches("_total");
        let calls = [".inc()", ".inc_by(", ".set(", ".with_label_values(", ",", ")"];
        let is_set = calls.iter().any(|call| code.contains(&format!("telemetry.{name}{call}")));
        assert!(is_set, "nothing in {place} sets {}", metric.name);
    }
}
