//! The rungs of both ladders: which of them this host offers, which serves, and why the others do not.

use std::io;
use std::sync::Arc;

use super::cgroups::CgroupSource;
use super::counts::{CountSource, Counts};
use super::kernel_log::{self, Log, LogSource};
use super::ring_with_paths::RingWithPaths;
use super::tree::Tree;
use crate::files::{HostRoot, KillCounters};
use crate::kernel::{LifecycleRing, Paths};
use crate::model::{CgroupVersion, Hierarchy, Hook, HookStatus, Ladder, Offer, OfferState, Source};

/// The source of cgroup events, and why the directories are not watched.
pub(crate) struct CgroupRung {
    pub(crate) source: Option<CgroupSource>,
    /// Not every directory is watched: walks must find the others.
    pub(crate) watches_tree: bool,
    pub(crate) tree_refused: Option<String>,
}

/// Picks the source of cgroup events. Must come before the first walk, inside the runtime of the event path.
///
/// `programs_read_paths` says whether BPF programs may read paths, `may_watch` whether the settings allow to watch directories.
///
/// # Errors
/// When a thread cannot be started.
pub(crate) fn cgroups(
    ring: Option<LifecycleRing>,
    programs_read_paths: bool,
    may_watch: bool,
    hierarchies: &Arc<[Hierarchy]>,
) -> io::Result<CgroupRung> {
    let not_wanted = (!may_watch).then(|| "not wanted by the settings".to_owned());
    if let Some(ring) = ring {
        let source = match paths(programs_read_paths, hierarchies) {
            Some(paths) => CgroupSource::Thread(RingWithPaths::start(ring, paths)?),
            None => CgroupSource::Ring(Box::new(ring)),
        };
        return Ok(CgroupRung { source: Some(source), watches_tree: false, tree_refused: not_wanted });
    }
    let tree = match not_wanted {
        Some(why) => Err(why),
        None => Tree::start(hierarchies.clone()).map_err(|error| error.to_string()),
    };
    let tree_refused = tree.as_ref().err().cloned();
    let source = tree.ok().map(CgroupSource::Thread);
    Ok(CgroupRung { watches_tree: source.is_some(), source, tree_refused })
}

/// What finds paths where the programs may not read them.
fn paths(programs_read_paths: bool, hierarchies: &[Hierarchy]) -> Option<Paths> {
    if programs_read_paths {
        return None;
    }
    let opened = Paths::open(hierarchies);
    if let Err(error) = &opened {
        tracing::warn!(%error, "cgroups cannot be found by their ids: a walk finds the paths of new ones");
    }
    opened.ok()
}

/// The rungs of kills below BPF, and the kernel log beside all of them.
pub(crate) struct KillRung {
    /// The rung that serves; none where BPF does.
    pub(crate) serves: Option<Source>,
    pub(crate) counts: Option<CountSource>,
    pub(crate) log: LogSource,
    /// Whether the kernel log is read.
    pub(crate) reads_log: bool,
    /// Why better rungs of those do not serve.
    pub(crate) refused: Vec<String>,
    /// The rungs that need no BPF, and why one cannot be had.
    pub(crate) found: Vec<(Source, Result<(), String>)>,
}

/// Opens each rung below BPF once, and keeps the first that serves of `wanted`, unless BPF does. Of the log, what was there before
/// is of interest after the record `log_after`.
///
/// # Errors
/// When a thread cannot be started.
pub(crate) fn kills(
    host: &HostRoot,
    hierarchies: &[Hierarchy],
    wanted: &[Source],
    has_bpf: bool,
    log_after: Option<u64>,
) -> io::Result<KillRung> {
    let counters = |version| KillCounters::open(hierarchies, version);
    let (v2, v1) = (counters(CgroupVersion::V2), counters(CgroupVersion::V1));
    let log = Log::open(host, log_after).map_err(|error| error.to_string());
    let why = |refused: Option<&String>| refused.cloned().map_or(Ok(()), Err);
    let found = vec![
        (Source::MemoryEvents, why(v2.as_ref().err())),
        (Source::OomControl, why(v1.as_ref().err())),
        (Source::Kmsg, why(log.as_ref().err())),
    ];
    let is_there = |rung: &Source| found.iter().any(|(source, tried)| source == rung && tried.is_ok());
    let serves = wanted.iter().copied().filter(|_| !has_bpf).find(is_there);
    let counters = match serves {
        Some(Source::MemoryEvents) => v2.ok(),
        Some(Source::OomControl) => v1.ok(),
        _ => None,
    };
    let counts =
        serves.zip(counters).map(|(source, counters)| Counts::start(counters, source)).transpose()?;
    let better = wanted.iter().filter(|_| !has_bpf).take_while(|rung| serves != Some(**rung));
    let refused = better.filter_map(|rung| {
        let (_, tried) = found.iter().find(|(source, _)| source == rung)?;
        Some(format!("{}: {}", rung.as_str(), tried.as_ref().err()?))
    });
    let refused = refused.collect();
    if let Err(error) = &log {
        tracing::info!(error, "the kernel log cannot be read: it adds nothing to OOM kills");
    }
    // Where nothing reports kills, the log is not read either: the settings want it so.
    let log = log.ok().filter(|_| has_bpf || serves.is_some());
    let reads_log = log.is_some();
    let log = kernel_log::start(host.clone(), log)?;
    Ok(KillRung { serves, counts, log, reads_log, refused, found })
}

