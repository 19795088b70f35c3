//! From the kernel's monotonic clock to wall time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// The wall time so long after the machine started, as its clock stands now.
pub fn wall_time(since_boot: Duration) -> SystemTime {
    Clock::now().wall(u64::try_from(since_boot.as_nanos()).unwrap_or(u64::MAX))
}

/// Nanoseconds of the clock that records carry (`CLOCK_MONOTONIC`, `bpf_ktime_get_ns`).
pub(crate) fn monotonic_nsec() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let nsec = now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec);
    u64::try_from(nsec).unwrap_or(0)
}

/// The distance between the clocks now. Taken once per batch of records: the wall clock may be set at any time, and
/// a record is converted within moments of its making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    ahead_nsec: i128,
}

impl Clock {
    pub(crate) fn now() -> Self {
        let nsec = |time: Timespec| i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
        let real = nsec(clock_gettime(ClockId::Realtime));
        Self { ahead_nsec: real - nsec(clock_gettime(ClockId::Monotonic)) }
    }

    pub(crate) fn wall(self, monotonic_nsec: u64) -> SystemTime {
        let nsec = u64::try_from(self.ahead_nsec + i128::from(monotonic_nsec)).unwrap_or(0);
        UNIX_EPOCH + Duration::from_nanos(nsec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_is_now() {
        let clock = Clock::now();
        let monotonic = clock_gettime(ClockId::Monotonic);
        let nsec = u64::try_from(monotonic.tv_sec * 1_000_000_000 + monotonic.tv_nsec).unwrap();
        let off = clock.wall(nsec).duration_since(SystemTime::now()).unwrap_or_else(|e| e.duration());
        assert!(off < Duration::from_secs(1), "{off:?}");
    }
}
