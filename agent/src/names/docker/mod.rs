//! Names by the API of Docker Engine, which Podman has too, over a socket.

mod inspect;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, header};
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::error::AskError;
use super::round::{Answers, RuntimeConnection};
use super::{DEADLINE, MAX_BYTES, http};
use crate::identity::KeptLabels;
use crate::model::{NamesSource, Runtime};

/// Each question has a connection of its own: what is left of an answer that is too large is never read.
pub(super) struct DockerConnection<'a> {
    pub(super) socket: &'a Path,
    pub(super) source: NamesSource,
    pub(super) kept_labels: &'a KeptLabels,
}

/// The one field that is needed of a list.
#[derive(Deserialize)]
struct ListedId {
    #[serde(rename = "Id")]
    id: String,
}

pub(super) fn runtime(source: NamesSource) -> Runtime {
    if source == NamesSource::Podman { Runtime::Podman } else { Runtime::Docker }
}

impl RuntimeConnection for DockerConnection<'_> {
    /// A list has nothing that the question about one container does not have.
    type Listed = ();

    async fn list(&mut self, id: Option<&str>) -> Result<HashMap<String, ()>, AskError> {
        if let Some(id) = id {
            return Ok([(id.to_owned(), ())].into());
        }
        let body = self.get("/containers/json?all=1").await?.unwrap_or_default();
        let listed: Vec<ListedId> = serde_json::from_slice(&body)?;
        Ok(listed.into_iter().map(|one| (one.id, ())).collect())
    }

    async fn ask(&mut self, id: &str, (): (), answers: &mut Answers) -> Result<(), AskError> {
        if let Some(body) = self.get(&format!("/containers/{id}/json")).await? {
            answers.containers.push(inspect::answer(id, &body, self.source, self.kept_labels)?);
        }
        Ok(())
    }
}

impl DockerConnection<'_> {
    /// The body of an answer; `None` for 404.
    async fn get(&self, path: &str) -> Result<Option<Bytes>, AskError> {
        timeout(DEADLINE, self.get_for_ever(path)).await?
    }

    async fn get_for_ever(&self, path: &str) -> Result<Option<Bytes>, AskError> {
        let request = Request::get(path).header(header::HOST, "localhost").body(Empty::new())?;
        let answer = http::exchange(UnixStream::connect(self.socket).await?, request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
        let body = body.map_err(|_too_large| AskError::TooLarge { limit: MAX_BYTES })?.to_bytes();
        match status {
            StatusCode::OK => Ok(Some(body)),
            StatusCode::NOT_FOUND => Ok(None),
            other => Err(AskError::Refused(other.to_string())),
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(body: &[u8], kept_labels: &KeptLabels) -> bool {
    let listed: serde_json::Result<Vec<ListedId>> = serde_json::from_slice(body);
    let answer = inspect::answer("x", body, NamesSource::Docker, kept_labels);
    listed.is_ok() || answer.is_ok()
}
