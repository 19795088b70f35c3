//! Whole texts of fixed snapshots.
//!
//! `CGTAP_BLESS=1 cargo test -p cgtap --lib golden` writes the files anew.

use std::path::PathBuf;

use super::{all_sets, odd_names, tombstone, v1_host, v2_host, vanished};
use crate::export::prometheus::{ExpositionOptions, Format, exposition};
use crate::model::LabelSet;
use crate::model::MetricSets;
use crate::snapshot::NodeSnapshot;

const FORMATS: [(Format, &str); 2] = [(Format::Text, "prom"), (Format::OpenMetrics, "om")];

fn golden_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/export/golden").join(name)
}

fn check_golden(name: &str, snapshot: &NodeSnapshot, options: &ExpositionOptions) {
    for (format, extension) in FORMATS {
        let found = String::from_utf8(exposition(snapshot, &[], options, format)).unwrap();
        let file = golden_file(&format!("{name}.{extension}"));
        if std::env::var_os("CGTAP_BLESS").is_some() {
            std::fs::write(&file, &found).unwrap();
        }
        let wanted =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(found, wanted, "{}", file.display());
    }
}

#[test]
fn golden_v1_host() {
    check_golden("v1-host", &v1_host(), &all_sets());
}

#[test]
fn golden_v1_host_without_percpu() {
    let sets = MetricSets::parse("", "percpu,diskIO,network").unwrap();
    let labels = LabelSet::parse("container_id").unwrap();
    check_golden(
        "v1-host-few",
        &v1_host(),
        &ExpositionOptions { sets, labels, ..ExpositionOptions::default() },
    );
}

#[test]
fn golden_v2_host() {
    check_golden("v2-host", &v2_host(), &all_sets());
}

#[test]
fn golden_v2_host_with_timestamps() {
    check_golden("v2-host-timestamps", &v2_host(), &ExpositionOptions { timestamps: true, ..all_sets() });
}

#[test]
fn golden_odd_names() {
    check_golden("odd-names", &odd_names(), &all_sets());
}

#[test]
fn golden_tombstone() {
    check_golden("tombstone", &tombstone(), &all_sets());
}

#[test]
fn golden_vanished() {
    check_golden("vanished", &vanished(), &all_sets());
}
