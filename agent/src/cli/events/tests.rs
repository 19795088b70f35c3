use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use clap::Parser;
use hyper::body::Frame;

use super::*;
use crate::cli::client::Refused;
use crate::cli::exit_code;

/// A body in the given pieces, as a network cuts them.
struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

/// Standard output of which the reader is gone, or full.
struct Fails(ErrorKind);

impl Write for Fails {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn copied(pieces: &[&'static str], show: Show, out: &mut impl Write) -> anyhow::Result<u64> {
    copy(Pieces(pieces.iter().map(|piece| Bytes::from(*piece)).collect()), show, out).await
}

#[tokio::test]
async fn lines_are_printed_whole_however_they_come() {
    for pieces in [
        &["{\"a\":1}\n{\"b\":2}\n"][..],
        &["{\"a\"", ":1}\n{\"b\":", "2}", "\n"],
        &["", "{\"a\":1}\n", "{\"b\":2}\n"],
    ] {
        let mut out = Vec::new();
        assert_eq!(copied(pieces, Show::Json, &mut out).await.unwrap(), 2, "{pieces:?}");
        assert_eq!(String::from_utf8(out).unwrap(), "{\"a\":1}\n{\"b\":2}\n");
    }
    let mut out = Vec::new();
    copied(&["{\"type\":\"lost\",\"time\":\"t\",\"records\":3}\n"], Show::Lines(Style::Plain), &mut out)
        .await
        .unwrap();
    assert!(String::from_utf8(out).unwrap().ends_with("lost              records=3\n"));
}

#[tokio::test]
async fn a_reader_that_went_away_is_no_failure_and_a_full_disk_is() {
    assert_eq!(copied(&["x\n"], Show::Json, &mut Fails(ErrorKind::BrokenPipe)).await.unwrap(), u64::MAX);
    let failure = copied(&["x\n"], Show::Json, &mut Fails(ErrorKind::StorageFull)).await.unwrap_err();
    assert_eq!(exit_code(&failure), 1);
    assert!(failure.to_string().contains("standard output"), "{failure}");
}

#[tokio::test]
async fn a_line_without_end_is_refused() {
    let long: &'static str = "x".repeat(LINE_BYTES + 1).leak();
    let failure = copied(&[long], Show::Json, &mut Vec::new()).await.unwrap_err();
    assert!(failure.to_string().contains("1048576"), "{failure}");
}

#[test]
fn a_refusal_of_the_request_is_a_usage_error_and_one_for_load_is_not() {
    for (status, code) in [(400, 2), (503, 1), (404, 1)] {
        let status = hyper::StatusCode::from_u16(status).unwrap();
        let refused = Refused { status, text: "t".into() };
        assert_eq!(exit_code(&refused.into()), code);
    }
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    events: EventsArgs,
}

#[test]
fn every_flag_is_asked_of_the_agent() {
    let args = "events -f --types oom_kill,lost --since-seq 3 --since 2026-01-01T00:00:00+01:00 --limit 2 \
                --cgroup /a&b --pod u --container 0123456789ab";
    let asked = Cli::parse_from(args.split_whitespace()).events.path_and_query();
    let wanted = "/events?follow=1&types=oom_kill,lost&since_seq=3&since=2025-12-31T23:00:00.000000000Z&limit=2\
                  &cgroup=/a%26b&pod=u&container=0123456789ab";
    assert_eq!(asked, wanted);
    assert_eq!(Cli::parse_from(["events"]).events.path_and_query(), "/events?");
}

#[test]
fn a_time_may_be_how_long_ago() {
    let since =
        |text: &str| Cli::try_parse_from(["events", "--since", text]).map(|cli| cli.events.since.unwrap());
    let ago = since("1h").unwrap().elapsed().unwrap();
    assert!((3600..3605).contains(&ago.as_secs()), "{ago:?}");
    let refused = since("yesterday").unwrap_err().to_string();
    assert!(refused.contains("yesterday") && refused.contains("1h"), "{refused}");
}

#[test]
fn people_get_lines_and_programs_json() {
    let show = |args: &[&str], is_terminal, no_color| {
        Cli::parse_from([&["events"], args].concat()).events.show(is_terminal, no_color)
    };
    assert_eq!(show(&[], true, false), Show::Lines(Style::Coloured));
    assert_eq!(show(&[], true, true), Show::Lines(Style::Plain));
    assert_eq!(show(&[], false, false), Show::Json);
    assert_eq!(show(&["--json"], true, false), Show::Json);
    assert_eq!(show(&["--color", "always", "--explain"], false, false), Show::Explained(Style::Coloured));
    assert!(Cli::try_parse_from(["events", "--explain", "--json"]).is_err());
    assert!(Cli::parse_from(["events", "--explain"]).events.path_and_query().contains("types=oom_kill"));
}
