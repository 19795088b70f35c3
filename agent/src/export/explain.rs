//! An OOM kill in plain words: which limit, how full, who was killed and why that one, what was seen before.

use serde_json::Value;

use super::human::printable;
use crate::model::EventKind;

/// A few lines for people; `None` for what is no OOM kill.
#[must_use]
pub fn explain(json: &str) -> Option<String> {
    let event: Value = serde_json::from_str(json).ok()?;
    if text(&event, "/type") != Some(EventKind::OOM_KILL) {
        return None;
    }
    let sentences =
        [whose(&event), limit(&event), trigger(&event), victim(&event), why(&event), before(&event)];
    Some(sentences.into_iter().flatten().map(|sentence| format!("  {}\n", printable(&sentence))).collect())
}

fn text<'a>(event: &'a Value, at: &str) -> Option<&'a str> {
    event.pointer(at)?.as_str()
}

fn number(event: &Value, at: &str) -> Option<u64> {
    event.pointer(at)?.as_u64()
}

fn whose(event: &Value) -> Option<String> {
    let mut words = match text(event, "/cgroup/path") {
        Some(path) => format!("A process of the cgroup {path} was killed for memory"),
        None => "A process was killed for memory; in which cgroup is not known".to_owned(),
    };
    if let Some(name) = text(event, "/container/name") {
        words.push_str(&format!(", in the container {name}"));
    } else if let Some(id) = text(event, "/container/id") {
        words.push_str(&format!(", in the container {}", id.get(..12).unwrap_or(id)));
    }
    if let Some(pod) = text(event, "/container/pod/name").or_else(|| text(event, "/container/pod/uid")) {
        words.push_str(&format!(" of the pod {pod}"));
    }
    if text(event, "/source") == Some("recovered") {
        words.push_str("; no agent ran then, and the kernel's count and log told of it later");
    }
    Some(words + ".")
}

fn limit(event: &Value) -> Option<String> {
    let sentence = match text(event, "/constraint")? {
        "memcg" => memcg(event),
        "none" => "The whole machine was out of memory: no cgroup's limit was met.".to_owned(),
        "cpuset" => "The memory nodes of its cpuset were full: no cgroup's limit was met.".to_owned(),
        "memory_policy" => {
            "The memory nodes of its memory policy were full: no cgroup's limit was met.".to_owned()
        }
        other => format!("The kernel's constraint was {other}."),
    };
    Some(sentence)
}

fn memcg(event: &Value) -> String {
    let owner = match (text(event, "/limit_owner/kind"), text(event, "/limit_owner/path")) {
        (Some("container"), _) => "the container's memory limit".to_owned(),
        (Some("pod"), Some(path)) => {
            format!("the memory limit of its pod ({path}), which all its containers share")
        }
        (Some("qos"), Some(path)) => format!("the memory limit of its class of pods ({path})"),
        (_, Some(path)) => format!("the memory limit of {path}"),
        _ => "a memory cgroup's limit".to_owned(),
    };
    let mut words = match number(event, "/limit_owner/limit_bytes") {
        Some(limit) => format!("It met {owner}: {}", size(limit)),
        None => format!("It met {owner}"),
    };
    if let Some(usage) = number(event, "/limit_owner/usage_bytes") {
        words.push_str(&format!(", of which {} were in use", size(usage)));
    }
    match number(event, "/limit_owner/swap_usage_bytes") {
        Some(0) => words.push_str(", and nothing in swap"),
        Some(swap) => words.push_str(&format!(", and {} in swap", size(swap))),
        None => {}
    }
    words + "."
}

fn trigger(event: &Value) -> Option<String> {
    let pid = number(event, "/trigger/pid")?;
    let victim = number(event, "/victim/tgid");
    let comm = text(event, "/trigger/comm").unwrap_or("a process");
    if victim == Some(pid) {
        return Some("It was this process itself that asked for memory when there was none.".to_owned());
    }
    Some(format!("{comm} (pid {pid}) asked for memory when there was none."))
}

fn victim(event: &Value) -> Option<String> {
    let victim = event.get("victim")?;
    let pid = number(victim, "/tgid").or_else(|| number(victim, "/pid"))?;
    let mut words = format!("Killed: {} (pid {pid}", text(victim, "/comm").unwrap_or("a process"));
    if let Some(uid) = number(victim, "/uid") {
        words.push_str(&format!(", uid {uid}"));
    }
    words.push(')');
    let parts = [
        ("anonymous memory", "/anon_rss_bytes"),
        ("of files", "/file_rss_bytes"),
        ("shared", "/shmem_rss_bytes"),
        ("swapped out", "/swap_bytes"),
        ("page tables", "/pgtables_bytes"),
    ];
    let held = parts.into_iter().filter_map(|(name, at)| {
        let bytes = number(victim, at).filter(|bytes| *bytes > 0)?;
        Some(format!("{} {name}", size(bytes)))
    });
    let held: Vec<String> = held.collect();
    if !held.is_empty() {
        words.push_str(&format!(". It held {}", held.join(", ")));
    }
    Some(words + ".")
}

