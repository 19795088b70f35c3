//! Binds, attaches, starts and stops.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinHandle};

use super::attach::{attach, core, log_rungs};
use super::memory;
use super::names;
use super::state::State;
use crate::config::{Config, ConfigError, options};
use crate::export::prometheus::{ExpositionOptions, View};
use crate::files::{CgroupReader, FilesError, HostRoot};
use crate::kernel::{KernelError, PinError};
use crate::model::{GRACE, Status, THREADS_WITHIN};
use crate::restart::history;
use crate::serve::{self, BindError, Limits, Liveness, Readiness, ScrapeSource, Services, Shutdown};
use crate::sinks;
use crate::snapshot::{CollectOptions, Collector, Snapshots};
use crate::sources::walks::{Look, Walks};

/// Why the agent ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A setting that is not allowed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address that is taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A place for pins that cannot be used.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// What an agent before has pinned cannot be opened.
    #[error("what is pinned cannot be taken over: {0}; wanted: --pin-replace to begin anew")]
    Adopt(#[from] KernelError),
    /// Another agent writes there.
    #[error("--state-dir {}: another cgtap writes there; wanted: a directory of its own for each", dir.display())]
    StateDirTaken {
        /// Which directory.
        dir: PathBuf,
    },
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
            Self::Config(_) | Self::Bind(_) | Self::StateDirTaken { .. } | Self::Pin(_) => 2,
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
    let options = options::exposition(&config);
    let reads = options::collect(&config, options.sets)?;
    let shutdown = serve::shutdown_on_signals()?;
    let listeners = serve::bind(&config.listen).await?;
    let sinks = sinks::make(&config)?;
    let begun = history::begin(&config)?;
    let first_seq = begun.events.last_seq();
    let (state, core_parts) = attach(&config, begun, began)?;
    log_rungs(&state.facts);
    for sink in sinks {
        let mut shutdown = shutdown.clone();
        let (events, boot_id) = (&state.events, &state.facts.boot_id);
        sinks::start(
            sink,
            events,
            boot_id,
            first_seq,
            &state.telemetry,
            async move { shutdown.wait().await },
        );
    }
    let readiness = Readiness::new();
    let first_walk = readiness.latch("first walk of the cgroup tree");
    let liveness = Liveness::default();
    let snapshots = Snapshots::new(collector(&config, &state, reads), config.min_interval);
    names::start(&config, options.sets, &state, &shutdown);
    tokio::spawn(memory::give_back(state.telemetry.clone(), shutdown.clone()));
    let metrics = |options| ScrapeSource::Node { snapshots: snapshots.clone(), options };
    let services = Services {
        agent: state.view(),
        metrics: metrics(options),
        kubelet_metrics: metrics(ExpositionOptions { view: View::Kubelet, ..options }),
        readiness: readiness.clone(),
        liveness: liveness.clone(),
    };
    let mut core = tokio::spawn({
        let (alive, shutdown) = (liveness.begin(), shutdown.clone());
        let core = core(&config, &state, core_parts, snapshots)?;
        async move {
            let _alive = alive;
            core.run(first_walk, shutdown).await;
        }
    });
    for listener in &listeners {
        tracing::info!(address = %listener.address(), "listening");
    }
    tokio::spawn(tell_systemd(readiness, shutdown.clone()));
    let limits = Limits { stalled_follower: config.client_timeout, ..Limits::new(config.max_connections) };
    let serving = serve::serve(listeners, services, limits, shutdown.clone());
    tokio::select! {
        () = serving => {}
        error = failure(&mut core, &shutdown) => return Err(error),
    }
    let left = GRACE.saturating_sub(shutdown.since_order() + THREADS_WITHIN);
    if tokio::time::timeout(left, core).await.is_err() {
        tracing::warn!("the state for the next start is not saved: the disk is too slow");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Resolves when the core task ends without being told to: an agent that sees nothing must not look alive, and whoever
/// supervises it starts it again.
async fn failure(core: &mut JoinHandle<()>, shutdown: &Shutdown) -> RunError {
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
    let options = options::exposition(&config);
    options::collect(&config, options.sets)?;
    let (state, parts) = attach(&config, history::nothing(&config), Instant::now())?;
    let mut walks = Walks::new(state.facts.hierarchies.clone(), config.walk_interval);
    walks.start_if_due(None, Look::default(), || state.registry().begin_walk());
    if let Some(finished) = walks.finished().await {
        state.registry().apply_walk(finished.mark, &finished.walked);
        state.telemetry.walks.inc();
    }
    drop(parts);
    Ok(state.view().status())
}

fn collector(config: &Config, state: &State, mut options: CollectOptions) -> Collector {
    let host = HostRoot::new(&config.host_root);
    let reads = options::reads(options.sets);
    let reader = CgroupReader::new(
        host.clone(),
        state.facts.hierarchies.clone(),
        reads,
        options::max_open_files(config).scrapes,
    );
    // The files' budget has raised the limit by now.
    options.perf_descriptors = options::perf_descriptors();
    let filesystems = options::filesystems(config, &host, options.sets);
    let collector = Collector::new(host, state.view(), reader, options);
    match filesystems {
        Some(filesystems) => collector.with_filesystems(filesystems),
        None => collector,
    }
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
