//! The rungs of both ladders: which of them this host offers, which serves, and why the others do not.

use std::io;

use super::cgroups::CgroupSource;
use super::counts::{CountSource, Counts};
use super::kernel_log::{self, Log, LogSource};
use super::ring_with_paths::RingWithPaths;
use super::tree::Tree;
use crate::files::{HostRoot, KillCounters};
use crate::kernel::{LifecycleRing, Paths};
use crate::model::{
    CgroupVersion, Hierarchy, Hook, HookStatus, HostFacts, Ladder, Offer, OfferState, Source,
};

/// Picks the source of cgroup events, and puts all of its ladder into the facts; `None` where the tree is walked. Must come before the
/// first walk, inside the runtime of the event path.
///
/// `ring` is there when both hooks are attached. `programs_read_paths` says whether BPF programs may read paths, `may_watch` whether
/// the settings allow to watch directories.
///
/// # Errors
/// When a thread cannot be started.
pub(crate) fn cgroups(
    facts: &mut HostFacts,
    ring: Option<LifecycleRing>,
    programs_read_paths: bool,
    may_watch: bool,
) -> io::Result<Option<CgroupSource>> {
    let hierarchies = &facts.hierarchies;
    let mut refused = (!may_watch).then(|| "not wanted by the settings".to_owned());
    let (serves, source) = match ring {
        Some(ring) => {
            let source = match paths(programs_read_paths, hierarchies) {
                Some(paths) => CgroupSource::Thread(RingWithPaths::start(ring, paths)?),
                None => CgroupSource::Ring(Box::new(ring)),
            };
            (weaker_form(&facts.hooks), Some(source))
        }
        None if refused.is_some() => (Source::Walk, None),
        None => match Tree::start(hierarchies.clone()) {
            Ok(tree) => (Source::Inotify, Some(CgroupSource::Thread(tree))),
            Err(error) => {
                refused = Some(error.to_string());
                (Source::Walk, None)
            }
        },
    };
    facts.offers.extend(cgroup_offers(&facts.hooks, serves, refused.clone()));
    (facts.lifecycle_source, facts.tree_refused) = (serves, refused);
    Ok(source)
}

