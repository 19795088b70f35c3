//! The real binary on the real kernel, one module per promise.
//!
//! | module | promise |
//! |---|---|
//! | [`lifecycle_matrix`] | every cgroup made and removed is an event, once, in order, by every rung; a loss is repaired |
//! | [`lifecycle`] | one cgroup is one event over all hierarchies; a follower may come back |
//! | [`tree`] | the set of cgroups is the tree, through renames and cut paths |
//! | [`containers`] | a container's start and end are events, and its network is its own |
//! | `crash` | killed at any moment, the agent goes on without a gap or a repeat; here only in a virtual machine, else in `tests/events` |
//! | [`filesystem`] | the node's file systems agree with statfs, and a container's usage with `du` |
//! | `finals` | a container that ends leaves what it used in all; here only in a virtual machine, else in `tests/alone` |
//! | [`oom_matrix`] | every OOM kill is an event with the right process, cgroup and limit, by every rung |
//! | [`oom`] | the count of a container's kills outlives it |
//! | [`event_path`] | the thread of the event path opens no file |
//! | [`pinned`] | with programs and rings pinned nothing is missed while the agent is replaced |
//! | [`parity`] | every counter has the value of the kernel's file |
//! | [`names`] | no name of a cgroup breaks an output |
//! | [`http`] | bad requests get an answer that names what is wrong |
//! | [`perf`] | performance events of a container count only its own processes; an unknown one ends the start |
//! | [`process`] | exit codes, SIGTERM |
//! | [`degrade`] | without BPF or without root the agent serves what is left |
//! | [`own_metrics`] | the agent's own metrics are those of `docs/metrics.md`, and no others |
//! | [`prometheus`] | promtool and a real Prometheus accept the agent's output |
//! | [`deploy`] | the files of `deploy/` are good and ask for no more than they need |
//!
//! A test that cannot run on this host prints `skipped: NAME: why`, and `cargo xtask test` counts it as skipped.
#![allow(clippy::disallowed_methods, reason = "these tests start other programs")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test with its line"
)]
#![allow(unreachable_pub, reason = "one program, no users")]

mod containers;
#[cfg(cgtap_machine)]
#[path = "../events/crash.rs"]
mod crash;
mod degrade;
mod deploy;
mod event_path;
mod filesystem;
#[cfg(cgtap_machine)]
mod finals;
mod http;
mod lifecycle;
mod lifecycle_matrix;
mod names;
mod oom;
mod oom_matrix;
mod own_metrics;
mod parity;
mod perf;
mod pinned;
mod process;
mod prometheus;
mod shown;
mod support;
mod tasks;
mod tree;
