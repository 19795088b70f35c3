//! Finds the hierarchies, attaches the programs, opens the sources, and makes what follows them.

use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use super::RunError;
use super::follow::Follow;
use super::state::State;
use crate::config::{Config, options};
use crate::events::EventLog;
use crate::files::{self, HostRoot};
use crate::kernel::{self, Attached, Facts, Pins, RingSizes};
use crate::kills::totals::KillTotals;
use crate::kills::{self, Ledger};
use crate::last_values::Finals;
use crate::model::{Hierarchy, Hook, HookStatus, HostFacts, Machine, Source, StartReason};
use crate::registry::{KnownCgroup, Registry};
use crate::restart::history::History;
use crate::restart::saver::Saver;
use crate::snapshot::Snapshots;
use crate::sources::cgroups::CgroupSource;
use crate::sources::ladder::{self, CgroupRung, KillRung};
use crate::sources::look_up::{LookUps, memory_hierarchy};
use crate::sources::walks::Walks;
use crate::story::{Start, Story};
use crate::telemetry::Telemetry;

/// The sources and what keeps them filled.
pub(super) struct Opened {
    pub(super) cgroups: Option<CgroupSource>,
    pub(super) kills: Option<kernel::OomRing>,
    pub(super) rung: KillRung,
    pub(super) exits: Vec<kernel::ExitFeed>,
    pub(super) guard: kernel::Guard,
    pub(super) story: Story,
}

/// Finds the hierarchies, attaches the programs and opens the sources. Must come before the first walk, inside the runtime of
/// the event path.
pub(super) fn attach(
    config: &Config,
    machine: Machine,
    history: History,
    events: EventLog,
    began: Instant,
) -> Result<(Arc<State>, Opened), RunError> {
    let host = HostRoot::new(&config.host_root);
    let no_cgroups = |source| RunError::Cgroups { host_root: config.host_root.display().to_string(), source };
    let hierarchies: Arc<[_]> = files::hierarchies(&host).map_err(no_cgroups)?.into();
    let Programs { attached, facts: kernel, is_adopted } = programs(config, &host, &hierarchies)?;
    let Attached { lifecycle, oom, exits, hooks, counters, guard } = attached;
    // After the programs are attached and before the log is opened: either reports a kill in between, so it is not missing.
    let counted = files::oom_kills(&host).ok().flatten().zip(Some(SystemTime::now()));
    let log_after = history.kills.as_ref().and_then(|kills| kills.log_sequence);
    let kill_rung =
        ladder::kills(&host, &hierarchies, options::kill_rungs(config), oom.is_some(), log_after)?;
    let may_watch = options::watches_tree(config);
    let cgroup_rung = ladder::cgroups(lifecycle, kernel.may_probe(), may_watch, &hierarchies)?;
    // Where no agent has counted before, those kills count that the log has since it was opened.
    let ledger = history.kills.map(|kills| kills.ledger);
    let ledger = ledger.or_else(|| files::oom_kills(&host).ok().flatten().map(Ledger::new));
    let counted = counted.filter(|_| ledger.is_some());
    let facts = facts(machine, hierarchies, hooks, &kernel, (&cgroup_rung, &kill_rung), counted.is_some());
    let kills = kills::Start {
        ledger: ledger.unwrap_or_default(),
        counted,
        is_adopted,
        reads_log: kill_rung.reads_log,
        log_is_source: facts.oom_source == Some(Source::Kmsg),
        memory: memory_hierarchy(&facts.hierarchies),
    };
    let (registry, gone) = registry(config, history.reason, history.cgroups);
    let story = Story::new(Start {
        kills,
        reason: history.reason,
        knows_all: history.knows_all,
        gone,
        reported_drops: if is_adopted { history.told_drops } else { Default::default() },
        rungs: [Hook::CgroupMkdir, Hook::MarkVictim].map(|hook| HookStatus::rung(&facts.hooks, hook)),
        counts_are_source: kill_rung.counts.is_some(),
    });
    let state = State {
        telemetry: Arc::new(telemetry(&history.totals, facts.kernel_counts_kills)?),
        facts: Arc::new(facts),
        registry: Arc::new(Mutex::new(registry)),
        events,
        names: super::names::table(config),
        programs: counters.map(Arc::new),
        totals: Mutex::new(history.totals),
        began,
    };
    let cgroups = cgroup_rung.source;
    Ok((Arc::new(state), Opened { cgroups, kills: oom, rung: kill_rung, exits, guard, story }))
}

