//! Finds the hierarchies, attaches the programs, and makes the core task of what that gave.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use super::RunError;
use super::core::Core;
use super::fill_in::FillIn;
use super::names;
use super::state::State;
use crate::config::{Config, LifecycleChoice, options};
use crate::files::{self, HostRoot};
use crate::kernel::{self, Attached, Facts, Paths, Pins, RingSizes};
use crate::kills::cross_check::CrossCheck;
use crate::kills::recovery::Recovery;
use crate::kills::totals::KillTotals;
use crate::last_values::Finals;
use crate::model::{Hierarchy, Hook, HookStatus, HostFacts, Source, StartReason};
use crate::registry::{KnownCgroup, Registry};
use crate::restart::history::{Accounted, Begun};
use crate::restart::saver::Saver;
use crate::snapshot::Snapshots;
use crate::sources::TreeFeed;
use crate::sources::look_up::Kills;
use crate::sources::offers;
use crate::sources::oom_fallback::OomFallback;
use crate::sources::ring::{LifecycleFeed, RingFeed};
use crate::sources::walks::Walks;
use crate::telemetry::Telemetry;

/// The rings and what keeps them filled.
pub(super) struct CoreParts {
    lifecycle: Option<kernel::LifecycleRing>,
    tree: Option<TreeFeed>,
    oom: Option<kernel::OomRing>,
    exits: Vec<kernel::ExitFeed>,
    guard: kernel::Guard,
    fallback: OomFallback,
    before: Before,
}

/// What was before this agent, and what is left for the next.
struct Before {
    saver: Saver,
    has_history: bool,
    /// What an agent before knew, in another boot.
    gone: Vec<KnownCgroup>,
    recovery: Recovery,
    /// What an agent before has told of drops that the programs have counted.
    told_drops: [u64; Hook::ALL.len()],
}

/// Finds the hierarchies and attaches the programs. Must come before the first walk.
pub(super) fn attach(
    config: &Config,
    begun: Begun,
    began: Instant,
) -> Result<(Arc<State>, CoreParts), RunError> {
    let Begun { events, history, machine, saver } = begun;
    let host = HostRoot::new(&config.host_root);
    let cgroups = |source| RunError::Cgroups { host_root: config.host_root.display().to_string(), source };
    let hierarchies: Arc<[_]> = files::hierarchies(&host).map_err(cgroups)?.into();
    let Programs { attached, facts, adopts } = programs(config, &host, &hierarchies)?;
    let Attached { lifecycle, oom, exits, hooks, counters, guard } = attached;
    // After the programs are attached, and before the log is opened: a kill in between is told by either, and is not missing.
    let counted = files::oom_kills(&host).ok().flatten();
    let counted_at = SystemTime::now();
    let log_after = history.kills.as_ref().and_then(|kills| kills.log_sequence);
    let fallback = OomFallback::open(&host, &hierarchies, config.oom_source, oom.is_some(), log_after);
    let KillsBefore { cross, recovery } =
        kills_before(&host, (counted, counted_at), history.kills.as_ref(), adopts);
    let told_drops = if adopts { history.told_drops } else { Default::default() };
    let (tree, tree_refused) = tree(config, &hierarchies, lifecycle.is_some());
    let has_history = history.knows_all;
    let (registry, gone) = registry(config, history.reason, history.cgroups);
    let lifecycle_source = lifecycle_source(&hooks, tree.is_some());
    let oom_source = oom_source(&hooks, fallback.source);
    let without_bpf = offers::without_bpf(config, &hierarchies);
    let offers =
        offers::offers(&hooks, (lifecycle_source, tree_refused.as_deref()), oom_source, &without_bpf);
    let facts = HostFacts {
        version: env!("CARGO_PKG_VERSION"),
        started: SystemTime::now(),
        reason: history.reason,
        kernel_release: machine.kernel_release.unwrap_or_default(),
        boot_id: machine.boot_id.unwrap_or_default().into(),
        cgroup_mode: files::mode(&hierarchies),
        hierarchies,
        hooks,
        btf: facts.has_btf(),
        programs_read_paths: facts.may_probe(),
        lifecycle_source,
        oom_source,
        offers,
        tree_refused,
        oom_refused: fallback.refused.clone(),
        kernel_counts_kills: cross.is_some(),
    };
    let state = State {
        facts: Arc::new(facts),
        registry: Arc::new(Mutex::new(registry)),
        events,
        names: names::table(config),
        telemetry: Arc::new(telemetry(&history.totals, cross.is_some())?),
        programs: counters.map(Arc::new),
        totals: Mutex::new(history.totals),
        cross,
        began,
    };
    let before = Before { saver, has_history, gone, recovery, told_drops };
    Ok((Arc::new(state), CoreParts { lifecycle, tree, oom, exits, guard, fallback, before }))
}

