//! `cgtap events`: the events of a running agent on standard output.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::SystemTime;

use anyhow::Context;
use bytes::Bytes;
use clap::builder::PossibleValuesParser;
use clap::{Args, ColorChoice};
use http_body_util::BodyExt;
use hyper::body::Body;

use super::client::{self, BROKEN};
use super::url::{AgentUrl, encode};
use super::{NO_OUTPUT, single_thread};
use crate::export::explain;
use crate::export::human::{self, Style};
use crate::model::{EventKind, rfc3339};

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
    /// Only events since this time: RFC 3339, or how long ago (1h, 30m)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<SystemTime>,
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
    /// Say in plain words what happened, for each OOM kill; other events are left out unless --types names them
    #[arg(long, conflicts_with = "json")]
    explain: bool,
    /// Colours: on a terminal unless NO_COLOR is set, always, or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

/// A time, or the time so long ago.
fn since(text: &str) -> Result<SystemTime, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return SystemTime::now().checked_sub(ago).ok_or_else(|| format!("{text:?} ago is no time"));
    }
    rfc3339::parse(text).map_err(|err| format!("{err}; or how long ago, as 1h or 30m"))
}

/// What is made of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    Json,
    Lines(Style),
    Explained(Style),
}

impl EventsArgs {
    fn path_and_query(&self) -> String {
        let types = match self.types.as_slice() {
            [] if self.explain => Some(EventKind::OOM_KILL.to_owned()),
            [] => None,
            types => Some(types.join(",")),
        };
        let parameters = [
            ("follow", self.follow.then(|| "1".to_owned())),
            ("types", types),
            ("since_seq", self.since_seq.map(|seq| seq.to_string())),
            ("since", self.since.map(rfc3339::format)),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("cgroup", self.cgroup.clone()),
            ("pod", self.pod.clone()),
            ("container", self.container.clone()),
        ];
        let given = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let query: Vec<String> = given.map(|(name, value)| format!("{name}={}", encode(&value))).collect();
        format!("/events?{}", query.join("&"))
    }

    /// JSON for programs, lines for people.
    fn show(&self, is_terminal: bool, no_color: bool) -> Show {
        let coloured = match self.color {
            ColorChoice::Auto => is_terminal && !no_color,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        let style = if coloured { Style::Coloured } else { Style::Plain };
        match (self.explain, self.json || !is_terminal) {
            (true, _) => Show::Explained(style),
            (false, true) => Show::Json,
            (false, false) => Show::Lines(style),
        }
    }
}

pub(super) fn run(args: &EventsArgs) -> anyhow::Result<()> {
    // https://no-color.org
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let show = args.show(io::stdout().is_terminal(), no_color);
    single_thread()?.block_on(async {
        let body = client::get(&args.url, &args.path_and_query()).await?;
        let lines = copy(body, show, &mut io::stdout()).await?;
        let enough = !args.follow || args.limit.is_some_and(|limit| lines >= limit);
        anyhow::ensure!(enough, "the agent ended the stream");
        Ok(())
    })
}

/// Prints each line when it is whole; answers how many. A reader that went away ends it as if all were printed.
async fn copy<B>(mut body: B, show: Show, out: &mut impl Write) -> anyhow::Result<u64>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let (mut pending, mut lines) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.context(BROKEN)?;
        pending.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        let whole = pending.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let rest = pending.split_off(whole);
        if rest.len() > LINE_BYTES {
            anyhow::bail!("the agent sends a line of more than {LINE_BYTES} bytes");
        }
        let shown = std::mem::replace(&mut pending, rest);
        lines += u64::try_from(shown.iter().filter(|&&byte| byte == b'\n').count()).unwrap_or(u64::MAX);
        let shown = match show {
            Show::Json => shown,
            Show::Lines(style) => for_people(&shown, |line| human::line(line, style) + "\n"),
            Show::Explained(style) => for_people(&shown, |line| {
                human::line(line, style) + "\n" + &explain(line).unwrap_or_default()
            }),
        };
        match out.write_all(&shown).and_then(|()| out.flush()) {
            Err(err) if err.kind() == ErrorKind::BrokenPipe => return Ok(u64::MAX),
            Err(err) => return Err(err).context(NO_OUTPUT),
            Ok(()) => {}
        }
    }
    Ok(lines)
}

fn for_people(lines: &[u8], line: impl Fn(&str) -> String) -> Vec<u8> {
    let text = String::from_utf8_lossy(lines);
    text.lines().map(line).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests;
