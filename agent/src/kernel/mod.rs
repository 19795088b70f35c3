//! The only BPF code of the agent, and what else must be unsafe: probe, plan, load; then decode what the rings hold.
//!
//! - `probe` gathers facts: what BTF says, which tracepoints tracefs shows. It decides nothing.
//! - `plan` is a pure function from facts and settings to what shall be tried, per hook and in which order.
//! - `load` tries it and keeps what the kernel accepted. A refusal is a recorded fact, never an error of the agent.
//! - `self_check` tries the layout on the agent's own task before it is trusted.
//! - `readable` waits for any other descriptor.
//! - `ring` reads, `decode` turns records into the model, `sequence` notices gaps.
//! - `exits` reads where a cgroup's last task begins to exit, CPU by CPU.
//! - `handle` finds a cgroup's path by its id.
//! - `perf_counters` counts performance events of a cgroup.
//! - `pin` lets programs and rings outlive the agent.
//! - `priority` lets a thread go first or last.
//! - `quota` asks a file system what a project has used.
//! - `heap` gives back the memory that all this took.
//!
//! No kernel version is tested anywhere: distributions backport.
#![allow(
    unsafe_code,
    reason = "the sole home of unsafe in the agent: perf events, mapped kernel memory by aya, and the C library's heap"
)]

mod attach;
pub(crate) mod btf;
pub(crate) mod clock;
mod counters;
pub(crate) mod decode;
mod error;
mod exits;
pub(crate) mod format;
mod handle;
mod heap;
mod load;
pub(crate) mod offsets;
mod perf;
mod perf_counters;
mod pin;
mod plan;
mod priority;
pub(crate) mod probe;
mod program_log;
mod quota;
mod readable;
mod ring;
mod self_check;
mod sequence;
mod tracefs;

pub use clock::wall_time;
pub use counters::CounterReader;
pub use error::KernelError;
pub use exits::{ExitFeed, stay_on};
pub use handle::Paths;
pub use heap::{give_back, limit_heaps};
pub use load::{Attached, Guard, RingSizes, adopt, load, pins};
pub use perf_counters::{CountedIn, CounterGroup, GroupReading};
pub use pin::PinError;
pub use plan::plan;
pub use priority::{go_first, go_last};
pub use probe::{Facts, probe};
pub use quota::project_usage;
pub use readable::Readable;
pub use ring::{Batch, LifecycleRing, OomRing};
