//! An OOM kill in plain words: which limit, how full, which process was killed and why, and what was seen before.

use super::human::{printable, short_id};
use crate::events::wire::{WireEvent, WireLimitOwner};

/// A few lines for people; `None` for other events.
pub fn explain(json: &str) -> Option<String> {
    let event = WireEvent::read(json.as_bytes()).filter(WireEvent::is_oom_kill)?;
    let sentences =
        [place(&event), limit(&event), trigger(&event), victim(&event), reason(&event), before(&event)];
    Some(sentences.into_iter().flatten().map(|sentence| format!("  {}\n", printable(&sentence))).collect())
}

fn place(event: &WireEvent<'_>) -> Option<String> {
    let mut words = match event.path() {
        Some(path) => format!("The kernel killed a process of cgroup {path} because memory ran out"),
        None => "The kernel killed a process because memory ran out; its cgroup is not known".to_owned(),
    };
    let name = event.container.as_ref().and_then(|container| container.name.as_deref());
    let container = name.or_else(|| event.container_id().map(short_id));
    let owners = [("container", container), ("pod", event.pod_name())];
    words += &listed(" (", owners.map(|(kind, name)| Some(format!("{kind} {}", name?))), ")");
    if event.is_recovered() {
        words.push_str(". No agent was running then: the kernel's counts and log showed the kill later");
    }
    Some(words + ".")
}

fn limit(event: &WireEvent<'_>) -> Option<String> {
    let sentence = match event.constraint.as_deref()? {
        "memcg" => memcg(event.limit_owner.as_deref().unwrap_or(&WireLimitOwner::default())),
        "none" => "The whole machine was out of memory; no cgroup had reached its limit.".to_owned(),
        nodes @ ("cpuset" | "memory_policy") => {
            let nodes = nodes.replace('_', " ");
            format!("The memory nodes of its {nodes} were full; no cgroup had reached its limit.")
        }
        other => format!("The kernel's constraint was {other}."),
    };
    Some(sentence)
}

fn memcg(owner: &WireLimitOwner<'_>) -> String {
    let words = match (owner.kind.as_deref(), owner.path.as_deref()) {
        (Some("container"), _) => "The container had reached its memory limit".to_owned(),
        (Some("pod"), Some(path)) => {
            format!("The pod ({path}) had reached its memory limit, which all its containers share")
        }
        (Some("qos"), Some(path)) => {
            format!("The pods of its QoS class ({path}) had reached their memory limit")
        }
        (_, Some(path)) => format!("Cgroup {path} had reached its memory limit"),
        _ => "A cgroup had reached its memory limit".to_owned(),
    };
    let parts = [
        owner.limit_bytes.map(|limit| format!("the limit was {}", size(limit))),
        owner.usage_bytes.map(|usage| format!("{} were in use", size(usage))),
        owner.swap_usage_bytes.map(|swap| match swap {
            0 => "nothing was in swap".to_owned(),
            swap => format!("{} were in swap", size(swap)),
        }),
    ];
    words + &listed(": ", parts, "") + "."
}

fn trigger(event: &WireEvent<'_>) -> Option<String> {
    let trigger = event.trigger.as_deref()?;
    let pid = trigger.pid?;
    if event.victim.as_ref().and_then(|victim| victim.tgid) == Some(pid) {
        return Some("The killed process itself had asked for memory when none was left.".to_owned());
    }
    let comm = trigger.comm.as_deref().unwrap_or("A process");
    Some(format!("{comm} (pid {pid}) had asked for memory when none was left."))
}

fn victim(event: &WireEvent<'_>) -> Option<String> {
    let victim = event.victim.as_deref()?;
    let pid = victim.process_id()?;
    let uid = victim.uid.map(|uid| format!(", uid {uid}")).unwrap_or_default();
    let comm = victim.comm.as_deref().unwrap_or("a process");
    let held = [
        ("anonymous memory", victim.anon_rss_bytes),
        ("file pages", victim.file_rss_bytes),
        ("shared memory", victim.shmem_rss_bytes),
        ("swap", victim.swap_bytes),
        ("page tables", victim.pgtables_bytes),
    ];
    let held = held.map(|(name, bytes)| {
        let bytes = bytes.filter(|bytes| *bytes > 0)?;
        Some(format!("{} of {name}", size(bytes)))
    });
    let held = listed(" It held ", held, ".");
    Some(format!("Killed: {comm} (pid {pid}{uid}).{held}"))
}

