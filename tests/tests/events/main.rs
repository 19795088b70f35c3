//! The stream of events loses nothing: over crashes and restarts, with a failing disk, with slow clients, and through sinks. The
//! real binary runs on the real kernel; `cargo xtask soak` runs the same for longer.
//!
//! | module | promise |
//! |---|---|
//! | [`crash`] | killed at any moment, the agent goes on without a gap or a repeat, and every OOM kill is reported once |
//! | [`docs`] | `docs/events.md` has every type and field |
//! | [`disk`] | a disk that is full, read-only or gone costs no event |
//! | [`subscribers`] | a client that does not read harms no other |
//! | [`sinks`] | standard output, file, journald and webhook have every event, in order |
//!
//! A test that cannot run on this host prints `skipped: NAME: why`, and `cargo xtask test` counts it as skipped.
#![allow(clippy::disallowed_methods, reason = "these tests start other programs")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test with its line"
)]

mod crash;
mod disk;
mod docs;
mod sinks;
mod subscribers;
mod support;
