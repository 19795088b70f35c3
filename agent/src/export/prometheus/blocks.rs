//! The label text of every cgroup, escaped once per scrape and copied into each of its samples.

use super::text::escape_label;
use crate::export::{LabelSet, SampleLabel};
use crate::model::Machine;
use crate::snapshot::CgroupSample;

/// One piece of text per cgroup (`id="/a",unit="b"`), all in one buffer.
pub(super) struct Blocks {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Blocks {
    pub(super) fn of_cgroups(samples: &[&CgroupSample], set: LabelSet) -> Self {
        let mut bytes = Vec::with_capacity(samples.len() * 256);
        let mut ends = Vec::with_capacity(samples.len());
        for sample in samples {
            let start = bytes.len();
            for label in SampleLabel::ALL.into_iter().filter(|&label| set.has(label)) {
                if let Some(value) = label.value(sample) {
                    push(&mut bytes, start, label.as_str(), &value);
                }
            }
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    /// In the order of the samples.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let block = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            block
        })
    }
}

/// The labels of the machine's metrics.
pub(super) fn of_machine(machine: &Machine) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in [
        ("machine_id", &machine.machine_id),
        ("system_uuid", &machine.system_uuid),
        ("boot_id", &machine.boot_id),
    ] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            push(&mut bytes, 0, name, value);
        }
    }
    bytes
}

fn push(bytes: &mut Vec<u8>, start: usize, name: &str, value: &str) {
    if bytes.len() > start {
        bytes.push(b',');
    }
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(b"=\"");
    escape_label(value, bytes);
    bytes.push(b'"');
}
