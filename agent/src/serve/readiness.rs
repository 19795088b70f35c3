//! For `/readyz` and `/healthz`: whether the agent is ready, and whether its core still runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// The parts that are awaited: none yet. Clones share them. All latches must be taken before serving begins.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    awaited: Arc<Mutex<Vec<&'static str>>>,
}

impl Readiness {
    /// Awaits one more part until its latch is opened.
    #[must_use = "a latch that is dropped is awaited for ever"]
    pub fn latch(&self, name: &'static str) -> Latch {
        self.awaited.lock().push(name);
        Latch { readiness: self.clone(), name }
    }

    /// What is awaited; empty when ready.
    pub fn awaited(&self) -> Vec<&'static str> {
        self.awaited.lock().clone()
    }

    pub fn is_ready(&self) -> bool {
        self.awaited.lock().is_empty()
    }
}

/// Opened when its part is ready. Dropping does not open it, so that a part that failed is not ready.
#[derive(Debug)]
pub struct Latch {
    readiness: Readiness,
    name: &'static str,
}

impl Latch {
    pub fn open(self) {
        let mut awaited = self.readiness.awaited.lock();
        if let Some(index) = awaited.iter().position(|name| *name == self.name) {
            awaited.remove(index);
        }
    }
}

/// Whether the thread of the event path runs. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Liveness(Arc<AtomicBool>);

/// The core runs until this is dropped.
#[derive(Debug)]
pub struct Alive(Liveness);

impl Liveness {
    #[must_use]
    pub fn begin(&self) -> Alive {
        self.0.store(true, Ordering::Release);
        Alive(self.clone())
    }

    pub fn is_alive(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_the_last_latch_opens() {
        let readiness = Readiness::default();
        let (walk, again, oom) = (readiness.latch("walk"), readiness.latch("walk"), readiness.latch("oom"));
        walk.open();
        assert_eq!(readiness.awaited(), ["walk", "oom"]);
        again.open();
        assert!(!readiness.is_ready());
        oom.open();
        assert!(readiness.is_ready());
    }

    #[test]
    fn a_part_that_failed_is_not_ready() {
        let readiness = Readiness::default();
        drop(readiness.latch("walk"));
        assert_eq!(readiness.awaited(), ["walk"]);
    }
}
