//! How long the agent takes to stop, in one place.

use std::time::Duration;

/// From the signal to the end of the process, at most. Supervisors must wait longer: `deploy/` allows 5 s.
pub const GRACE: Duration = Duration::from_secs(4);

/// Part of it: for answers that clients are reading.
pub const DRAIN_WITHIN: Duration = Duration::from_millis(1500);
/// Part of it: for a source on a thread of its own to report what happened before. It reads from the kernel's memory: only a
/// machine on which its thread does not get to run needs this.
pub const BARRIER_WITHIN: Duration = Duration::from_secs(1);
/// Part of it: for looks into `/proc` that still run.
pub const LOOK_UPS_WITHIN: Duration = Duration::from_millis(100);
/// Part of it: for the disk to take the last events.
pub const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// Part of it, at its end: for blocking work (a walk, a compression) that still runs.
pub const THREADS_WITHIN: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    /// The number after a key, on the only line that begins with it.
    fn seconds(file: &str, key: &str) -> Duration {
        let found: Vec<&str> =
            file.lines().filter_map(|line| line.trim_start().strip_prefix(key)).map(str::trim).collect();
        let [seconds] = found[..] else { panic!("{key}: {found:?}") };
        Duration::from_secs(seconds.parse().unwrap())
    }

    #[test]
    fn supervisors_wait_longer_than_the_agent_takes_to_stop() {
        let unit = include_str!("../../../deploy/cgtap.service");
        let pods = include_str!("../../../deploy/kubernetes/daemonset.yaml");
        for waits in [seconds(unit, "TimeoutStopSec="), seconds(pods, "terminationGracePeriodSeconds:")] {
            assert!(waits >= GRACE + Duration::from_secs(1), "{waits:?}");
        }
        let event_path = BARRIER_WITHIN + LOOK_UPS_WITHIN + CLOSE_WITHIN;
        assert!(DRAIN_WITHIN.max(event_path) + THREADS_WITHIN < GRACE);
    }
}