/// The rung that serves cgroup events; the weaker form when the two hooks differ.
pub(crate) fn cgroup_source(hooks: &[HookStatus], watches_tree: bool) -> Source {
    match (HookStatus::rung(hooks, Hook::CgroupMkdir), HookStatus::rung(hooks, Hook::CgroupRmdir)) {
        (Some(Source::TpBtf), Some(Source::TpBtf)) => Source::TpBtf,
        (Some(_), Some(_)) => Source::Tracepoint,
        _ if watches_tree => Source::Inotify,
        _ => Source::Walk,
    }
}

/// The rung that serves kills; `fallback` needs no BPF.
pub(crate) fn kill_source(hooks: &[HookStatus], fallback: Option<Source>) -> Option<Source> {
    match HookStatus::rung(hooks, Hook::MarkVictim) {
        Some(marks) => Some(HookStatus::rung(hooks, Hook::OomKillProcess).unwrap_or(marks)),
        None => fallback,
    }
}

/// Everything that serves or could, best first.
pub(crate) fn offers(
    hooks: &[HookStatus],
    (lifecycle, tree_refused): (Source, Option<&str>),
    oom: Option<Source>,
    without_bpf: &[(Source, Result<(), String>)],
) -> Vec<Offer> {
    let mut offers = Vec::new();
    let mut add = |ladder, source, serves: bool, refused: Option<String>| {
        let state = match refused {
            _ if serves => OfferState::Serves,
            Some(why) => OfferState::Refused(why),
            None => OfferState::Offered,
        };
        offers.push(Offer { ladder, source, state });
    };
    for source in [Source::TpBtf, Source::Tracepoint] {
        add(Ladder::Lifecycle, source, lifecycle == source, refused(hooks, Hook::CgroupMkdir, source));
    }
    let watched = tree_refused.map(str::to_owned);
    add(Ladder::Lifecycle, Source::Inotify, lifecycle == Source::Inotify, watched);
    add(Ladder::Lifecycle, Source::Walk, lifecycle == Source::Walk, None);
    for source in [Source::Fentry, Source::Kprobe] {
        add(Ladder::Oom, source, oom == Some(source), refused(hooks, Hook::OomKillProcess, source));
    }
    for source in [Source::TpBtf, Source::Tracepoint] {
        add(Ladder::Oom, source, oom == Some(source), refused(hooks, Hook::MarkVictim, source));
    }
    for (source, found) in without_bpf {
        add(Ladder::Oom, *source, oom == Some(*source), found.clone().err());
    }
    offers
}

/// What a hook says of a form that is not attached, without the form's name.
fn refused(hooks: &[HookStatus], hook: Hook, source: Source) -> Option<String> {
    let start = format!("{}: ", source.as_str());
    let status = hooks.iter().find(|status| status.hook == hook)?;
    let why = status.refused.iter().find_map(|line| line.strip_prefix(&start)).map(str::to_owned);
    // An attempt for the whole object names no form.
    why.or_else(|| status.refused.iter().find(|line| line.starts_with("bpf: ")).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HookCounters;

    fn hook(hook: Hook, rung: Option<Source>, refused: &[&str]) -> HookStatus {
        let refused = refused.iter().map(|&line| line.to_owned()).collect();
        HookStatus { hook, rung, refused, counters: HookCounters::default() }
    }

    fn shown(offers: &[Offer]) -> Vec<String> {
        let state = |state: &OfferState| match state {
            OfferState::Serves => "serves".to_owned(),
            OfferState::Offered => "offered".to_owned(),
            OfferState::Refused(why) => why.clone(),
        };
        offers.iter().map(|offer| format!("{}: {}", offer.source.as_str(), state(&offer.state))).collect()
    }

    #[test]
    fn the_best_serves_and_the_others_say_why() {
        let hooks = [
            hook(Hook::CgroupMkdir, Some(Source::TpBtf), &["tracepoint: no tracefs"]),
            hook(Hook::MarkVictim, Some(Source::TpBtf), &[]),
            hook(Hook::OomKillProcess, Some(Source::Kprobe), &["fentry: not permitted"]),
        ];
        let without = [(Source::MemoryEvents, Err("on v1".to_owned())), (Source::Kmsg, Ok(()))];
        let found = offers(&hooks, (Source::TpBtf, None), Some(Source::Kprobe), &without);
        let wanted = [
            "tp_btf: serves",
            "tracepoint: no tracefs",
            "inotify: offered",
            "walk: offered",
            "fentry: not permitted",
            "kprobe: serves",
            "tp_btf: offered",
            "tracepoint: offered",
            "memory_events: on v1",
            "kmsg: offered",
        ];
        assert_eq!(shown(&found), wanted);
    }

    #[test]
    fn without_bpf_each_form_has_the_reason() {
        let hooks = [hook(Hook::CgroupMkdir, None, &["bpf: not permitted"])];
        let found = offers(&hooks, (Source::Walk, Some("no watches left")), None, &[]);
        let wanted = [
            "tp_btf: bpf: not permitted",
            "tracepoint: bpf: not permitted",
            "inotify: no watches left",
            "walk: serves",
        ];
        assert_eq!(shown(&found)[..4], wanted);
    }
}
