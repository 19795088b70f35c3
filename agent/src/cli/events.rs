//! `cgtap events`: the events of a running agent on standard output.

use std::io::{self, ErrorKind, IsTerminal, Write};

use bytes::Bytes;
use clap::Args;
use clap::builder::PossibleValuesParser;
use http_body_util::BodyExt;
use hyper::body::Body;

use super::client::{self, ClientError};
use super::url::{AgentUrl, encode};
use super::{Failure, single_thread};
use crate::export::human;
use crate::model::EventKind;

/// No event comes near this; what does is no agent.
const LINE_BYTES: usize = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Where the agent answers: http://HOST:PORT or unix:/path
    #[arg(long, env = "CGTAP_URL", default_value = "http://127.0.0.1:8080")]
    url: AgentUrl,
    /// Go on with each new event; without --since and --since-seq from now on
    #[arg(long, short)]
    follow: bool,
    /// Only these types
    #[arg(long, value_name = "TYPE,...", value_delimiter = ',',
          value_parser = PossibleValuesParser::new(EventKind::TYPE_NAMES))]
    types: Vec<String>,
    /// Only events with a greater number
    #[arg(long, value_name = "N")]
    since_seq: Option<u64>,
    /// Only events since this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// End after so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Only this cgroup and those below it
    #[arg(long, value_name = "PATH")]
    cgroup: Option<String>,
    /// Only this pod
    #[arg(long, value_name = "UID")]
    pod: Option<String>,
    /// Only this container: its id or the first 12 digits
    #[arg(long, value_name = "ID")]
    container: Option<String>,
    /// Print JSON on a terminal too
    #[arg(long)]
    json: bool,
}

impl EventsArgs {
    fn path_and_query(&self) -> String {
        let types = (!self.types.is_empty()).then(|| self.types.join(","));
        let parameters = [
            ("follow", self.follow.then(|| "1".to_owned())),
            ("types", types),
            ("since_seq", self.since_seq.map(|seq| seq.to_string())),
            ("since", self.since.clone()),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("cgroup", self.cgroup.clone()),
            ("pod", self.pod.clone()),
            ("container", self.container.clone()),
        ];
        let given = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let query: Vec<String> = given.map(|(name, value)| format!("{name}={}", encode(&value))).collect();
        format!("/events?{}", query.join("&"))
    }
}

pub(super) fn run(args: &EventsArgs) -> Result<(), Failure> {
    let json = args.json || !io::stdout().is_terminal();
    single_thread()?.block_on(async {
        let body = client::get(&args.url, &args.path_and_query()).await?;
        let lines = copy(body, json, &mut io::stdout()).await?;
        let enough = !args.follow || args.limit.is_some_and(|limit| lines >= limit);
        if enough { Ok(()) } else { Err(Failure::running("the agent ended the stream")) }
    })
}

/// A request that the agent does not understand is the caller's mistake.
impl From<ClientError> for Failure {
    fn from(err: ClientError) -> Self {
        match &err {
            ClientError::Refused { status, .. } if status.as_u16() == 400 => Self::usage(err.to_string()),
            _ => Self::running(err.to_string()),
        }
    }
}

/// Prints each line when it is whole; answers how many. A reader that went away ends it as if all were printed.
async fn copy<B>(mut body: B, json: bool, out: &mut impl Write) -> Result<u64, Failure>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let (mut pending, mut lines) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(ClientError::from)?;
        pending.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        let whole = pending.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let rest = pending.split_off(whole);
        if rest.len() > LINE_BYTES {
            return Err(Failure::running(format!("the agent sends a line of more than {LINE_BYTES} bytes")));
        }
        let shown = std::mem::replace(&mut pending, rest);
        lines += u64::try_from(shown.iter().filter(|&&byte| byte == b'\n').count()).unwrap_or(u64::MAX);
        let shown = if json { shown } else { for_people(&shown) };
        match out.write_all(&shown).and_then(|()| out.flush()) {
            Err(err) if err.kind() == ErrorKind::BrokenPipe => return Ok(u64::MAX),
            Err(err) => return Err(Failure::running(format!("cannot write to standard output: {err}"))),
            Ok(()) => {}
        }
    }
    Ok(lines)
}

fn for_people(lines: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(lines);
    text.lines().map(|line| human::line(line) + "\n").collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests;
