//! Finds the hierarchies, attaches the programs, opens the sources, and makes the event path of them.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Result, anyhow};
use parking_lot::Mutex;

use super::event_path::EventPath;
use crate::config::{Config, options};
use crate::events::EventLog;
use crate::files::{self, HostRoot};
use crate::kernel::{self, Attached, RingSizes};
use crate::kills::Ledger;
use crate::last_values::Finals;
use crate::model::{Hierarchy, Hook, HookStatus, HostFacts, Machine, Source};
use crate::registry::Registry;
use crate::restart::saver::Saver;
use crate::snapshot::AgentView;
use crate::sources::ladder;
use crate::sources::look_up::LookUps;
use crate::sources::walks::Walks;
use crate::story::{Past, Story};
use crate::telemetry::Telemetry;

/// Must come before the first walk, inside the runtime of the event path.
pub(super) fn attach(
    config: &Config,
    machine: Machine,
    events: EventLog,
    mut past: Past,
    saver: Saver,
    telemetry: Arc<Telemetry>,
) -> Result<EventPath> {
    let host = HostRoot::new(&config.host_root);
    let root = config.host_root.display();
    let no_cgroups = |error| anyhow!("no cgroup hierarchy below the host root {root}: {error}");
    let hierarchies: Arc<[_]> = files::hierarchies(&host).map_err(no_cgroups)?.into();
    let kernel = kernel::probe(&config.host_root);
    let (attached, is_adopted) = programs(config, &host, &hierarchies, &kernel)?;
    let Attached { lifecycle, oom, exits, hooks, counters, guard } = attached;
    let mut facts = facts(machine, hierarchies.clone(), hooks, kernel.btf.is_ok());
    let cgroups =
        ladder::cgroups(&mut facts, lifecycle, kernel.may_probe.is_ok(), options::watches_tree(config))?;
    // The programs are attached, and the log is not open yet. A kill that is counted from here on is reported by one of them.
    let counted = files::oom_kills(&host).ok().flatten().zip(Some(SystemTime::now()));
    let kills = ladder::kills(&mut facts, &host, &options::kill_rungs(config), past.log_sequence)?;
    // Where no agent has counted before, kills count from here on: the log reports those since it was opened.
    past.ledger = past.ledger.or_else(|| files::oom_kills(&host).ok().flatten().map(Ledger::new));
    let counted = counted.filter(|_| past.ledger.is_some());
    facts.kernel_counts_kills = counted.is_some();
    if counted.is_none() {
        telemetry.without_kernel_kills()?;
    }
    past.totals.show(&telemetry);
    let mut registry = Registry::new(config.max_tombstones);
    registry.restore(std::mem::take(&mut past.cgroups));
    let interval = if cgroups.is_some() { config.walk_interval } else { config.walk_source_interval };
    let open_files = options::max_open_files(config).exits;
    Ok(EventPath {
        totals: std::mem::take(&mut past.totals),
        story: Story::new(past, &facts, counted, is_adopted, kills.reads_log),
        cgroups,
        kills: oom,
        counts: kills.counts,
        log: Some(kills.log),
        finals: Finals::start(&host, hierarchies.clone(), exits, open_files, &telemetry)?,
        walks: Walks::new(hierarchies.clone(), interval),
        look_ups: LookUps::new(host, hierarchies),
        agent: AgentView {
            facts: Arc::new(facts),
            registry: Arc::new(Mutex::new(registry)),
            names: super::names::table(config),
            events,
            programs: counters.map(Arc::new),
            telemetry,
            memory: Arc::default(),
        },
        saver,
        tombstone: config.tombstone,
        walk_source_interval: config.walk_source_interval,
        _guard: guard,
    })
}

/// What is known of the host before its rungs are tried.
fn facts(machine: Machine, hierarchies: Arc<[Hierarchy]>, hooks: Vec<HookStatus>, btf: bool) -> HostFacts {
    HostFacts {
        version: env!("CARGO_PKG_VERSION"),
        started: SystemTime::now(),
        kernel_release: machine.kernel_release.unwrap_or_default(),
        boot_id: machine.boot_id.unwrap_or_default().into(),
        cgroup_mode: files::mode(&hierarchies),
        hierarchies,
        hooks,
        btf,
        lifecycle_source: Source::Walk,
        oom_source: None,
        offers: Vec::new(),
        tree_refused: None,
        oom_refused: Vec::new(),
        kernel_counts_kills: false,
    }
}

/// The programs, and whether they are the previous agent's.
fn programs(
    config: &Config,
    host: &HostRoot,
    hierarchies: &[Hierarchy],
    facts: &kernel::Facts,
) -> Result<(Attached, bool)> {
    let wishes = options::rungs(config);
    let place = config.pin.as_ref();
    let mut pins = place.map(|place| kernel::pins(place, wishes, config.pin_replace)).transpose()?;
    if let Some(pins) = pins.take_if(|pins| pins.is_whole()) {
        tracing::info!("the programs and rings of the previous agent are taken over");
        let refused = |error| {
            anyhow!("what is pinned cannot be taken over: {error}; wanted: --pin-replace to begin anew")
        };
        return Ok((kernel::adopt(pins).map_err(refused)?, true));
    }
    let plan = kernel::plan(facts, wishes);
    let sizes = RingSizes { lifecycle_bytes: config.lifecycle_ring_bytes, oom_bytes: config.oom_ring_bytes };
    Ok((kernel::load(&plan, sizes, files::own_memory_cgroup(host, hierarchies), pins), false))
}

/// One line per ladder says which rung serves, and why no better one does.
pub(super) fn log_rungs(facts: &HostFacts) {
    let refused = |hook: Hook| {
        let status = facts.hooks.iter().find(|status| status.hook == hook);
        status.map(|status| status.refused.join("; ")).filter(|why| !why.is_empty())
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
