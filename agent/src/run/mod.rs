//! Puts the agent together and runs it: bind, attach, walk, serve, stop.
//!
//! Nothing is decided here but the order. Binding comes first, so that a taken port costs nothing; the programs are
//! attached before the tree is walked, so that no cgroup falls between; serving begins at once, so that a probe sees
//! `/readyz` say what is awaited.

mod assemble;
mod attach;
mod core;
mod counted_kills;
mod cross_check;
mod fill_in;
mod finals;
mod history;
mod kernel_log;
mod kill_totals;
mod kills;
mod lifecycle;
mod memory;
mod names;
mod names_metrics;
mod offers;
mod oom_fallback;
mod own_metrics;
mod recovery;
mod saved;
mod saver;
mod state;
mod walks;

pub use assemble::{RunError, check, run};
