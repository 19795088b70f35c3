//! Binds, attaches, starts and stops.

use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;

use super::attach::{attach, log_rungs};
use super::memory;
use super::names;
use crate::config::{Config, ConfigError, options};
use crate::events::EventLog;
use crate::export::prometheus::{ExpositionOptions, View};
use crate::files::{self, CgroupReader, HostRoot};
use crate::model::{GRACE, Machine, Status, THREADS_WITHIN};
use crate::restart::history;
use crate::restart::saved::{SavedAgent, StateDir};
use crate::restart::saver::Saver;
use crate::serve::{self, Limits, Liveness, Readiness, ScrapeSource, Services, Shutdown};
use crate::sinks;
use crate::snapshot::{AgentView, CollectOptions, Collector, Snapshots};
use crate::sources::kernel_log;
use crate::story::Past;
use crate::telemetry::Telemetry;

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start.
pub async fn run(config: Config) -> Result<()> {
    let began = Instant::now();
    let options = options::exposition(&config);
    let reads = options::collect(&config)?;
    let shutdown = serve::shutdown_on_signals()?;
    let listeners = serve::bind(&config.listen).await?;
    let sinks = sinks::make(&config);
    let telemetry = Arc::new(Telemetry::new()?);
    let host = HostRoot::new(&config.host_root);
    let machine = files::machine(&host, false);
    let (events, past, saver) = match open_state(&config, &host, &machine, &telemetry, &shutdown) {
        Err(_) if shutdown.is_ordered() => return Ok(()),
        opened => opened?,
    };
    // A start that fails does not drop it: inside another runtime that is not allowed.
    let runtime = ManuallyDrop::new(runtime::Builder::new_current_thread().enable_all().build()?);
    let inside = runtime.enter();
    let mut event_path = attach(&config, machine, events, past, saver, telemetry)?;
    drop(inside);
    // An agent that could not attach has not run.
    event_path.saver.note_start();
    let agent = event_path.agent.clone();
    log_rungs(&agent.facts);
    for sink in sinks {
        let mut shutdown = shutdown.clone();
        let AgentView { events, facts, telemetry, .. } = &agent;
        let ended = async move { shutdown.wait().await };
        sinks::start(sink, events, &facts.boot_id, events.last_seq(), telemetry, ended);
    }
    let readiness = Readiness::default();
    let first_walk = readiness.latch("first walk of the cgroup tree");
    let liveness = Liveness::default();
    let snapshots = Snapshots::new(collector(&config, host, agent.clone(), reads), config.min_interval);
    names::start(&config, options.sets, &agent, &shutdown);
    tokio::spawn(memory::give_back(agent.telemetry.clone(), shutdown.clone()));
    let metrics = |options| ScrapeSource::Node { snapshots: snapshots.clone(), options };
    let services = Services {
        agent,
        metrics: metrics(options),
        kubelet_metrics: metrics(ExpositionOptions { view: View::Kubelet, ..options }),
        readiness: readiness.clone(),
        liveness: liveness.clone(),
    };
    let follow = event_path.run(began, first_walk, shutdown.clone());
    let ended = end(start_event_path(runtime, follow, liveness)?, &shutdown);
    for listener in &listeners {
        tracing::info!(address = %listener.address, "listening");
    }
    tokio::spawn(notify_systemd(readiness, shutdown.clone()));
    let limits = Limits { stalled_follower: config.client_timeout, ..Limits::new(config.max_connections) };
    let serving = serve::serve(listeners, services, limits, shutdown.clone());
    until_end(serving, ended, &shutdown).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for both, for no longer than the agent has after the order to end.
async fn until_end(
    serving: impl Future<Output = ()>,
    ended: impl Future<Output = Result<()>>,
    shutdown: &Shutdown,
) -> Result<()> {
    let (mut serving, mut ended) = (pin!(serving), pin!(ended));
    tokio::select! {
        () = &mut serving => {
            let left = GRACE.saturating_sub(shutdown.since_order() + THREADS_WITHIN);
            match tokio::time::timeout(left, ended).await {
                Ok(ended) => return ended,
                Err(_) => tracing::warn!("the state for the next start is not saved: the disk is too slow"),
            }
        }
        // Clients may still be served.
        ended = &mut ended => {
            ended?;
            serving.await;
        }
    }
    Ok(())
}

/// Starts the thread of the event path. The answer comes when it has ended by an order.
fn start_event_path(
    runtime: ManuallyDrop<Runtime>,
    follow: impl Future<Output = ()> + Send + 'static,
    liveness: Liveness,
) -> io::Result<oneshot::Receiver<()>> {
    let (ended, has_ended) = oneshot::channel();
    let body = move || {
        let _alive = liveness.begin();
        runtime.block_on(follow);
        // A walk that does not end must not keep the agent.
        ManuallyDrop::into_inner(runtime).shutdown_background();
        // The agent may be gone by now.
        let _ = ended.send(());
    };
    std::thread::Builder::new().name("cgtap-events".to_owned()).spawn(body)?;
    Ok(has_ended)
}

/// Waits for the thread of the event path to end by an order.
///
/// # Errors
/// It ends without one: an agent that sees nothing must not look alive, and its supervisor starts it again.
async fn end(ended: oneshot::Receiver<()>, shutdown: &Shutdown) -> Result<()> {
    match ended.await {
        Err(_dropped) => bail!("the thread of the event path panicked"),
        Ok(()) if shutdown.is_ordered() => Ok(()),
        Ok(()) => bail!("the thread of the event path ended by itself"),
    }
}

/// Opens the log and reads what was before. Blocks.
fn open_state(
    config: &Config,
    host: &HostRoot,
    machine: &Machine,
    telemetry: &Arc<Telemetry>,
    shutdown: &Shutdown,
) -> Result<(EventLog, Past, Saver)> {
    let boot_id = machine.boot_id.as_deref().unwrap_or_default();
    let dir = StateDir::lock(&config.state_dir, || shutdown.is_ordered()).map_err(|_taken| {
        let place = format!("--state-dir {}", config.state_dir.display());
        ConfigError::at(&place, "another cgtap writes there; wanted: a directory of its own for each")
    })?;
    let options = options::event_log(config, dir.events());
    let events = EventLog::on_disk(config.event_memory_records, options, boot_id)?;
    let kernel_kills = files::oom_kills(host).ok().flatten();
    let now = || kernel_log::checkpoint_now(host);
    let (past, saver) = history::open(dir, &events, boot_id, telemetry, kernel_kills, now);
    Ok((events, past, saver))
}

/// What this host supports: probes, attaches, walks once and looks.
///
/// # Errors
/// When a setting is not allowed or there are no cgroups.
pub async fn check(config: Config) -> Result<Status> {
    options::collect(&config)?;
    let machine = files::machine(&HostRoot::new(&config.host_root), false);
    let (events, telemetry) = (EventLog::new(config.event_memory_records), Arc::new(Telemetry::new()?));
    // It saves only what a log on disk has.
    let dir = StateDir::unlocked(&config.state_dir);
    let saver = Saver::new(dir, events.clone(), SavedAgent::default(), telemetry.clone());
    let mut event_path = attach(&config, machine, events, Past::default(), saver, telemetry)?;
    event_path.look_once().await;
    Ok(event_path.agent.status())
}

fn collector(config: &Config, host: HostRoot, agent: AgentView, mut options: CollectOptions) -> Collector {
    let reads = options::reads(options.sets);
    let open_files = options::max_open_files(config).scrapes;
    let reader = CgroupReader::new(host.clone(), agent.facts.hierarchies.clone(), reads, open_files);
    // The files' budget has raised the limit by now.
    options.perf_descriptors = options::perf_descriptors();
    let filesystems = options::filesystems(config, &host, options.sets);
    Collector::new(host, agent, reader, filesystems, options)
}

/// Notifies systemd when the agent is ready and when it stops; elsewhere this does nothing.
async fn notify_systemd(readiness: Readiness, mut shutdown: Shutdown) {
    let notify = |state| {
        if let Err(error) = sd_notify::notify(&[state]) {
            tracing::debug!(%error, "systemd was not notified");
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
