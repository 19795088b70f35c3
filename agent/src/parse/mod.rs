//! Kernel text to model types: pure functions over bytes, one file per shape or kernel file.
//!
//! A key or line that a parser does not know is skipped, as newer kernels print more. Text that has not the shape
//! of its file is refused with a [`ParseError`] that quotes the line. A key that the kernel does not print is `None`.

mod assignment;
mod blkio;
mod cpu;
mod diskstats;
mod error;
mod io_stat;
mod kernel_log;
mod keyed;
mod meminfo;
mod memory_stat;
mod mountinfo;
mod net_dev;
mod numa_stat;
mod perf_name;
mod perf_pmu;
mod pressure;
mod proc_cgroup;
mod proc_net_sockets;
mod proc_stat;
mod process;
mod procs;
mod scan;
mod snmp;
mod sock_diag;
mod unit_file;
mod value;

pub use assignment::*;
pub use blkio::*;
pub use cpu::*;
pub use diskstats::*;
pub use error::*;
pub use io_stat::*;
pub use kernel_log::*;
pub use keyed::{keyed, max_events, value_of};
pub use meminfo::*;
pub use memory_stat::*;
pub use mountinfo::*;
pub use net_dev::*;
pub use numa_stat::*;
pub use perf_name::*;
pub use perf_pmu::*;
pub use pressure::*;
pub use proc_cgroup::*;
pub use proc_net_sockets::*;
pub use proc_stat::*;
pub use process::*;
pub use procs::*;
pub use snmp::*;
pub use sock_diag::*;
pub use unit_file::*;
pub use value::*;

#[cfg(test)]
mod tests;
