//! Makes sinks from the settings and runs each on a thread of its own.

use std::sync::Arc;
use std::time::Duration;

use super::follow::lock;
use super::{Cursor, FileOutlet, JournaldOutlet, Outlet, Sink, StdoutOutlet, WebhookOutlet};
use crate::config::{Config, ConfigError, OutletSettings, SinkSettings};
use crate::events::{EventLog, Filter};
use crate::model::{Backoff, SinkState};
use crate::telemetry::{SharedSinkStatus, Telemetry};

/// The first pause after a delivery that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The sinks of the settings, checked; none runs yet.
///
/// # Errors
/// A filter or a file in the settings cannot be used.
pub fn make(config: &Config) -> Result<Vec<Sink>, ConfigError> {
    config.sinks.iter().map(|settings| make_one(config, settings)).collect()
}

fn make_one(config: &Config, settings: &SinkSettings) -> Result<Sink, ConfigError> {
    let outlet: Box<dyn Outlet> = match settings.outlet.clone() {
        OutletSettings::Stdout {} => Box::new(StdoutOutlet),
        OutletSettings::File(file) => Box::new(FileOutlet::new(file)),
        OutletSettings::Journald { path } => {
            Box::new(JournaldOutlet::new(config.host_root.join(path.strip_prefix("/").unwrap_or(&path))))
        }
        OutletSettings::Webhook(webhook) => {
            let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
            let file = webhook.ca_file.clone().unwrap_or_default();
            Box::new(WebhookOutlet::new(webhook, node).map_err(|error| {
                let wanted = format!("a file of certificates in PEM form: {error}");
                settings.refused("ca_file", file.display(), &wanted)
            })?)
        }
    };
    Ok(Sink {
        name: settings.name.clone(),
        filter: filter(settings)?,
        outlet,
        batch_events: settings.batch_events,
        backoff: Backoff::new(FIRST_PAUSE, settings.longest_pause.0),
        cursor: Cursor::new(&config.state_dir.join("sinks"), &settings.name),
    })
}

fn filter(settings: &SinkSettings) -> Result<Filter, ConfigError> {
    let mut filter = Filter::default();
    for (key, value) in &settings.filter {
        filter.set(key, value.as_bytes()).map_err(|bad| {
            let allowed =
                if bad.allowed.is_empty() { String::new() } else { format!("; {}", bad.allowed.join(", ")) };
            settings.refused(key, value, &(bad.text + &allowed))
        })?;
    }
    Ok(filter)
}

/// Runs a sink until `ended` resolves. A new sink begins with the first event after `first_seq`.
pub fn start(
    sink: Sink,
    events: &EventLog,
    boot_id: &Arc<str>,
    first_seq: u64,
    telemetry: &Telemetry,
    ended: impl Future<Output = ()> + Send + 'static,
) {
    let status = telemetry.add_sink(&sink.name);
    let thread = std::thread::Builder::new().name(format!("sink-{}", sink.name));
    let (events, boot_id, shown) = (events.clone(), Arc::clone(boot_id), Arc::clone(&status));
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        match runtime {
            Ok(runtime) => runtime.block_on(async {
                tokio::select! {
                    () = ended => {}
                    () = sink.follow(events, boot_id, first_seq, shown) => {}
                }
            }),
            Err(error) => cannot_start(&shown, &error),
        }
    };
    if let Err(error) = thread.spawn(work) {
        cannot_start(&status, &error);
    }
}

fn cannot_start(status: &SharedSinkStatus, error: &std::io::Error) {
    let mut status = lock(status);
    tracing::error!(sink = status.name, %error, "a sink cannot start");
    status.state = SinkState::Stopped(error.to_string());
}
