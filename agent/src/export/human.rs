//! One event in one line, for people at a terminal.

use serde_json::Value;

use crate::model::EventKind;

/// Whether a line has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For a file or a pipe.
    Plain,
    /// For a terminal.
    Coloured,
}

/// The line without its end. What cannot be read as an event is shown as it came.
#[must_use]
pub fn line(json: &str, style: Style) -> String {
    let Ok(event) = serde_json::from_str::<Value>(json) else { return printable(json) };
    let kind = printable(text(&event, "/type").unwrap_or("?"));
    let time = printable(text(&event, "/time").map_or("-", to_second));
    let rest = details(&event);
    match style {
        Style::Plain => format!("{time:<20} {kind:<17} {rest}"),
        Style::Coloured => {
            format!("\x1b[2m{time:<20}\x1b[0m \x1b[{}m{kind:<17}\x1b[0m {rest}", colour(&event, &kind))
        }
    }
}

/// SGR: what needs somebody is red or yellow, what begins green, what ends dim.
fn colour(event: &Value, kind: &str) -> &'static str {
    match kind {
        EventKind::OOM_KILL => "1;31",
        EventKind::LOST => "33",
        "agent_started" if text(event, "/reason") == Some("crash") => "33",
        "agent_started" => "36",
        "cgroup_created" | "container_started" => "32",
        _ => "2",
    }
}

/// What it is about, in words that name themselves.
#[must_use]
pub fn details(event: &Value) -> String {
    let mut words = Vec::new();
    words.extend(text(event, "/cgroup/path").map(str::to_owned));
    words.extend(text(event, "/renamed_from").map(|from| format!("(was {from})")));
    words.extend(victim(event));
    words.extend(short(event, "container", "/container/id"));
    words.extend(text(event, "/container/name").map(|name| format!("name={name}")));
    let pod = text(event, "/container/pod/name").or_else(|| text(event, "/container/pod/uid"));
    words.extend(pod.map(|pod| format!("pod={pod}")));
    words.extend(text(event, "/container/pod/namespace").map(|name| format!("namespace={name}")));
    for (name, at) in [
        ("version", "/version"),
        ("reason", "/reason"),
        ("cgroups", "/cgroups"),
        ("records", "/records"),
        ("from_seq", "/from_seq"),
        ("to_seq", "/to_seq"),
    ] {
        words.extend(event.pointer(at).map(|value| format!("{name}={}", bare(value))));
    }
    if text(event, "/source") == Some("recovered") {
        words.push("recovered".to_owned());
    }
    printable(&words.join(" "))
}

fn victim(event: &Value) -> Option<String> {
    let victim = event.get("victim")?;
    let id = victim.get("tgid").or_else(|| victim.get("pid"))?;
    let mut words = format!("pid={id}");
    if let Some(comm) = text(victim, "/comm") {
        words.push_str(&format!(" comm={comm}"));
    }
    if let Some(bytes) = victim.get("anon_rss_bytes").and_then(Value::as_u64) {
        words.push_str(&format!(" anon={}KiB", bytes / 1024));
    }
    Some(words)
}

fn text<'a>(value: &'a Value, at: &str) -> Option<&'a str> {
    value.pointer(at)?.as_str()
}

fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// As every tool of this field cuts them.
fn short(event: &Value, name: &str, at: &str) -> Option<String> {
    text(event, at).map(|id| format!("{name}={}", id.get(..12).unwrap_or(id)))
}

/// Nanoseconds are for machines.
fn to_second(time: &str) -> &str {
    time.split('.').next().unwrap_or(time)
}

/// Names come from inside containers: none may move the cursor.
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
