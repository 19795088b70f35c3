//! Names by the API of Docker Engine, which Podman has as well, over a socket.

mod http;
mod inspect;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use serde::Deserialize;

use super::error::AskError;
use super::{FEW, Heard, MANY, ROUND};
use crate::identity::Wishes;
use crate::model::{NamesSource, Runtime};
use http::Client;

/// The most of one answer that is read: some thousand containers.
const MAX_BYTES: usize = 16 << 20;

pub(super) struct Docker {
    runtime: Runtime,
    pub(super) sockets: Vec<PathBuf>,
}

/// Of a list, what is needed.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Id")]
    id: String,
}

impl Docker {
    /// The first socket that is there is asked.
    pub(super) fn new(runtime: Runtime, sockets: Vec<PathBuf>) -> Self {
        Self { runtime, sockets }
    }

    pub(super) fn kind(&self) -> NamesSource {
        if self.runtime == Runtime::Podman { NamesSource::Podman } else { NamesSource::Docker }
    }

    pub(super) async fn ask(&mut self, ids: &[String], wishes: &Wishes) -> Result<Heard, AskError> {
        let socket = self.sockets.iter().find(|socket| socket.exists()).ok_or(AskError::Absent)?;
        let mut client = Client::connect(socket).await?;
        let mut heard = Heard::nothing(Some(self.runtime));
        let mut listed = HashSet::new();
        let mut all = true;
        if ids.len() > FEW {
            match list(&mut client).await {
                Ok(found) => (listed, all) = (found, false),
                Err(why) if why.is_of_one() => {
                    heard.fail(why);
                    client = Client::connect(socket).await?;
                }
                Err(why) => return Err(why),
            }
        }
        let began = Instant::now();
        for id in ids.iter().filter(|id| all || listed.contains(*id)).take(MANY) {
            if began.elapsed() > ROUND {
                heard.is_cut = true;
                break;
            }
            match client.get(&format!("/containers/{id}/json"), MAX_BYTES).await {
                Ok(Some(body)) => match inspect::answer(id, &body, self.runtime, self.kind(), wishes) {
                    Ok(answer) => heard.answers.push(answer),
                    Err(error) => heard.fail(AskError::Garbage(error.to_string())),
                },
                Ok(None) => {}
                Err(why) => {
                    let goes_on = why.is_of_one();
                    heard.fail(why);
                    if !goes_on {
                        break;
                    }
                    // What is left of its answer is not read.
                    client = Client::connect(socket).await?;
                }
            }
        }
        Ok(heard)
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(body: &[u8], wishes: &Wishes) -> bool {
    let listed: serde_json::Result<Vec<Listed>> = serde_json::from_slice(body);
    let answer = inspect::answer("x", body, Runtime::Docker, NamesSource::Docker, wishes);
    listed.is_ok() || answer.is_ok()
}

async fn list(client: &mut Client) -> Result<HashSet<String>, AskError> {
    let body = client.get("/containers/json?all=1", MAX_BYTES).await?.unwrap_or_default();
    let listed: Vec<Listed> =
        serde_json::from_slice(&body).map_err(|error| AskError::Garbage(error.to_string()))?;
    Ok(listed.into_iter().map(|one| one.id).collect())
}
