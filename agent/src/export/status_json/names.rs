//! The part of `/status` about names of containers.

use serde::Serialize;

use crate::model::{NamesSourceStatus, NamesStatus};

#[derive(Serialize)]
pub(super) struct NamesJson<'a> {
    resolved: u64,
    unresolved: u64,
    dropped_labels: u64,
    sources: Vec<SourceJson<'a>>,
}

#[derive(Serialize)]
struct SourceJson<'a> {
    source: &'static str,
    place: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<&'static str>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    errors: u64,
}

pub(super) fn view(names: &NamesStatus) -> NamesJson<'_> {
    NamesJson {
        resolved: names.resolved,
        unresolved: names.unresolved,
        dropped_labels: names.dropped_labels,
        sources: names.sources.iter().map(source).collect(),
    }
}

fn source(status: &NamesSourceStatus) -> SourceJson<'_> {
    SourceJson {
        source: status.source.as_str(),
        place: &status.place,
        runtime: status.runtime.map(|runtime| runtime.as_str()),
        state: match status.up {
            Some(true) => "ok",
            Some(false) => "failing",
            // Nobody had to be asked for yet, or it is not there.
            None => "idle",
        },
        why: status.failing.as_deref(),
        errors: status.errors,
    }
}
