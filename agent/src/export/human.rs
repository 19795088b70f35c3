//! One event in one line, for people at a terminal.

use crate::events::wire::WireEvent;
use crate::model::EventKind;

/// Whether a line has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For a file or a pipe.
    Plain,
    /// For a terminal.
    Coloured,
}

/// The line without its end. Text that is no event is shown as it came.
pub fn line(json: &str, style: Style) -> String {
    let Some(event) = WireEvent::read(json.as_bytes()) else { return printable(json) };
    let kind = printable(&event.type_name);
    let time = printable(event.time.as_deref().map_or("-", |time| time.split('.').next().unwrap_or(time)));
    let rest = details(&event);
    match style {
        Style::Plain => format!("{time:<20} {kind:<17} {rest}"),
        Style::Coloured => {
            format!("\x1b[2m{time:<20}\x1b[0m \x1b[{}m{kind:<17}\x1b[0m {rest}", colour(&event))
        }
    }
}

/// SGR codes: red or yellow for what needs attention, green for a begin, dim for an end.
fn colour(event: &WireEvent<'_>) -> &'static str {
    match &*event.type_name {
        EventKind::OOM_KILL => "1;31",
        EventKind::LOST => "33",
        "agent_started" if event.reason.as_deref() == Some("crash") => "33",
        "agent_started" => "36",
        "cgroup_created" | "container_started" => "32",
        _ => "2",
    }
}

/// All but time and type: the path, then `name=value` words.
pub fn details(event: &WireEvent<'_>) -> String {
    let victim = event.victim.as_deref();
    let container = event.container.as_ref();
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let anon_bytes = victim.and_then(|victim| victim.anon_rss_bytes);
    let named = [
        ("pid", number(victim.and_then(|victim| victim.process_id()).map(u64::from))),
        ("comm", owned(victim.and_then(|victim| victim.comm.as_deref()))),
        ("anon", anon_bytes.map(|bytes| format!("{}KiB", bytes / 1024))),
        ("container", owned(event.container_id().map(short_id))),
        ("name", owned(container.and_then(|container| container.name.as_deref()))),
        ("pod", owned(event.pod_name())),
        ("namespace", owned(event.pod().and_then(|pod| pod.namespace.as_deref()))),
        ("version", owned(event.version.as_deref())),
        ("reason", owned(event.reason.as_deref())),
        ("cgroups", number(event.cgroups)),
        ("records", number(event.records)),
        ("from_seq", number(event.from_seq)),
        ("to_seq", number(event.to_seq)),
    ];
    let mut words = Vec::from_iter(owned(event.path()));
    words.extend(event.renamed_from.as_ref().map(|from| format!("(was {from})")));
    words.extend(named.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))));
    words.extend(event.is_recovered().then(|| "recovered".to_owned()));
    printable(&words.join(" "))
}

/// The first 12 digits of a container's id, as other tools show it.
pub(super) fn short_id(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Escapes control characters: a name from inside a container must not move the cursor.
pub(super) fn printable(text: &str) -> String {
    let one = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        for (json, wanted) in [
            (
                r#"{"seq":1,"time":"2026-11-22T06:12:44.000000001Z","type":"oom_kill","cgroup":{"path":"/a"},
                    "container":{"id":"0123456789abcdef","name":"web","pod":{"uid":"u","namespace":"shop"}},
                    "victim":{"pid":8,"tgid":7,"comm":"hog","anon_rss_bytes":2048}}"#,
                "2026-11-22T06:12:44  oom_kill          /a pid=7 comm=hog anon=2KiB container=0123456789ab name=web pod=u namespace=shop",
            ),
            (
                r#"{"type":"lost","from_seq":3,"to_seq":9}"#,
                "-                    lost              from_seq=3 to_seq=9",
            ),
            (
                r#"{"time":"t","type":"agent_started","version":"1.2","cgroups":5}"#,
                "t                    agent_started     version=1.2 cgroups=5",
            ),
            (
                r#"{"time":"t","type":"cgroup_created","cgroup":{"path":"/b"},"renamed_from":"/a"}"#,
                "t                    cgroup_created    /b (was /a)",
            ),
            ("no json", "no json"),
        ] {
            assert_eq!(line(json, Style::Plain), wanted);
        }
    }

    #[test]
    fn on_a_terminal_the_type_has_a_colour() {
        let shown = line(r#"{"time":"t","type":"oom_kill","cgroup":{"path":"/\u001b[1m"}}"#, Style::Coloured);
        assert_eq!(
            shown,
            "\x1b[2mt                   \x1b[0m \x1b[1;31moom_kill         \x1b[0m /\\u{1b}[1m"
        );
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        let shown =
            line(r#"{"type":"oom_kill","victim":{"pid":1,"comm":"\u001b[2J\u009b\n"}}"#, Style::Plain);
        assert!(!shown.contains(char::is_control), "{shown:?}");
        assert!(shown.ends_with(r"comm=\u{1b}[2J\u{9b}\n"), "{shown:?}");
    }
}
