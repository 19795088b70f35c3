//! How many files stay open.

use super::member::Member;

/// Counts the files that are kept open. All of it is for files: a directory is of no use while its files are open.
#[derive(Debug)]
pub(super) struct Budget {
    /// Files that are open now.
    pub(super) open: usize,
    max: usize,
    /// The process or the host has no descriptor left.
    pub(super) is_starved: bool,
}

impl Budget {
    pub(super) fn new(max: usize) -> Self {
        Self { open: 0, max, is_starved: false }
    }

    /// Whether one more file may stay open; counts it if so.
    pub(super) fn take(&mut self) -> bool {
        let free = self.open < self.max;
        self.open += usize::from(free);
        free
    }

    pub(super) fn give_back(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// Closes all that these members keep.
    pub(super) fn close(&mut self, members: impl IntoIterator<Item = Member>) {
        for member in members {
            self.open = self.open.saturating_sub(member.open_files());
        }
    }

    /// Descriptors ran out and all files were closed: from now on keep half as many open.
    pub(super) fn shrink(&mut self) {
        *self = Self::new(self.open / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_budget_is_kept() {
        let mut budget = Budget::new(8);
        assert_eq!((0..10).filter(|_| budget.take()).count(), 8);
        budget.give_back();
        assert!(budget.take() && !budget.take());
    }

    #[test]
    fn nothing_is_kept_without_a_budget() {
        let mut budget = Budget::new(0);
        assert!(!budget.take());
    }

    #[test]
    fn a_starved_budget_halves() {
        let mut budget = Budget::new(100);
        assert_eq!((0..40).filter(|_| budget.take()).count(), 40);
        budget.is_starved = true;
        assert!(budget.is_starved);
        budget.shrink();
        assert_eq!((budget.open, budget.is_starved), (0, false));
        assert_eq!((0..40).filter(|_| budget.take()).count(), 20);
    }
}
