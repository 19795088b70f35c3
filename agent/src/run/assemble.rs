//! Binds, attaches, starts and stops.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::attach::{attach, follow, log_rungs};
use super::follow::Follow;
use super::memory;
use super::names;
use super::state::State;
use crate::config::{Config, ConfigError, options};
use crate::events::EventLog;
use crate::export::prometheus::{ExpositionOptions, View};
use crate::files::{self, CgroupReader, FilesError, HostRoot};
use crate::kernel::{KernelError, PinError};
use crate::model::{GRACE, Machine, Status, THREADS_WITHIN};
use crate::restart::history::{self, History, Past};
use crate::restart::saved::StateDir;
use crate::serve::{self, BindError, Latch, Limits, Liveness, Readiness, ScrapeSource, Services, Shutdown};
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
    /// The thread that follows the kernel panicked: a fault of the agent.
    #[error("the thread of the event path panicked")]
    EventPathPanicked,
    /// It ended before it was told to.
    #[error("the thread of the event path ended by itself")]
    EventPathEnded,
    /// The system refused something that there is no way around.
    #[error(transparent)]
    Io(#[from] io::Error),
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
    let Begun { machine, events, past: Past { history, saver } } = begin(&config)?;
    let first_seq = events.last_seq();
    // The sources are waited for by the thread of the event path.
    let event_path = EventRuntime::new()?;
    let inside = event_path.0.as_ref().map(Runtime::enter);
    let (state, opened) = attach(&config, machine, history, events, began)?;
    drop(inside);
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
    let follow = follow(&config, &state, opened, saver, snapshots)?;
    let mut ended = start(event_path, follow, first_walk, shutdown.clone(), liveness)?;
    for listener in &listeners {
        tracing::info!(address = %listener.address(), "listening");
    }
    tokio::spawn(tell_systemd(readiness, shutdown.clone()));
    let limits = Limits { stalled_follower: config.client_timeout, ..Limits::new(config.max_connections) };
    let serving = serve::serve(listeners, services, limits, shutdown.clone());
    tokio::select! {
        () = serving => {}
        error = failure(&mut ended, &shutdown) => return Err(error),
    }
    let left = GRACE.saturating_sub(shutdown.since_order() + THREADS_WITHIN);
    if tokio::time::timeout(left, ended).await.is_err() {
        tracing::warn!("the state for the next start is not saved: the disk is too slow");
    }
    tracing::info!("stopped");
    Ok(())
}

/// The runtime of the event path, of one thread. A start that fails drops it inside another runtime, and a walk that does not
/// end must not keep the agent: so it is left without waiting for its work.
struct EventRuntime(Option<Runtime>);

impl EventRuntime {
    fn new() -> io::Result<Self> {
        Ok(Self(Some(tokio::runtime::Builder::new_current_thread().enable_all().build()?)))
    }
}

impl Drop for EventRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts the thread of the event path. The answer comes when it has ended as it was told to.
fn start(
    runtime: EventRuntime,
    follow: Follow,
    first_walk: Latch,
    shutdown: Shutdown,
    liveness: Liveness,
) -> io::Result<oneshot::Receiver<()>> {
    let (ended, has_ended) = oneshot::channel();
    let body = move || {
        let _alive = liveness.begin();
        if let Some(inner) = &runtime.0 {
            inner.block_on(follow.run(first_walk, shutdown));
        }
        drop(runtime);
        // The agent may be gone by now.
        let _ = ended.send(());
    };
    std::thread::Builder::new().name("cgtap-events".to_owned()).spawn(body)?;
    Ok(has_ended)
}

/// Resolves when the thread of the event path ends before it is told to: an agent that sees nothing must not look alive, and
/// whoever supervises it starts it again.
async fn failure(ended: &mut oneshot::Receiver<()>, shutdown: &Shutdown) -> RunError {
    match ended.await {
        Err(_dropped) => RunError::EventPathPanicked,
        Ok(()) if shutdown.is_ordered() => std::future::pending().await,
        Ok(()) => RunError::EventPathEnded,
    }
}

/// The log, and what was before.
struct Begun {
    machine: Machine,
    events: EventLog,
    past: Past,
}

/// Opens the log and reads what was before. Blocks.
fn begin(config: &Config) -> Result<Begun, RunError> {
    let host = HostRoot::new(&config.host_root);
    let machine = files::machine(&host, false);
    let boot_id = machine.boot_id.clone().unwrap_or_default();
    let dir = StateDir::lock(&config.state_dir)
        .map_err(|_taken| RunError::StateDirTaken { dir: config.state_dir.clone() })?;
    let options = options::event_log(config, dir.events());
    let events = EventLog::on_disk(config.event_memory_records, options, &boot_id)?;
    let kernel_kills = files::oom_kills(&host).ok().flatten();
    let past = history::open(dir, &events, &boot_id, kernel_kills);
    Ok(Begun { machine, events, past })
}

/// What this host supports: probes, attaches, walks once and looks.
///
/// # Errors
/// When a setting is not allowed or there are no cgroups.
pub async fn check(config: Config) -> Result<Status, RunError> {
    let options = options::exposition(&config);
    options::collect(&config, options.sets)?;
    let machine = files::machine(&HostRoot::new(&config.host_root), false);
    let events = EventLog::new(config.event_memory_records);
    let (state, opened) = attach(&config, machine, History::default(), events, Instant::now())?;
    let mut walks = Walks::new(state.facts.hierarchies.clone(), config.walk_interval);
    walks.start_if_due(None, Look::default(), || state.registry().begin_walk());
    if let Some(finished) = walks.finished().await {
        state.registry().apply_walk(finished.mark, &finished.walked);
        state.telemetry.walks.inc();
    }
    drop(opened);
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
