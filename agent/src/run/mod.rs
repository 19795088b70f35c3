//! Puts the agent together and runs it: bind, attach, walk, serve, stop.
//!
//! Nothing is decided here but the order. Binding comes first, so that a taken port costs nothing; the programs are
//! attached before the tree is walked, so that no cgroup falls between; serving begins at once, so that a probe sees
//! `/readyz` say what is awaited.

mod assemble;
mod attach;
mod follow;
mod memory;
mod names;
mod state;

pub use assemble::{RunError, check, run};
