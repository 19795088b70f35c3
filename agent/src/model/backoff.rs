//! Growing pauses between tries. Reads no clock and waits for nothing: that is its owner's part.

use std::time::Duration;

/// The next pause: the first one, then each twice as long as the one before, up to the longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    pub longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Pauses from `first` to `longest`; all are `longest` where that is shorter than `first`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        let first = first.min(longest);
        Self { first, longest, next: first }
    }

    /// How long to wait before the next try.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.longest);
        pause
    }

    /// Begins with the first pause again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(backoff: &mut Backoff, count: usize) -> Vec<u128> {
        std::iter::repeat_with(|| backoff.pause().as_millis()).take(count).collect()
    }

    #[test]
    fn a_pause_doubles_up_to_the_longest_until_it_is_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
        let wanted = [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000];
        assert_eq!(pauses(&mut backoff, 11), wanted);
        backoff.reset();
        assert_eq!(pauses(&mut backoff, 2), [100, 200]);
    }

    #[test]
    fn a_first_pause_above_the_longest_is_the_longest() {
        let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(1));
        assert_eq!(pauses(&mut backoff, 3), [1000, 1000, 1000]);
        let mut endless = Backoff::new(Duration::MAX, Duration::MAX);
        assert_eq!([endless.pause(), endless.pause()], [Duration::MAX; 2]);
    }
}
