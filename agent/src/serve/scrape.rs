//! Answers a scrape from a reading of the node.

use std::ops::ControlFlow;
#[cfg(test)]
use std::sync::Arc;

use crate::export::prometheus::{ExpositionOptions, View, exposition_in_chunks, negotiate};
use crate::snapshot::Snapshots;
use crate::telemetry::Telemetry;

/// Writes the text in pieces until it is complete or the reader breaks off. Runs once, on a thread that may block.
pub type WriteBody = Box<dyn FnOnce(&mut dyn FnMut(&[u8]) -> ControlFlow<()>) + Send>;

/// The answer to a scrape.
pub struct Exposition {
    /// The negotiated format.
    pub content_type: &'static str,
    pub write: WriteBody,
}

/// Where the answer to a scrape comes from.
#[derive(Clone)]
pub enum ScrapeSource {
    Node {
        snapshots: Snapshots,
        options: ExpositionOptions,
    },
    /// Answers made up by a test.
    #[cfg(test)]
    Fake(FakeSource),
}

#[cfg(test)]
pub type FakeSource = Arc<
    dyn Fn(Option<String>) -> std::pin::Pin<Box<dyn Future<Output = Result<Exposition, String>> + Send>>
        + Send
        + Sync,
>;

impl ScrapeSource {
    /// Reads the node and negotiates the format by the request's `accept`. An error is the text of a 500.
    pub(super) async fn scrape(
        &self,
        accept: Option<String>,
        telemetry: &Telemetry,
    ) -> Result<Exposition, String> {
        let (snapshots, options) = match self {
            Self::Node { snapshots, options } => (snapshots, *options),
            #[cfg(test)]
            Self::Fake(source) => return source(accept).await,
        };
        let snapshot = snapshots.get().await.map_err(|error| format!("reading the node failed: {error}"))?;
        let own = match options.view {
            View::Standalone => telemetry.gather(),
            View::Kubelet => Vec::new(),
        };
        let format = negotiate(accept.as_deref());
        let write: WriteBody =
            Box::new(move |sink| exposition_in_chunks(&snapshot, &own, &options, format, sink));
        Ok(Exposition { content_type: format.content_type(), write })
    }
}
