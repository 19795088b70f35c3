//! Binds, attaches, starts and stops.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use super::core::{Alive, Core};
use super::cross_check::CrossCheck;
use super::fill_in::FillIn;
use super::finals::Finals;
use super::kills::Kills;
use super::lifecycle::{LifecycleFeed, RingFeed, TreeFeed};
use super::memory;
use super::offers;
use super::oom_fallback::OomFallback;
use super::own_metrics::OwnMetrics;
use super::settings;
use super::state::{FinalCounts, State};
use super::walks::Walks;
use tokio::task::{JoinError, JoinHandle};

use crate::config::{Config, ConfigError, LifecycleChoice};
use crate::events::EventLog;
use crate::export::prometheus::{ExpositionOptions, exposition_in_chunks, negotiate};
use crate::files::{self, CgroupReader, FilesError, HostRoot};
use crate::kernel::{self, Attached, Paths, RingSizes};
use crate::model::{Hierarchy, Hook, MetricSets, Source, Status};
use crate::registry::Registry;
use crate::serve::{self, BindError, BoxFuture, Counters, Exposition, Limits, Readiness, Services, Shutdown};
use crate::snapshot::{Collector, Snapshots};

/// Why the agent ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A setting that is not allowed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address that is taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// There are no cgroups to be found.
    #[error("no cgroup hierarchy below the host root {host_root}: {source}")]
    Cgroups {
        /// Where the host was looked for.
        host_root: String,
        /// Why.
        source: FilesError,
    },
    /// The agent's own metrics could not be declared: a fault of the agent.
    #[error("own metrics: {0}")]
    OwnMetrics(#[from] prometheus::Error),
    /// The task that follows the kernel panicked: a fault of the agent.
    #[error("the core task failed: {0}")]
    CorePanicked(#[from] JoinError),
    /// It ended without being told to.
    #[error("the core task ended by itself")]
    CoreEnded,
    /// The system refused something that there is no way around.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl RunError {
    /// The process's status.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Bind(_) => 2,
            _ => 1,
        }
    }
}

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start.
pub async fn run(config: Config) -> Result<(), RunError> {
    let began = Instant::now();
    let options = settings::exposition(&config)?;
    let shutdown = serve::shutdown_on_signals()?;
    let listeners = serve::bind(&config.listen).await?;
    let (state, core_parts) = attach(&config, began)?;
    log_rungs(&state);
    let readiness = Readiness::new();
    let first_walk = readiness.latch("first walk of the cgroup tree");
    let counters = Arc::new(Counters::default());
    let snapshots = Snapshots::new(collector(&config, &state, options.sets), config.min_interval);
    let own = Arc::new(OwnMetrics::new(&state)?);
    tokio::spawn(memory::give_back(snapshots.clone(), shutdown.clone()));
    let services = services(&state, snapshots, own, options, readiness.clone(), counters);
    let core = tokio::spawn({
        let (alive, shutdown) = (Alive::new(state.clone()), shutdown.clone());
        let core = core(&config, &state, core_parts)?;
        async move {
            let _alive = alive;
            core.run(first_walk, shutdown).await;
        }
    });
    for listener in &listeners {
        tracing::info!(address = %listener.address(), "listening");
    }
    tokio::spawn(tell_systemd(readiness, shutdown.clone()));
    let serving = serve::serve(listeners, services, Limits::new(config.max_connections), shutdown.clone());
    tokio::select! {
        () = serving => {
            tracing::info!("stopped");
            Ok(())
        }
        error = failure(core, &shutdown) => Err(error),
    }
}

/// Resolves when the core task ends without being told to: an agent that sees nothing must not look alive, and whoever
/// supervises it starts it again.
async fn failure(core: JoinHandle<()>, shutdown: &Shutdown) -> RunError {
    match core.await {
        Err(panicked) => panicked.into(),
        Ok(()) if shutdown.is_ordered() => std::future::pending().await,
        Ok(()) => RunError::CoreEnded,
    }
}

