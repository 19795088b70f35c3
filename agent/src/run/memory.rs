//! Gives back what a burst of scrapes took.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::kernel;
use crate::serve::Shutdown;
use crate::telemetry::Telemetry;

/// Seldom, as the next scrape must fault the pages in again.
const INTERVAL: Duration = Duration::from_secs(60);

/// Until shutdown; rests while nobody scrapes.
pub(super) async fn give_back(telemetry: Arc<Telemetry>, mut shutdown: Shutdown) {
    let mut before = 0;
    loop {
        tokio::select! {
            () = shutdown.wait() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let taken = telemetry.snapshots.get();
        if taken == before {
            continue;
        }
        before = taken;
        let given = tokio::task::spawn_blocking(|| {
            let began = Instant::now();
            kernel::give_back();
            began.elapsed()
        });
        match given.await {
            Ok(took) => tracing::debug!(took_usec = took.as_micros(), "free memory was given back"),
            Err(error) => tracing::error!(%error, "free memory could not be given back"),
        }
    }
}
