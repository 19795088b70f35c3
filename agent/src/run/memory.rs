//! Gives back what a burst of scrapes took.

use std::sync::Arc;
use std::time::Duration;

use crate::kernel;
use crate::serve::Shutdown;
use crate::telemetry::Telemetry;

/// Seldom, as the next scrape must fault the pages in again.
const INTERVAL: Duration = Duration::from_secs(60);

/// Until shutdown; rests while there are no scrapes.
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
        if let Err(error) = tokio::task::spawn_blocking(kernel::give_back).await {
            tracing::error!(%error, "free memory could not be given back");
        }
    }
}
