//! Which labels and variables of a container are kept, and how many bytes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{ContainerNames, PodNames};

/// Labels and variables of one container. Each of them is on every sample of its metrics.
const MAX_LABEL_BYTES: usize = 8 << 10;
/// One name. Image references have at most a few hundred bytes, all other names at most 253.
const MAX_NAME_BYTES: usize = 2 << 10;

/// Which labels and variables are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLabels {
    pub all_labels: bool,
    /// Labels that are kept without `all_labels`.
    pub labels: BTreeSet<String>,
    /// Variables are kept if their name begins with one of these.
    pub env_prefixes: Vec<String>,
}

impl Default for KeptLabels {
    fn default() -> Self {
        Self { all_labels: true, labels: BTreeSet::new(), env_prefixes: Vec::new() }
    }
}

impl KeptLabels {
    /// Whether any variable is kept.
    pub fn keeps_envs(&self) -> bool {
        !self.env_prefixes.is_empty()
    }

    /// Splits `KEY=value`, if that variable is kept.
    pub fn env<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let (key, value) = text.split_once('=')?;
        self.env_prefixes.iter().any(|prefix| key.starts_with(prefix)).then_some((key, value))
    }
}

/// Removes labels and variables that are not chosen or do not fit. Returns how many did not fit.
pub(super) fn apply(names: &mut ContainerNames, kept_labels: &KeptLabels) -> u64 {
    if !kept_labels.all_labels {
        names.labels.retain(|key, _| kept_labels.labels.contains(key));
    }
    names.labels.retain(|key, value| !key.is_empty() && !value.is_empty());
    names.envs.retain(|key, value| !key.is_empty() && !value.is_empty());
    let mut dropped = cut(&mut names.labels, MAX_LABEL_BYTES);
    let left = MAX_LABEL_BYTES.saturating_sub(size(&names.labels));
    dropped += cut(&mut names.envs, left);
    let title = Arc::make_mut(&mut names.title);
    for text in [&mut title.name, &mut title.container, &mut title.image] {
        if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > MAX_NAME_BYTES) {
            *text = None;
        }
    }
    if names.pod.as_ref().is_some_and(|pod| !fits(pod)) {
        names.pod = None;
    }
    dropped
}

/// Whether a pod's names have an allowed length.
pub(super) fn fits(pod: &PodNames) -> bool {
    let texts = [&pod.name, &pod.namespace, &pod.uid];
    texts.into_iter().flatten().all(|text| !text.is_empty() && text.len() <= MAX_NAME_BYTES)
}

/// Removes the largest until the rest fits: one huge label must not displace the others. Equal sizes go by name.
fn cut(labels: &mut BTreeMap<String, String>, max_bytes: usize) -> u64 {
    let (mut left, before) = (size(labels), labels.len());
    if left <= max_bytes {
        return 0;
    }
    let mut by_size: Vec<(usize, String)> =
        labels.iter().map(|(key, value)| (key.len() + value.len(), key.clone())).collect();
    by_size.sort_unstable();
    while left > max_bytes
        && let Some((bytes, key)) = by_size.pop()
    {
        labels.remove(&key);
        left -= bytes;
    }
    (before - labels.len()) as u64
}

fn size(labels: &BTreeMap<String, String>) -> usize {
    labels.iter().map(|(key, value)| key.len() + value.len()).sum()
}

/// The approximate size of an entry of the table.
pub(super) fn bytes(names: &ContainerNames) -> usize {
    let title = [&names.title.name, &names.title.container, &names.title.image];
    let title: usize = title.into_iter().flatten().map(String::len).sum();
    512 + title + size(&names.labels) + size(&names.envs)
}
