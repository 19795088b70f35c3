//! The order to stop, which all parts wait for.

use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Waits for the order to stop. Clones wait for the same order.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Option<Instant>>);

/// Orders the stop. Dropping it orders the stop too, so that servers end after a panic.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<Option<Instant>>);

impl Shutdown {
    /// A trigger, and the side that waits for it.
    pub fn new() -> (ShutdownTrigger, Self) {
        let (sender, receiver) = watch::channel(None);
        (ShutdownTrigger(sender), Self(receiver))
    }

    /// Returns when the stop is ordered, at once if it already was.
    pub async fn wait(&mut self) {
        // An error means that the trigger was dropped, which is an order too.
        let _ordered = self.0.wait_for(Option::is_some).await.is_ok();
    }

    /// Whether the stop was ordered.
    pub fn is_ordered(&self) -> bool {
        self.0.borrow().is_some() || self.0.has_changed().is_err()
    }

    /// Time since the stop was ordered; zero if it was not.
    pub fn since_order(&self) -> Duration {
        self.0.borrow().map(|ordered| ordered.elapsed()).unwrap_or_default()
    }
}

impl ShutdownTrigger {
    pub fn order(&self) {
        // The first order counts.
        self.0.send_if_modified(|ordered| ordered.replace(ordered.unwrap_or_else(Instant::now)).is_none());
    }
}

/// A [`Shutdown`] that SIGTERM or SIGINT orders.
///
/// # Errors
/// The handlers cannot be installed.
pub fn shutdown_on_signals() -> std::io::Result<Shutdown> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (trigger, shutdown) = Shutdown::new();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
        trigger.order();
    });
    Ok(shutdown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_order_reaches_those_who_wait_before_and_after_it() {
        let (trigger, mut early) = Shutdown::new();
        assert!(!early.is_ordered());
        let mut late = early.clone();
        trigger.order();
        early.wait().await;
        late.wait().await;
        assert!(late.is_ordered());
    }

    #[tokio::test]
    async fn dropping_the_trigger_is_an_order() {
        let (trigger, mut waiting) = Shutdown::new();
        drop(trigger);
        waiting.wait().await;
        assert!(waiting.is_ordered());
    }
}
