//! Who reports that something happened: BPF rings, watched directories, walks, the kernel log, the cgroups' own counts;
//! and the ladder that picks them.

pub(crate) mod counts;
pub(crate) mod kernel_log;
pub(crate) mod look_up;
pub(crate) mod offers;
pub(crate) mod oom_fallback;
pub(crate) mod ring;
mod tree;
pub(crate) mod walks;

use std::time::Instant;

pub(crate) use tree::TreeFeed;

/// Sleeps until then; for ever without a time.
pub(crate) async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