fn telemetry(totals: &KillTotals, kernel_counts_kills: bool) -> prometheus::Result<Telemetry> {
    let telemetry = Telemetry::new()?;
    if !kernel_counts_kills {
        telemetry.without_kernel_kills()?;
    }
    totals.show(&telemetry);
    Ok(telemetry)
}

/// The rung that serves cgroups made and removed; the weaker form when the two differ.
fn lifecycle_source(hooks: &[HookStatus], watches_tree: bool) -> Source {
    match (HookStatus::rung(hooks, Hook::CgroupMkdir), HookStatus::rung(hooks, Hook::CgroupRmdir)) {
        (Some(Source::TpBtf), Some(Source::TpBtf)) => Source::TpBtf,
        (Some(_), Some(_)) => Source::Tracepoint,
        _ if watches_tree => Source::Inotify,
        _ => Source::Walk,
    }
}

/// The rung that serves OOM kills; `fallback` needs no BPF.
fn oom_source(hooks: &[HookStatus], fallback: Option<Source>) -> Option<Source> {
    match HookStatus::rung(hooks, Hook::MarkVictim) {
        Some(marks) => Some(HookStatus::rung(hooks, Hook::OomKillProcess).unwrap_or(marks)),
        None => fallback,
    }
}

/// With what an agent before knew; in another boot that is gone, as the same numbers may be other directories.
fn registry(
    config: &Config,
    reason: Option<StartReason>,
    known: Vec<KnownCgroup>,
) -> (Registry, Vec<KnownCgroup>) {
    let mut registry = Registry::new(config.max_tombstones);
    if reason == Some(StartReason::Reboot) {
        return (registry, known);
    }
    registry.restore(known);
    (registry, Vec::new())
}

/// What was attached, and by which facts.
struct Programs {
    attached: Attached,
    facts: Facts,
    /// Whether it is an agent's before.
    adopts: bool,
}

fn programs(config: &Config, host: &HostRoot, hierarchies: &[Hierarchy]) -> Result<Programs, RunError> {
    let wishes = options::rungs(config);
    let place = config.pin.as_ref();
    let pins = place.map(|place| kernel::pins(place, wishes, config.pin_replace)).transpose()?;
    let adopts = pins.as_ref().is_some_and(Pins::is_whole);
    let facts = kernel::probe(&config.host_root);
    let attached = match pins {
        Some(pins) if adopts => {
            tracing::info!("programs and rings of the agent before are taken over");
            kernel::adopt(pins)?
        }
        pins => {
            let plan = kernel::plan(&facts, wishes);
            let sizes =
                RingSizes { lifecycle_bytes: config.lifecycle_ring_bytes, oom_bytes: config.oom_ring_bytes };
            kernel::load(&plan, sizes, files::own_memory_cgroup(host, hierarchies), pins)
        }
    };
    Ok(Programs { attached, facts, adopts })
}

/// Kills of the time before this agent.
struct KillsBefore {
    cross: Option<Mutex<CrossCheck>>,
    recovery: Recovery,
}

/// `counted` is the kernel's count before the log was opened, and when that was.
fn kills_before(
    host: &HostRoot,
    (counted, counted_at): (Option<u64>, SystemTime),
    accounted: Option<&Accounted>,
    adopts: bool,
) -> KillsBefore {
    let expected = match accounted {
        Some(kills) => Some(kills.kernel_kills + kills.told),
        // Where nobody watched before, those count that the log tells of since it was opened.
        None => files::oom_kills(host).ok().flatten(),
    };
    // Rings of an agent before have theirs.
    let missing = counted.zip(expected).filter(|_| !adopts);
    let missing = missing.map_or(0, |(counted, expected)| counted.saturating_sub(expected));
    if missing > 0 {
        tracing::info!(kills = missing, "the kernel has killed processes for memory while no agent ran");
    }
    let told = accounted.into_iter().flat_map(|kills| kills.tgids.iter().copied());
    KillsBefore {
        cross: counted.and(expected).map(|expected| Mutex::new(CrossCheck::new(expected))),
        recovery: Recovery::new(missing, counted_at, told),
    }
}

