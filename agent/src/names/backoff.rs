//! How long to wait before asking again.

use std::time::Duration;

/// Doubles from the first to the last wait.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    /// A runtime knows a container within milliseconds of its cgroup.
    pub(super) const FIRST: Duration = Duration::from_millis(100);
    /// For those that nobody knows.
    pub(super) const LAST: Duration = Duration::from_secs(30);

    pub(super) fn next(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(Self::LAST);
        wait
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self(Self::FIRST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_and_stays() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = std::iter::repeat_with(|| backoff.next().as_millis()).take(11).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
    }
}