/// `oom_badness` in `mm/oom_kill.c`: resident and swapped pages and page tables, and the adjustment as a share of what is
/// allowed.
fn why(event: &Value) -> Option<String> {
    if event.get("group_kill").and_then(Value::as_bool) == Some(true) {
        return Some(
            "Why: memory.oom.group is set, so all processes of the cgroup are killed together.".to_owned(),
        );
    }
    let adjustment = event.pointer("/victim/oom_score_adj")?.as_i64()?;
    let among = match text(event, "/constraint") {
        Some("memcg") => "of the processes under this limit",
        _ => "of all processes",
    };
    Some(match adjustment {
        1000 => format!("Why this one: its oom_score_adj is 1000, the kernel's first choice {among}."),
        0 => format!(
            "Why this one: {among} it held the most memory; its oom_score_adj is 0, which changes nothing."
        ),
        adjustment if adjustment > 0 => format!(
            "Why this one: {among} it had the highest score: the memory that it held, and {} % of what is allowed on top for its oom_score_adj of {adjustment}.",
            tenths(adjustment.unsigned_abs())
        ),
        adjustment => format!(
            "Why this one: {among} it had the highest score, although its oom_score_adj of {adjustment} takes {} % of what is allowed from it.",
            tenths(adjustment.unsigned_abs())
        ),
    })
}

/// Thousandths as per cent.
fn tenths(thousandths: u64) -> String {
    format!("{}.{}", thousandths / 10, thousandths % 10)
}

fn before(event: &Value) -> Option<String> {
    let sample = event.get("last_sample")?;
    let age = sample.get("age_seconds")?.as_f64()?;
    let working_set = number(sample, "/working_set_bytes");
    let limit = number(sample, "/limit_bytes");
    let mut words = format!("{age:.1} s before, the last scrape saw");
    match (working_set, limit) {
        (Some(used), Some(limit)) if limit > 0 => {
            words.push_str(&format!(
                " a working set of {} of {} ({} %)",
                size(used),
                size(limit),
                used.saturating_mul(100) / limit
            ));
        }
        (Some(used), _) => words.push_str(&format!(" a working set of {}", size(used))),
        _ => words.push_str(" its memory"),
    }
    let parts = [("anonymous", "/anon_bytes"), ("files", "/file_bytes"), ("kernel", "/kernel_bytes")];
    let parts =
        parts.into_iter().filter_map(|(name, at)| Some(format!("{name} {}", size(number(sample, at)?))));
    let parts: Vec<String> = parts.collect();
    if !parts.is_empty() {
        words.push_str(&format!(": {}", parts.join(", ")));
    }
    Some(words + ".")
}

/// As people read it, to a tenth.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 3] = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match UNITS.iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_under_a_limit() {
        let json = r#"{"seq":1,"time":"t","type":"oom_kill","source":"tp_btf","cgroup":{"path":"/pod/c"},
            "container":{"id":"0123456789abcdef","pod":{"uid":"u-1"}},"constraint":"memcg",
            "limit_owner":{"path":"/pod/c","kind":"container","usage_bytes":67108864,"limit_bytes":67108864,"swap_usage_bytes":0},
            "victim":{"pid":7,"tgid":7,"comm":"hog","uid":0,"oom_score_adj":0,"anon_rss_bytes":60000000,"file_rss_bytes":4096,
            "shmem_rss_bytes":0,"pgtables_bytes":122880},"trigger":{"pid":7,"comm":"hog"},"group_kill":false,
            "last_sample":{"age_seconds":3.25,"working_set_bytes":52428800,"anon_bytes":50331648,"limit_bytes":67108864}}"#;
        let wanted = "  A process of the cgroup /pod/c was killed for memory, in the container 0123456789ab of the pod u-1.
  It met the container's memory limit: 64.0 MiB, of which 64.0 MiB were in use, and nothing in swap.
  It was this process itself that asked for memory when there was none.
  Killed: hog (pid 7, uid 0). It held 57.2 MiB anonymous memory, 4.0 KiB of files, 120.0 KiB page tables.
  Why this one: of the processes under this limit it held the most memory; its oom_score_adj is 0, which changes nothing.
  3.2 s before, the last scrape saw a working set of 50.0 MiB of 64.0 MiB (78 %): anonymous 48.0 MiB.
";
        assert_eq!(explain(json).unwrap(), wanted);
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let nothing = explain(r#"{"type":"oom_kill","source":"recovered","victim":{}}"#).unwrap();
        assert_eq!(nothing.lines().count(), 1, "{nothing}");
        assert!(nothing.contains("not known") && nothing.contains("no agent ran"), "{nothing}");
        assert_eq!(explain(r#"{"type":"cgroup_created"}"#), None);
        assert_eq!(explain("no json"), None);
    }

    #[test]
    fn each_reason_has_its_words() {
        for (fields, wanted) in [
            (r#""constraint":"none""#, "whole machine"),
            (r#""constraint":"cpuset""#, "cpuset"),
            (r#""constraint":"memcg","limit_owner":{"kind":"pod","path":"/p"}"#, "its containers share"),
            (r#""group_kill":true,"victim":{"oom_score_adj":5}"#, "memory.oom.group"),
            (r#""victim":{"oom_score_adj":1000}"#, "first choice of all processes"),
            (r#""victim":{"oom_score_adj":985}"#, "98.5 % of what is allowed on top"),
            (r#""victim":{"oom_score_adj":-500}"#, "takes 50.0 %"),
            (r#""trigger":{"pid":9,"comm":"asker"},"victim":{"tgid":7}"#, "asker (pid 9) asked"),
        ] {
            let told = explain(&format!("{{\"type\":\"oom_kill\",{fields}}}")).unwrap();
            assert!(told.contains(wanted), "{fields}: {told}");
        }
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        let told = explain(
            r#"{"type":"oom_kill","cgroup":{"path":"/\u001b[2J"},"victim":{"tgid":1,"comm":"\u0007"}}"#,
        );
        assert!(told.unwrap().lines().all(|line| !line.contains(char::is_control)));
    }
}
