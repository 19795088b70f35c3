//! The label text of every cgroup, escaped once per scrape and copied into each of its samples.

use std::collections::{BTreeMap, HashSet};

use super::View;
use super::text::write_label;
use crate::model::{LabelSet, Machine, SampleLabel};
use crate::snapshot::CgroupSample;

/// One piece of text per cgroup (`id="/a",unit="b"`), all in one buffer.
pub(super) struct Blocks {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Blocks {
    pub(super) fn of_cgroups(samples: &[&CgroupSample], view: View, set: LabelSet) -> Self {
        let mut bytes = Vec::with_capacity(samples.len() * 256);
        let mut ends = Vec::with_capacity(samples.len());
        for sample in samples {
            let start = bytes.len();
            let labels: &[SampleLabel] = match view {
                View::Standalone => &SampleLabel::ALL,
                View::Kubelet => &KUBELET,
            };
            let printed = |label: &SampleLabel| view == View::Kubelet || set.has(*label);
            for label in labels.iter().copied().filter(printed) {
                if let Some(value) = label.value(sample) {
                    push(&mut bytes, start, label.as_str(), &value);
                }
            }
            if let Some(names) = sample.names.as_deref().filter(|_| view == View::Standalone) {
                push_all(&mut bytes, "container_label_", &names.labels);
                push_all(&mut bytes, "container_env_", &names.envs);
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

/// The kubelet's labels; those of the other cgroups it has as empty texts, which is the same to Prometheus.
const KUBELET: [SampleLabel; 6] = [
    SampleLabel::Container,
    SampleLabel::Id,
    SampleLabel::Image,
    SampleLabel::Name,
    SampleLabel::Namespace,
    SampleLabel::Pod,
];

/// A container's own labels, after ours: `id` is always there. Of keys that look alike in Prometheus the first in byte
/// order is printed, always: a name twice would cost the scraper the whole text.
fn push_all(bytes: &mut Vec<u8>, prefix: &str, labels: &BTreeMap<String, String>) {
    let mut printed = HashSet::new();
    for (key, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
        let name: String =
            key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
        if key.is_empty() || printed.contains(&name) {
            continue;
        }
        bytes.push(b',');
        bytes.extend_from_slice(prefix.as_bytes());
        write_label(&name, value, bytes);
        printed.insert(name);
    }
}

fn push(bytes: &mut Vec<u8>, start: usize, name: &str, value: &str) {
    if bytes.len() > start {
        bytes.push(b',');
    }
    write_label(name, value, bytes);
}
