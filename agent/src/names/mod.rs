//! What containers are called: threads that ask runtimes, and the rule for which containers they ask about.
//!
//! Each runtime has a thread of its own. One that hangs, floods, lies or is missing delays only that thread. A thread
//! asks while the table wants names, with growing pauses, and sleeps otherwise.

mod asker;
mod cri;
mod docker;
mod endpoint;
mod error;
pub mod http;
mod kubernetes;
mod logs;
mod round;
mod wanted;

use std::sync::Arc;
use std::time::Duration;

use crate::identity::Names;
use asker::Asker;

pub use endpoint::RuntimeEndpoint;
pub use wanted::{compare, want};

/// How long a thread waits for one answer. A list takes some hundred milliseconds on a busy node.
const DEADLINE: Duration = Duration::from_secs(2);
/// The largest answer that is read: what the kubelet allows, enough for some thousand containers.
const MAX_BYTES: usize = 16 << 20;

/// Starts a thread for each endpoint. The threads end when the table is dropped.
pub fn start(table: &Arc<Names>, endpoints: Vec<RuntimeEndpoint>) {
    for endpoint in endpoints {
        let name = format!("names-{}", endpoint.source.as_str());
        let asker = Asker::new(table, endpoint);
        if let Err(error) = std::thread::Builder::new().name(name).spawn(move || asker.run_thread()) {
            tracing::error!(%error, "cannot start a thread that asks for names");
        }
    }
}

/// Passes any bytes to each reader of what a runtime answers.
#[cfg(any(test, feature = "fuzzing"))]
pub fn fuzz(input: &[u8]) {
    use std::hint::black_box;
    let kept_labels = crate::identity::KeptLabels { env_prefixes: vec![String::new()], ..Default::default() };
    let _ = black_box(docker::fuzz(input, &kept_labels));
    black_box(cri::fuzz(input, &kept_labels));
    black_box(logs::fuzz(&String::from_utf8_lossy(input)));
}
