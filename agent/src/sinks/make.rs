//! Makes the sinks of the settings and lets them run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{
    Cursor, FileOptions, FileOutlet, JournaldOutlet, Outlet, Progress, Sink, StdoutOutlet, WebhookOptions,
    WebhookOutlet, follow,
};
use crate::config::{Config, ConfigError, OutletConfig, SinkConfig};
use crate::events::{EventLog, Filter};
use crate::model::{Backoff, SinkStatus};

/// The first pause after a delivery that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Sinks that run: the name of each and how far it has come.
#[derive(Clone, Default)]
pub struct Sinks(Vec<(String, Progress)>);

impl Sinks {
    /// What each has done.
    #[must_use]
    pub fn status(&self) -> Vec<SinkStatus> {
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

    /// Lets one run until `ended` resolves. A sink that is new begins with what this agent tells, after `first_seq`.
    pub fn start(
        &mut self,
        sink: Sink,
        events: &EventLog,
        boot_id: &Arc<str>,
        first_seq: u64,
        ended: impl Future<Output = ()> + Send + 'static,
    ) {
        let progress: Progress = Arc::new(Mutex::default());
        self.0.push((sink.name.clone(), Arc::clone(&progress)));
        tokio::spawn(follow(sink, events.clone(), Arc::clone(boot_id), first_seq, progress, ended));
    }
}

/// The sinks of the settings, checked; none runs yet.
///
/// # Errors
/// A filter or a file that the settings name is not what it must be.
pub fn make(config: &Config) -> Result<Vec<Sink>, ConfigError> {
    config.sinks.iter().map(|sink| one(config, sink)).collect()
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
            Box::new(JournaldOutlet::new(config.host_root.join(path.strip_prefix("/").unwrap_or(&path))))
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
        cursor: Cursor::new(&config.state_dir.join("sinks"), &sink.name),
    })
}
