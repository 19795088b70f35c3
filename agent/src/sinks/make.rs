//! Makes sinks from the settings and runs each on a thread of its own.

use std::sync::Arc;
use std::time::Duration;

use super::{Cursor, FileOutlet, JournaldOutlet, Outlet, Sink, StdoutOutlet, WebhookOutlet};
use crate::config::{Config, OutletSettings, SinkSettings};
use crate::events::EventLog;
use crate::model::{Backoff, SinkState};
use crate::telemetry::{SharedSinkStatus, Telemetry};

/// The first pause after a delivery that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The sinks of the settings; none runs yet.
pub fn make(config: &Config) -> Vec<Sink> {
    config.sinks.iter().map(|settings| make_one(config, settings)).collect()
}

fn make_one(config: &Config, settings: &SinkSettings) -> Sink {
    let outlet: Box<dyn Outlet> = match settings.outlet.clone() {
        OutletSettings::Stdout => Box::new(StdoutOutlet),
        OutletSettings::File(file) => Box::new(FileOutlet::new(file)),
        OutletSettings::Journald(journal) => {
            let path = journal.path.strip_prefix("/").unwrap_or(&journal.path);
            Box::new(JournaldOutlet::new(config.host_root.join(path)))
        }
        OutletSettings::Webhook(webhook) => {
            let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
            Box::new(WebhookOutlet::new(webhook, node))
        }
    };
    Sink {
        name: settings.name.clone(),
        filter: settings.filter.clone(),
        outlet,
        batch_events: settings.batch_events,
        backoff: Backoff::new(FIRST_PAUSE, settings.longest_pause),
        cursor: Cursor::new(&config.state_dir.join("sinks"), &settings.name),
    }
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
    let name = status.lock().name.clone();
    tracing::error!(sink = name, %error, "a sink cannot start");
    status.lock().state = SinkState::Stopped(error.to_string());
}
