//! What the tasks of a cgroup tell: counts, states, run queue times, referenced memory.

use super::Limit;

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
        let later = |now: u64, then: u64| now.checked_sub(then);
        let grown = || {
            Some(Self {
                run_nsec: later(self.run_nsec, earlier.run_nsec)?,
                runqueue_nsec: later(self.runqueue_nsec, earlier.runqueue_nsec)?,
                run_periods: later(self.run_periods, earlier.run_periods)?,
            })
        };
        grown().unwrap_or(self)
    }
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// On a processor or waiting for one.
    Running,
    /// Waiting for something that a signal may end.
    Sleeping,
    /// Waiting for something, most often a disk, that no signal ends.
    Uninterruptible,
    /// Stopped by a signal or a tracer.
    Stopped,
}

/// Tasks (threads) by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskStates {
    /// Running or ready to run.
    pub running: u64,
    pub sleeping: u64,
    /// In uninterruptible sleep.
    pub uninterruptible: u64,
    pub stopped: u64,
}

impl TaskStates {
    /// Counts one more task.
    pub fn add(&mut self, state: TaskState) {
        match state {
            TaskState::Running => self.running += 1,
            TaskState::Sleeping => self.sleeping += 1,
            TaskState::Uninterruptible => self.uninterruptible += 1,
            TaskState::Stopped => self.stopped += 1,
        }
    }

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
    /// Of running tasks.
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