/// One line per ladder says which rung serves, and why no better one does.
pub(super) fn log_rungs(facts: &HostFacts) {
    let refused = |hook: Hook| {
        let status = facts.hooks.iter().find(|status| status.hook == hook);
        let why = status.map(|status| status.refused.join("; ")).unwrap_or_default();
        if why.is_empty() { None } else { Some(why) }
    };
    let (lifecycle, why) = (facts.lifecycle_source, refused(Hook::CgroupMkdir));
    if lifecycle == Source::Inotify {
        tracing::warn!(
            why,
            "no BPF for cgroup events: the directories are watched, the shortest-lived are missed"
        );
    } else if lifecycle == Source::Walk {
        tracing::warn!(
            why,
            watch_refused = facts.tree_refused,
            "no BPF for cgroup events: the tree is walked, short-lived cgroups are missed"
        );
    } else {
        tracing::info!(source = lifecycle.as_str(), why_no_better = why, "cgroup events");
    }
    let by_bpf = refused(Hook::OomKillProcess).into_iter().chain(refused(Hook::MarkVictim));
    let why = by_bpf.chain(facts.oom_refused.iter().cloned()).collect::<Vec<_>>().join("; ");
    match facts.oom_source {
        Some(source) => tracing::info!(source = source.as_str(), why_no_better = why, "OOM kills"),
        None => tracing::warn!(why, "OOM kills are not reported"),
    }
}

/// The watched tree where BPF does not serve and the settings allow it; else why not.
fn tree(config: &Config, hierarchies: &[Hierarchy], has_bpf: bool) -> (Option<TreeFeed>, Option<String>) {
    let wanted = matches!(config.lifecycle_source, LifecycleChoice::Auto | LifecycleChoice::Inotify);
    if !wanted {
        return (None, Some("not wanted by the settings".to_owned()));
    }
    if has_bpf {
        return (None, None);
    }
    match TreeFeed::open(hierarchies) {
        Ok(tree) => (Some(tree), None),
        Err(why) => (None, Some(why)),
    }
}

/// What finds paths where the programs cannot read them.
fn paths(state: &State) -> Option<Paths> {
    if state.facts.programs_read_paths {
        return None;
    }
    let opened = Paths::open(&state.facts.hierarchies);
    if let Err(error) = &opened {
        tracing::warn!(%error, "cgroups cannot be found by their ids: a walk tells the paths of new ones");
    }
    opened.ok()
}

/// The core task of what was attached.
pub(super) fn core(
    config: &Config,
    state: &Arc<State>,
    mut parts: CoreParts,
    snapshots: Snapshots,
) -> std::io::Result<Core> {
    // One that could not attach has not run.
    parts.before.saver.note_start();
    let by_walk = match &parts.tree {
        Some(tree) => tree.is_partial(),
        None => parts.lifecycle.is_none(),
    };
    let interval = if by_walk { config.walk_source_interval } else { config.walk_interval };
    let host = HostRoot::new(&config.host_root);
    Ok(Core {
        state: state.clone(),
        lifecycle: parts
            .lifecycle
            .map(|ring| LifecycleFeed::Ring(Box::new(RingFeed::new(ring, paths(state)))))
            .or(parts.tree.map(LifecycleFeed::Tree)),
        oom: parts.oom,
        counted: parts.fallback.counted,
        log: parts.fallback.log,
        fill_in: FillIn::default(),
        finals: Finals::start(
            &host,
            state.facts.hierarchies.clone(),
            parts.exits,
            options::max_open_files(config).exits,
        )?,
        host: host.clone(),
        walks: Walks::new(state.facts.hierarchies.clone(), interval),
        kills: Kills::new(host, state.facts.hierarchies.clone()),
        tombstone: config.tombstone,
        walk_source_interval: config.walk_source_interval,
        saver: parts.before.saver,
        recovery: parts.before.recovery,
        kill_counts: HashMap::new(),
        snapshots,
        has_history: parts.before.has_history,
        gone: parts.before.gone,
        told_drops: parts.before.told_drops,
        _guard: parts.guard,
    })
}