/// The form of the two hooks that make and remove cgroups.
fn weaker_form(hooks: &[HookStatus]) -> Source {
    let is_typed = |hook| HookStatus::rung(hooks, hook) == Some(Source::TpBtf);
    if is_typed(Hook::CgroupMkdir) && is_typed(Hook::CgroupRmdir) {
        Source::TpBtf
    } else {
        Source::Tracepoint
    }
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

/// The sources of kills without BPF.
pub(crate) struct KillSources {
    /// The cgroups' own counts, where they serve.
    pub(crate) counts: Option<CountSource>,
    /// The kernel log and the kernel's count.
    pub(crate) log: LogSource,
    /// Whether the kernel log is read.
    pub(crate) reads_log: bool,
}

/// Opens each rung without BPF once, keeps the first that serves of `wanted`, unless BPF does, and puts all of the ladder into the
/// facts. Of the log, what was there before is of interest after the record `log_after`.
///
/// # Errors
/// When a thread cannot be started.
pub(crate) fn kills(
    facts: &mut HostFacts,
    host: &HostRoot,
    wanted: &[Source],
    log_after: Option<u64>,
) -> io::Result<KillSources> {
    let (hooks, hierarchies) = (&facts.hooks, &facts.hierarchies);
    let marks = HookStatus::rung(hooks, Hook::MarkVictim);
    let by_bpf = marks.map(|marks| HookStatus::rung(hooks, Hook::OomKillProcess).unwrap_or(marks));
    let wanted = if by_bpf.is_some() { &[] } else { wanted };
    let counters = |version| KillCounters::open(hierarchies, version);
    let (v2, v1) = (counters(CgroupVersion::V2), counters(CgroupVersion::V1));
    let log = Log::open(host, log_after).map_err(|error| error.to_string());
    let without_bpf = [
        (Source::MemoryEvents, v2.as_ref().err().cloned()),
        (Source::OomControl, v1.as_ref().err().cloned()),
        (Source::Kmsg, log.as_ref().err().cloned()),
    ];
    let why = |rung: Source| without_bpf.iter().find(|(source, _)| *source == rung)?.1.as_ref();
    let serves = by_bpf.or_else(|| wanted.iter().copied().find(|rung| why(*rung).is_none()));
    let better = wanted.iter().copied().take_while(|rung| serves != Some(*rung));
    facts.oom_refused =
        better.filter_map(|rung| Some(format!("{}: {}", rung.as_str(), why(rung)?))).collect();
    facts.offers.extend(kill_offers(hooks, serves, &without_bpf));
    facts.oom_source = serves;
    let counters = match serves {
        Some(Source::MemoryEvents) => v2.ok(),
        Some(Source::OomControl) => v1.ok(),
        _ => None,
    };
    let counts =
        serves.zip(counters).map(|(source, counters)| Counts::start(counters, source)).transpose()?;
    if let Err(error) = &log {
        tracing::info!(error, "the kernel log cannot be read: it adds nothing to OOM kills");
    }
    // Where nothing reports kills, the log is not read either: the settings want it so.
    let log = log.ok().filter(|_| serves.is_some());
    let reads_log = log.is_some();
    let log = kernel_log::start(host.clone(), log)?;
    Ok(KillSources { counts, log, reads_log })
}

/// A rung, and why it cannot serve.
type Tried = (Source, Option<String>);

fn cgroup_offers(hooks: &[HookStatus], serves: Source, tree_refused: Option<String>) -> Vec<Offer> {
    let by_bpf = [Source::TpBtf, Source::Tracepoint].map(|form| tried(hooks, Hook::CgroupMkdir, form));
    let without_bpf = [(Source::Inotify, tree_refused), (Source::Walk, None)];
    offers(Ladder::Lifecycle, Some(serves), by_bpf.into_iter().chain(without_bpf))
}

fn kill_offers(hooks: &[HookStatus], serves: Option<Source>, without_bpf: &[Tried]) -> Vec<Offer> {
    let decisions = [Source::Fentry, Source::Kprobe].map(|form| tried(hooks, Hook::OomKillProcess, form));
    let marks = [Source::TpBtf, Source::Tracepoint].map(|form| tried(hooks, Hook::MarkVictim, form));
    let by_bpf = decisions.into_iter().chain(marks);
    offers(Ladder::Oom, serves, by_bpf.chain(without_bpf.iter().cloned()))
}

fn offers(ladder: Ladder, serves: Option<Source>, tried: impl Iterator<Item = Tried>) -> Vec<Offer> {
    let offer = |(source, refused): Tried| {
        let state = match refused {
            _ if serves == Some(source) => OfferState::Serves,
            Some(why) => OfferState::Refused(why),
            None => OfferState::Offered,
        };
        Offer { ladder, source, state }
    };
    tried.map(offer).collect()
}

/// A form of a hook, and why it is not attached, without the form's name.
fn tried(hooks: &[HookStatus], hook: Hook, form: Source) -> Tried {
    let start = format!("{}: ", form.as_str());
    let status = hooks.iter().find(|status| status.hook == hook);
    let lines = status.map(|status| status.refused.as_slice()).unwrap_or_default();
    let why = lines.iter().find_map(|line| line.strip_prefix(&start)).map(str::to_owned);
    // An attempt for the whole object names no form.
    (form, why.or_else(|| lines.iter().find(|line| line.starts_with("bpf: ")).cloned()))
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
        let without = [(Source::MemoryEvents, Some("on v1".to_owned())), (Source::Kmsg, None)];
        let mut found = cgroup_offers(&hooks, Source::TpBtf, None);
        found.extend(kill_offers(&hooks, Some(Source::Kprobe), &without));
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
        let found = cgroup_offers(&hooks, Source::Walk, Some("no watches left".to_owned()));
        let wanted = [
            "tp_btf: bpf: not permitted",
            "tracepoint: bpf: not permitted",
            "inotify: no watches left",
            "walk: serves",
        ];
        assert_eq!(shown(&found), wanted);
    }
}
