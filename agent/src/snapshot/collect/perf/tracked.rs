//! What a group of counters has counted in all, extrapolated from one reading to the next.

use crate::kernel::{CounterGroup, GroupReading};
use crate::model::Scaled;

/// A group that is counted, and its counts so far.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) group: CounterGroup,
    pub(super) totals: Totals,
}

impl Tracked {
    pub(super) fn descriptors(&self) -> usize {
        self.group.descriptors()
    }

    /// Which of the group's events, and its count up to now; nothing of a group that the kernel gave up.
    pub(super) fn read(&mut self) -> impl Iterator<Item = (usize, Scaled)> {
        let read = self.group.read().ok().flatten();
        let is_counted = read.is_some();
        if let Some(reading) = read {
            self.totals.add(reading);
        }
        let ratio = self.totals.running_ratio();
        let counts = self.totals.counts.iter().filter(move |_| is_counted);
        counts.map(move |&(index, count)| (index, Scaled { count, running_ratio: ratio }))
    }
}

/// Each interval is extrapolated by its own ratio. With the ratio of the whole time a count would go down where the
/// ratio goes up, and a counter that goes down is taken for one that began anew.
#[derive(Debug, Default)]
pub(super) struct Totals {
    last: GroupReading,
    counts: Vec<(usize, u64)>,
}

impl Totals {
    fn add(&mut self, now: GroupReading) {
        let enabled = now.enabled_nsec.saturating_sub(self.last.enabled_nsec);
        let running = now.running_nsec.saturating_sub(self.last.running_nsec);
        if self.counts.is_empty() {
            self.counts = now.counts.iter().map(|&(index, _)| (index, 0)).collect();
        }
        for (at, (&(_, raw), (_, total))) in now.counts.iter().zip(&mut self.counts).enumerate() {
            let before = self.last.counts.get(at).map_or(0, |&(_, before)| before);
            *total = total.saturating_add(extrapolate(raw.saturating_sub(before), enabled, running));
        }
        self.last = now;
    }

    /// 1 where there was nothing to count yet, as in cAdvisor.
    fn running_ratio(&self) -> f64 {
        let GroupReading { enabled_nsec, running_nsec, .. } = self.last;
        if enabled_nsec == 0 {
            return 1.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a ratio: a hundred days are exact to the nanosecond")]
        let ratio = running_nsec as f64 / enabled_nsec as f64;
        ratio.min(1.0)
    }
}

/// A count of the part of the time in which it was counted, for all of it.
fn extrapolate(count: u64, enabled: u64, running: u64) -> u64 {
    if running == 0 || running >= enabled {
        return count;
    }
    let all = u128::from(count) * u128::from(enabled) / u128::from(running);
    u64::try_from(all).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(enabled_nsec: u64, running_nsec: u64, count: u64) -> GroupReading {
        GroupReading { enabled_nsec, running_nsec, counts: vec![(3, count)] }
    }

    #[test]
    fn each_interval_has_its_own_ratio_and_no_count_goes_down() {
        let mut totals = Totals::default();
        assert!((totals.running_ratio() - 1.0).abs() < f64::EPSILON);
        for (now, wanted, ratio) in [
            (reading(0, 0, 0), 0, 1.0),
            (reading(100, 10, 50), 500, 0.1),
            // All the time counted: at the new ratio of the whole the total would be 182.
            (reading(200, 110, 100), 550, 0.55),
            (reading(300, 110, 100), 550, 110.0 / 300.0),
            (reading(400, 160, 101), 552, 0.4),
        ] {
            totals.add(now.clone());
            assert_eq!(totals.counts, [(3, wanted)], "{now:?}");
            assert!((totals.running_ratio() - ratio).abs() < 1e-9, "{now:?}");
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        assert_eq!(extrapolate(u64::MAX, u64::MAX, 1), u64::MAX);
        assert_eq!(extrapolate(u64::MAX, 1, 2), u64::MAX, "clocks may differ a little");
        assert_eq!(extrapolate(7, 10, 0), 7);
    }
}
