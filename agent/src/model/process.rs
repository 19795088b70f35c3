//! The tasks of a cgroup: counts, states, run queue times, referenced memory.

use super::Limit;

/// The tasks of a cgroup and all below it. What no set wants is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskStats {
    /// Processes and their descriptors.
    pub processes: Option<ProcessStats>,
    /// Run queue times, of tasks that have ended too since the agent began.
    pub sched: Option<SchedStats>,
    pub states: Option<TaskStates>,
    pub load: Option<LoadAverages>,
    /// Memory referenced since it was last cleared: `Referenced` of `/proc/<pid>/smaps_rollup` of all processes.
    pub referenced_bytes: Option<u64>,
}

/// Processes of a cgroup and all below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessStats {
    /// `cgroup.procs`.
    pub count: Option<u64>,
    /// Open descriptors: `/proc/<pid>/fd`.
    pub file_descriptors: Option<u64>,
    /// Descriptors that are sockets.
    pub sockets: Option<u64>,
    /// Soft limit of open files of the cgroup's first process: `/proc/<pid>/limits`.
    pub open_files_limit: Option<Limit>,
}

/// Run queue times: `/proc/<pid>/task/<tid>/schedstat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedStats {
    /// Time on a processor.
    pub run_nsec: u64,
    /// Time of waiting for one.
    pub runqueue_nsec: u64,
    /// Times that a task was put on one.
    pub run_periods: u64,
}

impl SchedStats {
    /// The sum of both.
    pub fn plus(self, other: Self) -> Self {
        Self {
            run_nsec: self.run_nsec.saturating_add(other.run_nsec),
            runqueue_nsec: self.runqueue_nsec.saturating_add(other.runqueue_nsec),
            run_periods: self.run_periods.saturating_add(other.run_periods),
        }
    }

    /// What was added since `earlier`; all of it when that was another task's.
    pub fn since(self, earlier: Self) -> Self {
        let grown = || {
            Some(Self {
                run_nsec: self.run_nsec.checked_sub(earlier.run_nsec)?,
                runqueue_nsec: self.runqueue_nsec.checked_sub(earlier.runqueue_nsec)?,
                run_periods: self.run_periods.checked_sub(earlier.run_periods)?,
            })
        };
        grown().unwrap_or(self)
    }
}

/// Tasks (threads) by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskStates {
    /// On a processor or waiting for one.
    pub running: u64,
    /// Waiting for something that a signal may end.
    pub sleeping: u64,
    /// Waiting for something, most often a disk, that no signal ends.
    pub uninterruptible: u64,
    /// Stopped by a signal or a tracer.
    pub stopped: u64,
}

impl TaskStates {
    /// The sum of both.
    pub fn plus(self, other: Self) -> Self {
        Self {
            running: self.running + other.running,
            sleeping: self.sleeping + other.sleeping,
            uninterruptible: self.uninterruptible + other.uninterruptible,
            stopped: self.stopped + other.stopped,
        }
    }
}

/// Load averages of 10 s, in thousandths of a task, as cAdvisor shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadAverages {
    pub running_milli: u64,
    /// Of tasks in uninterruptible sleep.
    pub uninterruptible_milli: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_number_that_was_given_again_begins_anew() {
        let of = |run_nsec, run_periods| SchedStats { run_nsec, runqueue_nsec: 0, run_periods };
        assert_eq!(of(9, 4).since(of(5, 1)), of(4, 3));
        assert_eq!(of(3, 9).since(of(5, 1)), of(3, 9));
    }
}
