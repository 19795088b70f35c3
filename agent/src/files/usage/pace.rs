//! A walk's budget: so many entries a second, in slices with sleep between them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A slice is the entries of so much time: short enough that others are not held up, long enough to sleep seldom.
const SLICE: Duration = Duration::from_millis(20);

/// Counts entries and sleeps.
#[derive(Debug)]
pub(super) struct Pace {
    slice_entries: u32,
    slice: Duration,
    /// Of this slice.
    entries: u32,
    began: Instant,
    /// In all.
    pub(super) total: u64,
}

impl Pace {
    pub(super) fn new(entries_per_second: u32) -> Self {
        let per_second = entries_per_second.max(1);
        let slice_entries = (per_second / 50).max(1);
        let slice = Duration::from_secs(1) * slice_entries / per_second;
        Self { slice_entries, slice: slice.max(SLICE), entries: 0, began: Instant::now(), total: 0 }
    }

    /// One more entry; sleeps when there were too many. False when the walk is to end.
    pub(super) fn step(&mut self, ended: &AtomicBool) -> bool {
        self.total += 1;
        if self.entries == 0 {
            self.began = Instant::now();
        }
        self.entries += 1;
        if self.entries >= self.slice_entries {
            self.entries = 0;
            std::thread::sleep(self.slice.saturating_sub(self.began.elapsed()));
            return !ended.load(Ordering::Relaxed);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_kept() {
        let (began, ended) = (Instant::now(), AtomicBool::new(false));
        let mut pace = Pace::new(10_000);
        for _ in 0..1_000 {
            assert!(pace.step(&ended));
        }
        assert!(began.elapsed() >= Duration::from_millis(95), "{:?}", began.elapsed());
        assert_eq!(pace.total, 1_000);
    }

    #[test]
    fn it_ends_on_request() {
        let ended = AtomicBool::new(true);
        let mut pace = Pace::new(100);
        assert!((0..2).any(|_| !pace.step(&ended)));
    }
}
