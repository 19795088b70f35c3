//! Where the answer to a scrape comes from.

use std::ops::ControlFlow;
#[cfg(test)]
use std::sync::Arc;

use crate::export::prometheus::{ExpositionOptions, View, exposition_in_chunks, negotiate};
use crate::snapshot::Snapshots;
use crate::telemetry::Telemetry;

/// Writes a text in pieces, until its reader breaks off. Runs once, on a thread that may block.
pub type WriteBody = Box<dyn FnOnce(&mut dyn FnMut(&[u8]) -> ControlFlow<()>) + Send>;

/// The answer to a scrape.
pub struct Exposition {
    /// The format that was agreed on.
    pub content_type: &'static str,
    /// Makes the text, piece by piece, as fast as the client takes it.
    pub write: WriteBody,
}

/// Where the answer to a scrape comes from.
#[derive(Clone)]
pub enum ScrapeSource {
    /// Readings of this node.
    Node {
        /// The readings.
        snapshots: Snapshots,
        /// What an operator chooses of the page.
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
    /// Reads the node and agrees on a format; `accept` is the request's. An error is the text of a 500.
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
        let snapshot = snapshots.get().await.map_err(|error| error.to_string())?;
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
