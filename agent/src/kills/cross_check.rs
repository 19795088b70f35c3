//! Kills that the kernel counted against kills that were reported. A difference is a loss, and is told.

use std::time::{Duration, Instant};

/// So long a difference must stay: records may be on their way.
const SETTLED: Duration = Duration::from_secs(1);

/// Both counts since the agent began.
#[derive(Debug)]
pub(crate) struct CrossCheck {
    /// The kernel's count that nothing is missing at: it moves on with what was reported and what was given up.
    expected: u64,
    reported: u64,
    unreported: u64,
    /// The kernel's count and ours, since when they differ as they do.
    differs: Option<(u64, u64, Instant)>,
}

impl CrossCheck {
    /// With the kernel's count at the beginning.
    pub(crate) fn new(kernel: u64) -> Self {
        Self { expected: kernel, reported: 0, unreported: 0, differs: None }
    }

    /// A kill was reported.
    pub(crate) fn report(&mut self) {
        self.reported += 1;
        self.expected += 1;
    }

    /// A report was one too many.
    pub(crate) fn take_back(&mut self) {
        self.reported = self.reported.saturating_sub(1);
        self.expected = self.expected.saturating_sub(1);
    }

    /// Whether the two counts differ, for whatever time.
    pub(crate) fn differs(&self) -> bool {
        self.differs.is_some()
    }

    #[cfg(test)]
    pub(crate) fn reported(&self) -> u64 {
        self.reported
    }

    #[cfg(test)]
    pub(crate) fn unreported(&self) -> u64 {
        self.unreported
    }

    /// The kernel has counted so many processes again that it had counted already.
    pub(crate) fn repeat(&mut self, times: u64) {
        self.expected += times;
    }

    /// Of kills that were missing so many were found elsewhere, and so many were not.
    pub(crate) fn settle(&mut self, found: u64, lost: u64) {
        self.reported += found;
        self.unreported += lost;
    }

    /// Compares with the kernel's count `now`; how many kills are missing for good, to be settled by the caller.
    pub(crate) fn compare(&mut self, kernel: u64, now: Instant) -> u64 {
        if kernel == self.expected {
            self.differs = None;
            return 0;
        }
        match self.differs {
            Some((count, ours, since)) if (count, ours) == (kernel, self.expected) => {
                if now.duration_since(since) < SETTLED {
                    return 0;
                }
            }
            _ => {
                self.differs = Some((kernel, self.expected, now));
                return 0;
            }
        }
        // More reported than counted: marks of processes that were dying already. They must not hide a later loss.
        let missing = kernel.saturating_sub(self.expected);
        self.expected = kernel;
        self.differs = None;
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(600);

    #[test]
    fn what_stays_missing_is_given_up_once() {
        let (mut check, began) = (CrossCheck::new(100), Instant::now());
        assert_eq!(check.compare(103, began), 0);
        check.report();
        assert_eq!(check.compare(103, began + MOMENT), 0, "one more came: it moves still");
        assert_eq!(check.compare(103, began + 2 * MOMENT), 0);
        assert_eq!(check.compare(103, began + 3 * MOMENT), 2);
        check.settle(1, 1);
        assert_eq!(check.compare(103, began + 9 * MOMENT), 0);
        assert_eq!((check.reported(), check.unreported()), (2, 1));
    }

    #[test]
    fn a_report_before_the_look_is_no_difference() {
        let (mut check, began) = (CrossCheck::new(5), Instant::now());
        check.report();
        for looks in 0..5 {
            assert_eq!(check.compare(6, began + looks * MOMENT), 0);
        }
        assert_eq!(check.unreported(), 0);
    }

    #[test]
    fn a_mark_too_many_hides_no_later_loss() {
        let (mut check, began) = (CrossCheck::new(5), Instant::now());
        check.report();
        for looks in 0..4 {
            assert_eq!(check.compare(5, began + looks * MOMENT), 0);
        }
        for looks in 10..12 {
            assert_eq!(check.compare(6, began + looks * MOMENT), 0);
        }
        assert_eq!(check.compare(6, began + 12 * MOMENT), 1);
    }
}
