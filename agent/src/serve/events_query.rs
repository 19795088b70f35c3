//! The parameters and headers of a request to `/events`.

use axum::http::{HeaderMap, header};

use super::compress::accepted;
use super::params::{params, text};
use super::refusal::Refusal;
use crate::events::{BadFilter, Filter, Start};
use crate::model::rfc3339;

const PARAMETERS: &[&str] =
    &["follow", "types", "since_seq", "since", "limit", "cgroup", "pod", "container", "namespace"];

/// The request's parameters and headers, checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EventsQuery {
    pub(super) follow: bool,
    pub(super) start: Start,
    pub(super) filter: Filter,
    pub(super) limit: Option<u64>,
    /// Server-sent events instead of newline-delimited JSON.
    pub(super) sse: bool,
}

impl EventsQuery {
    pub(super) fn parse(query: Option<&str>, headers: &HeaderMap) -> Result<Self, Refusal> {
        let (mut filter, mut follow, mut since_seq, mut limit) = (Filter::default(), false, None, None);
        for (name, bytes) in params(query, PARAMETERS)? {
            let value = || text(&name, &bytes);
            match name.as_str() {
                "follow" => follow = boolean(value()?)?,
                "since_seq" => since_seq = Some(number(&name, value()?)?),
                "since" => filter.since = Some(since(value()?)?),
                "limit" => limit = Some(positive(&name, value()?)?),
                _ => set(&mut filter, &name, &bytes)?,
            }
        }
        // A client that reconnects repeats its first request, so its header is newer than the parameter.
        let since_seq = last_event_id(headers)?.or(since_seq);
        let start = match since_seq {
            Some(seq) => Start::SinceSeq(seq),
            None if follow && filter.since.is_none() => Start::Now,
            None => Start::Oldest,
        };
        Ok(Self { follow, start, filter, limit, sse: accepts_sse(headers) })
    }
}

fn set(filter: &mut Filter, name: &str, value: &[u8]) -> Result<(), Refusal> {
    match filter.set(name, value) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refusal::parameter(name, format!("{name:?} is no filter"))),
        Err(BadFilter { text, allowed }) => Err(Refusal::parameter(name, text).allowing(allowed)),
    }
}

/// `follow` without a value is true.
fn boolean(value: &str) -> Result<bool, Refusal> {
    match value {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Refusal::parameter("follow", format!("{value:?} is neither true nor false"))
            .allowing(&["1", "true", "0", "false"])),
    }
}

fn number(name: &str, value: &str) -> Result<u64, Refusal> {
    // `parse` alone accepts "+1".
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|_| digits);
    number.ok_or_else(|| Refusal::parameter(name, format!("{value:?} is no number from 0 to {}", u64::MAX)))
}

fn positive(name: &str, value: &str) -> Result<u64, Refusal> {
    let number = number(name, value)?;
    if number == 0 {
        Err(Refusal::parameter(name, "0 would answer nothing; wanted at least 1"))
    } else {
        Ok(number)
    }
}

fn since(value: &str) -> Result<std::time::SystemTime, Refusal> {
    rfc3339::parse(value).map_err(|err| Refusal::parameter("since", err))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    const NAME: &str = "Last-Event-ID";
    let Some(value) = headers.get(NAME) else { return Ok(None) };
    let value = String::from_utf8_lossy(value.as_bytes());
    // Browsers send it empty before the first event.
    if value.is_empty() { Ok(None) } else { number(NAME, &value).map(Some) }
}

fn accepts_sse(headers: &HeaderMap) -> bool {
    let mut kinds = accepted(headers, &header::ACCEPT);
    kinds.any(|(kind, on)| on && kind.eq_ignore_ascii_case("text/event-stream"))
}

#[cfg(test)]
mod tests;
