//! Who reports that something happened, and the ladder that picks them.
//!
//! | source | reports | read by |
//! |---|---|---|
//! | BPF rings (`kernel/ring.rs`) | cgroup events, kills | the thread of the event path |
//! | [`ring_with_paths`] where programs may not read paths | cgroup events | `cgtap-paths` |
//! | [`tree`] of watched directories | cgroup events | `cgtap-tree` |
//! | [`counts`] of the cgroups | kills | `cgtap-counts` |
//! | [`kernel_log`] and the kernel's count | kills, and what others do not know of theirs | `cgtap-kmsg` |
//! | [`walks`] of the tree, [`look_up`] of processes | what exists | threads that may block |
//!
//! The thread of the event path opens no file: what opens files has a [`thread`] of its own.

pub(crate) mod cgroups;
pub(crate) mod counts;
pub(crate) mod kernel_log;
pub(crate) mod ladder;
pub(crate) mod look_up;
mod ring_with_paths;
mod thread;
mod tree;
pub(crate) mod walks;

use std::time::Instant;

/// Sleeps until then; for ever without a time.
pub(crate) async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
