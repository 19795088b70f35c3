use std::time::{Duration, UNIX_EPOCH};

use axum::http::HeaderValue;

use super::*;
use crate::model::{CgroupPath, EventKind};

fn with(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))])
}

fn parse(query: &str) -> Result<EventsQuery, Refusal> {
    EventsQuery::parse(Some(query), &HeaderMap::new())
}

#[test]
fn every_parameter_is_used() {
    let id = "ABCDEF012345";
    let query = format!(
        "follow=1&types=oom_kill,lost&since_seq=7&since=1970-01-01T00:00:09Z&limit=3&cgroup=/a%ff&pod=A-1&namespace=shop&container={id}"
    );
    let filter = Filter {
        types: Some(["oom_kill".to_owned(), "lost".to_owned()].into()),
        cgroup: Some(CgroupPath::from_bytes(b"/a\xff")),
        pod: Some("a-1".into()),
        namespace: Some("shop".into()),
        container: Some(id.to_lowercase()),
        since: Some(UNIX_EPOCH + Duration::from_secs(9)),
    };
    let wanted = EventsQuery { follow: true, start: Start::SinceSeq(7), filter, limit: Some(3), sse: false };
    assert_eq!(parse(&query), Ok(wanted));
}

#[test]
fn where_a_stream_begins() {
    for (query, follow, start) in [
        ("", false, Start::Oldest),
        ("follow", true, Start::Now),
        ("follow=false", false, Start::Oldest),
        ("follow=true&since_seq=0", true, Start::SinceSeq(0)),
        ("follow=true&since=1970-01-01T00:00:09Z", true, Start::Oldest),
    ] {
        let parsed = parse(query).unwrap();
        assert_eq!((parsed.follow, parsed.start), (follow, start), "{query}");
    }
}

#[test]
fn the_header_of_a_client_that_reconnects_wins() {
    let resumed = EventsQuery::parse(Some("follow=1&since_seq=3"), &with("last-event-id", "9")).unwrap();
    assert_eq!(resumed.start, Start::SinceSeq(9));
    let first = EventsQuery::parse(Some("follow=1"), &with("last-event-id", "")).unwrap();
    assert_eq!(first.start, Start::Now);
    let refusal = EventsQuery::parse(None, &with("last-event-id", "x")).unwrap_err();
    assert_eq!(refusal.parameter.as_deref(), Some("Last-Event-ID"));
}

#[test]
fn server_sent_events_only_where_accepted() {
    for (accept, wanted) in [
        ("text/event-stream", true),
        ("application/json, Text/Event-Stream;q=0.5", true),
        ("text/event-stream;q=0", false),
        ("*/*", false),
        ("application/x-ndjson", false),
    ] {
        let parsed = EventsQuery::parse(None, &with("accept", accept)).unwrap();
        assert_eq!(parsed.sse, wanted, "{accept}");
    }
}

#[test]
fn bad_values_are_refused_by_name() {
    for query in [
        "follow=yes",
        "types=",
        "types=oom_kill,",
        "types=oom",
        "since_seq=",
        "since_seq=-1",
        "since_seq=%2B1",
        "since_seq=18446744073709551616",
        "since=yesterday",
        "limit=0",
        "limit=x",
        "cgroup=",
        "cgroup=a",
        "pod=",
        "pod=x",
        "pod=%ff",
        "container=abc",
        "container=zzzzzzzzzzzz",
        "namespace=Default",
        "colour=red",
    ] {
        let refusal = parse(query).expect_err(query);
        assert_eq!(refusal.parameter.as_deref(), query.split('=').next(), "{query}");
        assert_eq!(refusal.status, axum::http::StatusCode::BAD_REQUEST);
        assert!(!refusal.error.is_empty());
    }
    assert_eq!(parse("types=oom").unwrap_err().allowed, EventKind::TYPE_NAMES);
}