/// What this host supports: probes, attaches, walks once and looks.
///
/// # Errors
/// When a setting is not allowed or there are no cgroups.
pub async fn check(config: Config) -> Result<Status, RunError> {
    settings::exposition(&config)?;
    let (state, parts) = attach(&config, Instant::now())?;
    let mut walks = Walks::new(state.hierarchies.clone(), config.walk_interval);
    walks.start_if_due(false, || state.registry().begin_walk());
    if let Some(finished) = walks.finished().await {
        state.registry().apply_walk(finished.mark, &finished.walked);
        state.walks.fetch_add(1, Ordering::Relaxed);
    }
    drop(parts);
    Ok(state.status())
}

/// The rings and what keeps them filled.
struct CoreParts {
    lifecycle: Option<kernel::LifecycleRing>,
    tree: Option<TreeFeed>,
    oom: Option<kernel::OomRing>,
    exits: Vec<kernel::ExitFeed>,
    guard: kernel::Guard,
    fallback: OomFallback,
}

/// Finds the hierarchies and attaches the programs. Must come before the first walk.
fn attach(config: &Config, began: Instant) -> Result<(Arc<State>, CoreParts), RunError> {
    let host = HostRoot::new(&config.host_root);
    let cgroups = |source| RunError::Cgroups { host_root: config.host_root.display().to_string(), source };
    let hierarchies: Arc<[_]> = files::hierarchies(&host).map_err(cgroups)?.into();
    let facts = kernel::probe(&config.host_root);
    let plan = kernel::plan(&facts, settings::wishes(config));
    let sizes = RingSizes { lifecycle_bytes: config.lifecycle_ring_bytes, oom_bytes: config.oom_ring_bytes };
    let Attached { lifecycle, oom, exits, hooks, counters, guard } =
        kernel::load(&plan, sizes, files::own_memory_cgroup(&host, &hierarchies));
    let machine = files::machine(&host);
    // After the programs are attached: what they see and the kernel counts begins together.
    let cross = files::oom_kills(&host).ok().flatten().map(|kernel| Mutex::new(CrossCheck::new(kernel)));
    let has_bpf = oom.is_some();
    let (tree, tree_refused) = tree(config, &hierarchies, lifecycle.is_some());
    let hierarchies_of_oom = hierarchies.clone();
    let fallback = OomFallback::open(&host, &hierarchies, config.oom_source, has_bpf);
    let state = State {
        registry: Arc::new(Mutex::new(Registry::new(config.max_tombstones))),
        events: EventLog::new(config.event_memory_records),
        boot_id: machine.boot_id.unwrap_or_default().into(),
        kernel_release: machine.kernel_release.unwrap_or_default(),
        mode: files::mode(&hierarchies),
        hierarchies,
        btf: facts.has_btf(),
        programs_read_paths: facts.may_probe(),
        hooks,
        counters,
        started: SystemTime::now(),
        began,
        ready_after: OnceLock::new(),
        walks: AtomicU64::new(0),
        walk_usec: AtomicU64::new(0),
        lost_records: AtomicU64::new(0),
        finals: FinalCounts::default(),
        watches_tree: tree.is_some(),
        tree_refused,
        oom_fallback: fallback.source,
        oom_refused: fallback.refused.clone(),
        oom_without_bpf: offers::without_bpf(config, &hierarchies_of_oom),
        cross,
        alive: AtomicBool::new(false),
    };
    Ok((Arc::new(state), CoreParts { lifecycle, tree, oom, exits, guard, fallback }))
}

