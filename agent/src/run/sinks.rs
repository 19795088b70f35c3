//! Makes the sinks of the settings and lets them run.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::RunError;
use crate::config::{Config, ConfigError, OutletConfig, SinkConfig};
use crate::events::{EventLog, Filter};
use crate::files::HostRoot;
use crate::model::{Backoff, SinkStatus};
use crate::serve::Shutdown;
use crate::sinks::{
    Cursor, FileOptions, FileOutlet, JournaldOutlet, Outlet, Progress, Sink, StdoutOutlet, WebhookOptions,
    WebhookOutlet, follow,
};

/// The first pause after a delivery that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The sinks' progress, for those who show it.
#[derive(Clone, Default)]
pub(super) struct Sinks(Vec<(String, Progress)>);

impl Sinks {
    pub(super) fn status(&self) -> Vec<SinkStatus> {
        let one = |(name, progress): &(String, Progress)| {
            let now = progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
            SinkStatus {
                name: name.clone(),
                sent: now.sent,
                retried: now.retried,
                dropped: now.dropped,
                seq: now.seq,
                failing: now.failing,
            }
        };
        self.0.iter().map(one).collect()
    }
}

/// Sinks that are checked and do not run yet.
pub(super) struct Ready(Vec<Sink>);

/// Makes them.
///
/// # Errors
/// A filter or a file that the settings name is not what it must be.
pub(super) fn make(config: &Config) -> Result<Ready, RunError> {
    let sinks: Result<Vec<Sink>, ConfigError> = config.sinks.iter().map(|sink| one(config, sink)).collect();
    Ok(Ready(sinks?))
}

fn one(config: &Config, sink: &SinkConfig) -> Result<Sink, ConfigError> {
    let refused = |key: &str, given: String, wanted: String| ConfigError::Sink {
        sink: sink.name.clone(),
        key: key.to_owned(),
        given,
        wanted,
    };
    let mut filter = Filter::default();
    for (key, value) in &sink.filter {
        let set = filter.set(key, value.as_bytes());
        set.map_err(|bad| {
            let allowed =
                if bad.allowed.is_empty() { String::new() } else { format!("; {}", bad.allowed.join(", ")) };
            refused(key, value.clone(), bad.text + &allowed)
        })?;
    }
    let outlet: Box<dyn Outlet> = match sink.outlet.clone() {
        OutletConfig::Stdout => Box::new(StdoutOutlet),
        OutletConfig::File { path, max_bytes, max_files } => {
            Box::new(FileOutlet::new(FileOptions { path, max_bytes, max_files }))
        }
        OutletConfig::Journald { path } => {
            Box::new(JournaldOutlet::new(HostRoot::new(&config.host_root).join(path)))
        }
        OutletConfig::Webhook { url, secret_file, ca_file, timeout } => {
            let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
            let options = WebhookOptions { url, secret_file, ca_file, timeout, node };
            let made = WebhookOutlet::new(options);
            Box::new(made.map_err(|error| refused("ca_file", String::new(), error.to_string()))?)
        }
    };
    Ok(Sink {
        name: sink.name.clone(),
        filter,
        outlet,
        batch_events: sink.batch_events,
        backoff: Backoff::new(FIRST_PAUSE, sink.longest_pause),
        cursor: Cursor::new(&cursors(&config.state_dir), &sink.name),
    })
}

fn cursors(state_dir: &Path) -> PathBuf {
    state_dir.join("sinks")
}

/// Lets them run until shutdown. One that is new begins with what this agent tells.
pub(super) fn start(
    ready: Ready,
    events: &EventLog,
    boot_id: &Arc<str>,
    first_seq: u64,
    shutdown: &Shutdown,
) -> Sinks {
    let mut shown = Vec::new();
    for sink in ready.0 {
        let progress: Progress = Arc::new(Mutex::default());
        shown.push((sink.name.clone(), Arc::clone(&progress)));
        let mut shutdown = shutdown.clone();
        let ended = async move { shutdown.wait().await };
        tokio::spawn(follow(sink, events.clone(), Arc::clone(boot_id), first_seq, progress, ended));
    }
    Sinks(shown)
}
