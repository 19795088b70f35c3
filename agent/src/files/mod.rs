//! Opens the host's cgroup and proc files and lets [`crate::parse`] read them.
//!
//! Every path goes through a [`HostRoot`], so the agent sees the host's files from inside a container too. Errors
//! name the file; one file's error never hides the values of the others.

mod devices;
mod error;
mod filesystems;
mod folder;
mod hierarchies;
mod host;
mod inotify;
mod kernel_log;
mod kill_counters;
mod machine;
mod network;
mod perf_events;
mod populated;
mod process;
mod reader;
mod resctrl;
mod sockets;
mod tasks;
mod tree_watch;
mod unit;
mod usage;
mod walk;

pub use devices::DeviceNames;
pub use error::FilesError;
pub use filesystems::{Filesystems, MountTable, NodeFilesystem};
pub use folder::entry_names;
pub use hierarchies::{directory_key, hierarchies, mode};
pub use host::HostRoot;
pub use kernel_log::{KernelLog, LogRead};
pub use kill_counters::{KillCounters, Rise, Woken, kill_count};
pub use machine::machine;
pub use network::{read_host_network, read_network};
pub use perf_events::{online_cpus, perf_plan};
pub use populated::has_processes;
pub use process::{comm, oom_kills, own_memory_cgroup, process_cgroup, tgid};
pub use reader::{CgroupReader, ReadSets};
pub use resctrl::{CacheGroups, CacheReading};
pub use sockets::read_sockets;
pub use tasks::{ProcessFacts, clear_referenced, open_files_limit, process_facts};
pub use tree_watch::{TreeEvents, TreeWatch};
pub use unit::unit_description;
pub use usage::{Usage, UsageReader, UsageSettings};
pub use walk::walk;

#[cfg(test)]
pub(crate) mod fixture;
