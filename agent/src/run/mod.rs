//! Puts the agent together and runs it: bind, attach, walk, serve, stop.
//!
//! The order is decided here. Binding comes first, so that a taken port costs nothing. The programs are attached before the
//! tree is walked, so that no cgroup falls between. Serving begins at once, so that `/readyz` says what is awaited.

mod assemble;
mod attach;
mod event_path;
mod memory;
mod names;

pub use assemble::{check, run};
