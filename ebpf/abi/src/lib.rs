//! The records that the BPF programs write and the agent reads, and the layout that the agent gives to the programs.
//!
//! Both sides compile this file, so a record cannot mean two things. Everything is `repr(C)` with fixed widths and
//! explicit padding; the sizes are asserted, as a change of them is a change of the contract.
#![no_std]

mod layout;
mod records;

pub use layout::*;
pub use records::*;

/// Number of programs that count; index of [`Counters`] in the per-CPU map.
pub const PROGRAMS: u32 = 7;

/// The programs, in the order of their counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Program {
    /// `cgroup:cgroup_mkdir`.
    CgroupMkdir = 0,
    /// `cgroup:cgroup_rmdir`.
    CgroupRmdir = 1,
    /// `cgroup:cgroup_rename`.
    CgroupRename = 2,
    /// `cgroup:cgroup_notify_populated`.
    CgroupNotifyPopulated = 3,
    /// `oom:mark_victim`.
    MarkVictim = 4,
    /// The entry of `oom_kill_process`. It numbers its runs and writes no record: its facts go into those of
    /// `mark_victim`.
    OomKillProcess = 5,
    /// `sched:sched_process_exit`, for the last task of its cgroups.
    SchedProcessExit = 6,
}

impl Program {
    /// From a record's header.
    #[must_use]
    pub fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            0 => Self::CgroupMkdir,
            1 => Self::CgroupRmdir,
            2 => Self::CgroupRename,
            3 => Self::CgroupNotifyPopulated,
            4 => Self::MarkVictim,
            5 => Self::OomKillProcess,
            6 => Self::SchedProcessExit,
            _ => return None,
        })
    }
}