/// One line per ladder says which rung serves, and why no better one does.
fn log_rungs(state: &State) {
    let refused = |hook: Hook| {
        let status = state.hooks.iter().find(|status| status.hook == hook);
        let why = status.map(|status| status.refused.join("; ")).unwrap_or_default();
        if why.is_empty() { None } else { Some(why) }
    };
    let (lifecycle, why) = (state.lifecycle_source(), refused(Hook::CgroupMkdir));
    if lifecycle == Source::Inotify {
        tracing::warn!(
            why,
            "no BPF for cgroup events: the directories are watched, the shortest-lived are missed"
        );
    } else if lifecycle == Source::Walk {
        tracing::warn!(
            why,
            watch_refused = state.tree_refused,
            "no BPF for cgroup events: the tree is walked, short-lived cgroups are missed"
        );
    } else {
        tracing::info!(source = lifecycle.as_str(), why_no_better = why, "cgroup events");
    }
    let by_bpf = refused(Hook::OomKillProcess).into_iter().chain(refused(Hook::MarkVictim));
    let why = by_bpf.chain(state.oom_refused.iter().cloned()).collect::<Vec<_>>().join("; ");
    match state.oom_source() {
        Some(source) => tracing::info!(source = source.as_str(), why_no_better = why, "OOM kills"),
        None => tracing::warn!(why, "OOM kills are not reported"),
    }
}

fn collector(config: &Config, state: &State, sets: MetricSets) -> Collector {
    let host = HostRoot::new(&config.host_root);
    let reads = settings::reads(sets);
    let reader = CgroupReader::new(
        host.clone(),
        state.hierarchies.clone(),
        reads,
        settings::max_open_files(config).scrapes,
    );
    Collector::new(host, state.registry.clone(), reader, reads.network)
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
    if state.programs_read_paths {
        return None;
    }
    let opened = Paths::open(&state.hierarchies);
    if let Err(error) = &opened {
        tracing::warn!(%error, "cgroups cannot be found by their ids: a walk tells the paths of new ones");
    }
    opened.ok()
}

fn core(config: &Config, state: &Arc<State>, parts: CoreParts) -> std::io::Result<Core> {
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
            state.hierarchies.clone(),
            parts.exits,
            settings::max_open_files(config).exits,
        )?,
        host: host.clone(),
        walks: Walks::new(state.hierarchies.clone(), interval),
        kills: Kills::new(host, state.hierarchies.clone()),
        tombstone: config.tombstone,
        walk_source_interval: config.walk_source_interval,
        told_drops: [0; Hook::ALL.len()],
        _guard: parts.guard,
    })
}

fn services(
    state: &Arc<State>,
    snapshots: Snapshots,
    own: Arc<OwnMetrics>,
    options: ExpositionOptions,
    readiness: Readiness,
    counters: Arc<Counters>,
) -> Services {
    let (for_metrics, for_status, for_health) = (state.clone(), state.clone(), state.clone());
    let (options, http) = (Arc::new(options), counters.clone());
    Services {
        events: state.events.clone(),
        metrics: Arc::new(move |accept| {
            scrape(snapshots.clone(), for_metrics.clone(), own.clone(), options.clone(), http.clone(), accept)
        }),
        status: Arc::new(move || for_status.status()),
        readiness,
        healthy: Arc::new(move || for_health.alive.load(Ordering::Acquire)),
        boot_id: state.boot_id.clone(),
        counters,
    }
}

fn scrape(
    snapshots: Snapshots,
    state: Arc<State>,
    own: Arc<OwnMetrics>,
    options: Arc<ExpositionOptions>,
    http: Arc<Counters>,
    accept: Option<String>,
) -> BoxFuture<Result<Exposition, String>> {
    Box::pin(async move {
        let snapshot = snapshots.get().await.map_err(|error| error.to_string())?;
        let families = own.gather(&state, snapshots.progress(), http.now());
        let format = negotiate(accept.as_deref());
        Ok(Exposition {
            content_type: format.content_type(),
            write: Box::new(move |sink| exposition_in_chunks(&snapshot, &families, &options, format, sink)),
        })
    })
}

/// Tells systemd when the agent is ready and when it stops; elsewhere nobody listens.
async fn tell_systemd(readiness: Readiness, mut shutdown: Shutdown) {
    let notify = |state| {
        if let Err(error) = sd_notify::notify(&[state]) {
            tracing::debug!(%error, "systemd was not told");
        }
    };
    while !readiness.is_ready() {
        tokio::select! {
            () = shutdown.wait() => return,
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
    }
    notify(sd_notify::NotifyState::Ready);
    shutdown.wait().await;
    notify(sd_notify::NotifyState::Stopping);
}