/// What is known of the host, and which rungs serve on it.
fn facts(
    machine: Machine,
    hierarchies: Arc<[Hierarchy]>,
    hooks: Vec<HookStatus>,
    kernel: &Facts,
    (cgroups, kills): (&CgroupRung, &KillRung),
    kernel_counts_kills: bool,
) -> HostFacts {
    let lifecycle_source = ladder::cgroup_source(&hooks, cgroups.watches_tree);
    let oom_source = ladder::kill_source(&hooks, kills.serves);
    let tree_refused = cgroups.tree_refused.clone();
    let offers =
        ladder::offers(&hooks, (lifecycle_source, tree_refused.as_deref()), oom_source, &kills.found);
    HostFacts {
        version: env!("CARGO_PKG_VERSION"),
        started: SystemTime::now(),
        kernel_release: machine.kernel_release.unwrap_or_default(),
        boot_id: machine.boot_id.unwrap_or_default().into(),
        cgroup_mode: files::mode(&hierarchies),
        hierarchies,
        hooks,
        btf: kernel.has_btf(),
        lifecycle_source,
        oom_source,
        offers,
        tree_refused,
        oom_refused: kills.refused.clone(),
        kernel_counts_kills,
    }
}

fn telemetry(totals: &KillTotals, kernel_counts_kills: bool) -> prometheus::Result<Telemetry> {
    let telemetry = Telemetry::new()?;
    if !kernel_counts_kills {
        telemetry.without_kernel_kills()?;
    }
    totals.show(&telemetry);
    Ok(telemetry)
}

/// With what the previous agent knew. In another boot that is gone, as the same numbers may be other directories.
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
    /// Whether the programs are the previous agent's.
    is_adopted: bool,
}

fn programs(config: &Config, host: &HostRoot, hierarchies: &[Hierarchy]) -> Result<Programs, RunError> {
    let wishes = options::rungs(config);
    let place = config.pin.as_ref();
    let pins = place.map(|place| kernel::pins(place, wishes, config.pin_replace)).transpose()?;
    let is_adopted = pins.as_ref().is_some_and(Pins::is_whole);
    let facts = kernel::probe(&config.host_root);
    let attached = match pins {
        Some(pins) if is_adopted => {
            tracing::info!("the programs and rings of the previous agent are taken over");
            kernel::adopt(pins)?
        }
        pins => {
            let plan = kernel::plan(&facts, wishes);
            let sizes =
                RingSizes { lifecycle_bytes: config.lifecycle_ring_bytes, oom_bytes: config.oom_ring_bytes };
            kernel::load(&plan, sizes, files::own_memory_cgroup(host, hierarchies), pins)
        }
    };
    Ok(Programs { attached, facts, is_adopted })
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

/// Starts the threads that read last values, and makes what follows the sources.
pub(super) fn follow(
    config: &Config,
    state: &Arc<State>,
    opened: Opened,
    mut saver: Saver,
    snapshots: Snapshots,
) -> std::io::Result<Follow> {
    let missing = opened.story.missing_kills();
    if missing > 0 {
        tracing::info!(kills = missing, "the kernel killed processes for memory while no agent ran");
    }
    // An agent that could not attach has not run.
    saver.note_start();
    let host = HostRoot::new(&config.host_root);
    let hierarchies = state.facts.hierarchies.clone();
    let interval = if opened.cgroups.is_some() { config.walk_interval } else { config.walk_source_interval };
    let files = options::max_open_files(config).exits;
    Ok(Follow {
        finals: Finals::start(&host, hierarchies.clone(), opened.exits, files)?,
        walks: Walks::new(hierarchies.clone(), interval),
        look_ups: LookUps::new(host, hierarchies),
        state: state.clone(),
        story: opened.story,
        cgroups: opened.cgroups,
        kills: opened.kills,
        counts: opened.rung.counts,
        log: Some(opened.rung.log),
        tombstone: config.tombstone,
        walk_source_interval: config.walk_source_interval,
        saver,
        snapshots,
        _guard: opened.guard,
    })
}