/// `oom_badness` in `mm/oom_kill.c`: resident pages, swapped pages and page tables, and the adjustment in thousandths of
/// the allowed memory.
fn reason(event: &WireEvent<'_>) -> Option<String> {
    if event.group_kill == Some(true) {
        return Some(
            "Why: memory.oom.group is set, so the kernel kills all processes of the cgroup.".to_owned(),
        );
    }
    let adjustment = event.victim.as_ref()?.oom_score_adj?;
    let among = match event.constraint.as_deref() {
        Some("memcg") => "of the processes under this limit",
        _ => "of all processes",
    };
    let thousandths = adjustment.unsigned_abs();
    let percent = format!("{}.{} %", thousandths / 10, thousandths % 10);
    let why = match adjustment {
        1000 => format!("the kernel kills it first {among}: its oom_score_adj is 1000"),
        0 => format!("{among} it held the most memory; its oom_score_adj is 0, which changes nothing"),
        1.. => format!(
            "{among} it had the highest score: its memory, and {percent} of the allowed memory on top for its oom_score_adj of {adjustment}"
        ),
        _ => format!(
            "{among} it had the highest score, although its oom_score_adj of {adjustment} subtracts {percent} of the allowed memory"
        ),
    };
    Some(format!("Why this process: {why}."))
}

fn before(event: &WireEvent<'_>) -> Option<String> {
    let sample = event.last_sample.as_deref()?;
    let working_set = match (sample.working_set_bytes, sample.limit_bytes) {
        (Some(used), Some(limit)) if limit > 0 => {
            let percent = used.saturating_mul(100) / limit;
            format!("a working set of {} of {} ({percent} %)", size(used), size(limit))
        }
        (Some(used), _) => format!("a working set of {}", size(used)),
        _ => "its memory".to_owned(),
    };
    let parts =
        [("anonymous", sample.anon_bytes), ("files", sample.file_bytes), ("kernel", sample.kernel_bytes)];
    let parts = listed(": ", parts.map(|(name, bytes)| Some(format!("{name} {}", size(bytes?)))), "");
    Some(format!("{:.1} s before, the last scrape saw {working_set}{parts}.", sample.age_seconds?))
}

/// The known parts between two texts; empty when none is known.
fn listed<const N: usize>(before: &str, parts: [Option<String>; N], after: &str) -> String {
    let known = Vec::from_iter(parts.into_iter().flatten());
    if known.is_empty() { String::new() } else { format!("{before}{}{after}", known.join(", ")) }
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
        let wanted = "  The kernel killed a process of cgroup /pod/c because memory ran out (container 0123456789ab, pod u-1).
  The container had reached its memory limit: the limit was 64.0 MiB, 64.0 MiB were in use, nothing was in swap.
  The killed process itself had asked for memory when none was left.
  Killed: hog (pid 7, uid 0). It held 57.2 MiB of anonymous memory, 4.0 KiB of file pages, 120.0 KiB of page tables.
  Why this process: of the processes under this limit it held the most memory; its oom_score_adj is 0, which changes nothing.
  3.2 s before, the last scrape saw a working set of 50.0 MiB of 64.0 MiB (78 %): anonymous 48.0 MiB.
";
        assert_eq!(explain(json).unwrap(), wanted);
    }

    #[test]
    fn unknown_values_are_left_out() {
        let nothing = explain(r#"{"type":"oom_kill","source":"recovered","victim":{}}"#).unwrap();
        assert_eq!(nothing.lines().count(), 1, "{nothing}");
        assert!(nothing.contains("not known") && nothing.contains("No agent was running"), "{nothing}");
        assert_eq!(explain(r#"{"type":"cgroup_created"}"#), None);
        assert_eq!(explain("no json"), None);
    }

    #[test]
    fn each_constraint_and_reason_is_explained() {
        for (fields, wanted) in [
            (r#""constraint":"none""#, "whole machine"),
            (r#""constraint":"cpuset""#, "cpuset"),
            (r#""constraint":"memcg","limit_owner":{"kind":"pod","path":"/p"}"#, "its containers share"),
            (r#""group_kill":true,"victim":{"oom_score_adj":5}"#, "memory.oom.group"),
            (r#""victim":{"oom_score_adj":1000}"#, "first of all processes"),
            (r#""victim":{"oom_score_adj":985}"#, "98.5 % of the allowed memory on top"),
            (r#""victim":{"oom_score_adj":-500}"#, "subtracts 50.0 %"),
            (r#""trigger":{"pid":9,"comm":"asker"},"victim":{"tgid":7}"#, "asker (pid 9) had asked"),
        ] {
            let explained = explain(&format!("{{\"type\":\"oom_kill\",{fields}}}")).unwrap();
            assert!(explained.contains(wanted), "{fields}: {explained}");
        }
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        let explained = explain(
            r#"{"type":"oom_kill","cgroup":{"path":"/\u001b[2J"},"victim":{"tgid":1,"comm":"\u0007"}}"#,
        );
        assert!(explained.unwrap().lines().all(|line| !line.contains(char::is_control)));
    }
}
