//! What the tests and the benchmarks share: a running agent, an HTTP client, cgroups and load of their own.
//!
//! | module | has |
//! |---|---|
//! | [`agent`] | builds, starts and stops the real binary |
//! | [`http`] | a small HTTP/1.1 client, whole answers and streams of lines |
//! | [`exposition`] | a strict reader of the Prometheus text format |
//! | [`hierarchies`] | which cgroup hierarchies this host mounts, and where a cgroup must be made |
//! | [`cgroup`] | a cgroup that the test owns and that goes away with it |
//! | [`load`] | trees, bursts and OOM kills |
//! | [`churn`] | events at a steady rate, while a test does something else |
//! | [`log`] | reads and waits for an agent's log of events |
//! | [`member`] | one process of the load, from its start to its end |
//! | [`counts`] | counts tests by the lines of the test runner |
//! | [`facts`] | facts about this kernel, for a table |
//! | [`soak`] | how often: short in the test command, long in `cargo xtask soak` |
//! | [`receiver`] | the server that a webhook posts to |
//! | [`host`] | checks of what this host allows, and the note of a skipped test |
//!
//! Nothing here touches a cgroup or a process that it did not make.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests start the agent and their load; the ban is for the agent"
)]

pub mod agent;
pub mod cgroup;
pub mod churn;
pub mod counts;
pub mod exposition;
pub mod facts;
pub mod hierarchies;
pub mod host;
pub mod http;
pub mod load;
pub mod log;
pub mod member;
pub mod receiver;
pub mod soak;
pub mod time;
