//! How many of the cgroups that were made, and of the OOM kills, a program reports.

use std::collections::HashSet;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::time::unix_seconds;
use cgtap_tests::{http, load};

use super::peer::{Kind, Process};

/// How long the program has to report: cAdvisor looks at its sources on an interval of its own.
const SETTLE: Duration = Duration::from_secs(5);
const LIMIT_MIB: u64 = 20;

/// How many of a burst's cgroups have an event.
pub(super) fn creations_seen(process: &Process, count: u32) -> Result<f64> {
    let cgroup = TestCgroup::new()?;
    load::burst(cgroup.memory_dir()?, count)?;
    std::thread::sleep(SETTLE);
    let start = format!("{}/burst", cgroup.path());
    let (kind, name) = match process.kind {
        Kind::Cgtap => ("cgroup_created", "/cgroup/path"),
        Kind::Cadvisor => ("creation_events", "/container_name"),
    };
    let found = reported(process, kind)?;
    let ours = found.iter().filter_map(|e| e.pointer(name)?.as_str()).filter(|name| name.starts_with(&start));
    Ok(f64::from(u32::try_from(ours.count())?))
}

/// What was reported of a row of kills.
pub(super) struct Kills {
    /// Kills that have an event, known by their pids, since cAdvisor does not always name the cgroup.
    pub(super) seen: f64,
    /// From the kernel's time in the event to its arrival at a client, the longest; NaN where it is not followed.
    pub(super) longest_way_seconds: f64,
}

/// Kills processes one after the other, with a follower where events can be followed.
pub(super) fn kills_seen(process: &Process, count: u32) -> Result<Kills> {
    let follower = match process.kind {
        Kind::Cgtap => Some(http::Lines::open(process.address, "/events?follow=1&types=oom_kill")?),
        Kind::Cadvisor => None,
    };
    let cgroup = TestCgroup::new()?;
    cgroup.limit_memory(LIMIT_MIB << 20)?;
    let program = load::binary_beside()?;
    let mut killed = Vec::new();
    for _ in 0..count {
        killed.push(u64::from(load::hog(&program, cgroup.memory_dir()?, LIMIT_MIB * 8)?.pid));
    }
    std::thread::sleep(SETTLE);
    let (kind, pid) = match process.kind {
        Kind::Cgtap => ("oom_kill", "/victim/pid"),
        Kind::Cadvisor => ("oom_kill_events", "/event_data/oom/pid"),
    };
    let reported: HashSet<u64> =
        reported(process, kind)?.iter().filter_map(|e| e.pointer(pid)?.as_u64()).collect();
    let seen = killed.iter().filter(|pid| reported.contains(pid)).count();
    let longest_way_seconds = follower.as_ref().map_or(Ok(f64::NAN), longest_way)?;
    Ok(Kills { seen: f64::from(u32::try_from(seen)?), longest_way_seconds })
}

fn longest_way(follower: &http::Lines) -> Result<f64> {
    let mut longest: f64 = 0.0;
    while let Some((came, event)) = follower.next_with_arrival(Duration::ZERO)? {
        let at = unix_seconds(event.pointer("/time").and_then(|t| t.as_str()).unwrap_or_default());
        longest = longest.max(came.duration_since(UNIX_EPOCH)?.as_secs_f64() - at);
    }
    Ok(longest)
}

/// All events of a kind that the program has kept: one JSON line each, or cAdvisor's one array.
fn reported(process: &Process, kind: &str) -> Result<Vec<serde_json::Value>> {
    let path = match process.kind {
        Kind::Cgtap => format!("/events?types={kind}"),
        Kind::Cadvisor => format!("/api/v1.3/events?{kind}=true&subcontainers=true&max_events=100000"),
    };
    let answer = http::get(process.address, &path)?;
    if answer.status != 200 {
        bail!("{path} answered {}", answer.status);
    }
    match process.kind {
        Kind::Cgtap => {
            answer.text()?.lines().map(|l| serde_json::from_str(l).with_context(|| l.to_owned())).collect()
        }
        Kind::Cadvisor => Ok(answer.json()?.as_array().cloned().unwrap_or_default()),
    }
}
