//! Names by the container runtime interface: containerd, CRI-O and others, over a socket.

mod client;
mod messages;
#[cfg(test)]
mod tests;
mod view;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use super::error::AskError;
use super::{Answer, FEW, Heard, MANY, ROUND};
use crate::identity::Wishes;
use crate::model::Runtime;
use client::Client;
use messages::{
    Container, ContainerStatusResponse, Filter, ListContainersResponse, ListPodSandboxResponse, ListRequest,
    PodSandbox, PodSandboxStatusResponse, StatusRequest, VersionRequest, VersionResponse,
};

const VERSION: &str = "/runtime.v1.RuntimeService/Version";
const LIST_CONTAINERS: &str = "/runtime.v1.RuntimeService/ListContainers";
const LIST_SANDBOXES: &str = "/runtime.v1.RuntimeService/ListPodSandbox";
const CONTAINER_STATUS: &str = "/runtime.v1.RuntimeService/ContainerStatus";
const SANDBOX_STATUS: &str = "/runtime.v1.RuntimeService/PodSandboxStatus";

pub(super) struct Cri {
    pub(super) socket: PathBuf,
    /// As it called itself first; a socket is one runtime's.
    runtime: Option<Runtime>,
}

/// One of the two things that have a cgroup.
enum Known {
    Container(Container),
    Sandbox(PodSandbox),
}

impl Known {
    fn id(&self) -> &str {
        match self {
            Self::Container(container) => &container.id,
            Self::Sandbox(sandbox) => &sandbox.id,
        }
    }
}

impl Cri {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket, runtime: None }
    }

    pub(super) async fn ask(&mut self, ids: &[String], wishes: &Wishes) -> Result<Heard, AskError> {
        let mut client = Client::connect(&self.socket).await?;
        if self.runtime.is_none() {
            let request = VersionRequest { version: String::new() };
            let version: VersionResponse = client.call(VERSION, request).await?;
            self.runtime = Some(view::runtime(&version.runtime_name));
        }
        let heard = Heard::nothing(self.runtime);
        let mut round = Round { client, wishes, runtime: self.runtime, heard, began: Instant::now() };
        let result = round.all(ids).await;
        let mut heard = round.heard;
        if let Err(why) = result {
            heard.fail(why);
        }
        Ok(heard)
    }
}

/// As every message, and as the text in a verbose one.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(input: &[u8], wishes: &Wishes) -> bool {
    use prost::Message;
    let mut status = ContainerStatusResponse::decode(input).unwrap_or_default();
    status.info.insert("info".to_owned(), String::from_utf8_lossy(input).into_owned());
    let listed = ListContainersResponse::decode(input).unwrap_or_default();
    for container in listed.containers.into_iter().chain([Container::default()]) {
        view::container(container, &status, Some(Runtime::Containerd), wishes);
    }
    let info = PodSandboxStatusResponse { info: status.info };
    for sandbox in ListPodSandboxResponse::decode(input).unwrap_or_default().items {
        view::sandbox(sandbox, &info, Some(Runtime::CriO));
    }
    VersionResponse::decode(input).is_ok()
}

/// One connection's questions and answers. What was heard before it breaks is kept.
struct Round<'a> {
    client: Client,
    wishes: &'a Wishes,
    runtime: Option<Runtime>,
    heard: Heard,
    began: Instant,
}

impl Round<'_> {
    async fn all(&mut self, ids: &[String]) -> Result<(), AskError> {
        if ids.len() > FEW {
            match self.listed(ids).await {
                Err(why) if why.is_of_one() => self.heard.fail(why),
                done => return done,
            }
        }
        self.began = Instant::now();
        for id in ids.iter().take(MANY) {
            if self.is_over() {
                break;
            }
            let done = self.one(id).await;
            self.pass(done)?;
        }
        Ok(())
    }

    /// Enough for now.
    fn is_over(&mut self) -> bool {
        self.heard.is_cut = self.began.elapsed() > ROUND;
        self.heard.is_cut
    }

    /// A failure that is one container's does not end the round.
    fn pass(&mut self, result: Result<(), AskError>) -> Result<(), AskError> {
        match result {
            Err(why) if why.is_of_one() => {
                self.heard.fail(why);
                Ok(())
            }
            other => other,
        }
    }

    async fn listed(&mut self, ids: &[String]) -> Result<(), AskError> {
        let known = self.list(None).await?.into_iter();
        let mut known: HashMap<String, Known> = known.map(|known| (known.id().to_owned(), known)).collect();
        // A list may take long; something must come of each.
        self.began = Instant::now();
        for known in ids.iter().filter_map(|id| known.remove(id)) {
            if self.is_over() {
                break;
            }
            let done = self.tell(known).await;
            self.pass(done)?;
        }
        Ok(())
    }

    async fn one(&mut self, id: &String) -> Result<(), AskError> {
        let known = self.list(Some(id)).await?;
        // The filter is for ids that begin so.
        match known.into_iter().find(|known| known.id() == id) {
            Some(known) => self.tell(known).await,
            None => Ok(()),
        }
    }

    async fn list(&mut self, id: Option<&String>) -> Result<Vec<Known>, AskError> {
        let request = || ListRequest { filter: id.map(|id| Filter { id: id.clone() }) };
        let containers: ListContainersResponse = self.client.call(LIST_CONTAINERS, request()).await?;
        let mut known: Vec<Known> = containers.containers.into_iter().map(Known::Container).collect();
        if id.is_none() || known.is_empty() {
            let sandboxes: ListPodSandboxResponse = self.client.call(LIST_SANDBOXES, request()).await?;
            known.extend(sandboxes.items.into_iter().map(Known::Sandbox));
        }
        Ok(known)
    }

    /// What a list does not have: when a container was started, its variables, a sandbox's image.
    async fn tell(&mut self, known: Known) -> Result<(), AskError> {
        let id = known.id().to_owned();
        let answer = match known {
            Known::Container(container) => {
                let request = StatusRequest { id, verbose: self.wishes.wants_envs() };
                let asked: Result<ContainerStatusResponse, _> =
                    self.client.call(CONTAINER_STATUS, request).await;
                let status = self.or_nothing(asked)?;
                view::container(container, &status, self.runtime, self.wishes)
            }
            Known::Sandbox(sandbox) => {
                let request = StatusRequest { id, verbose: true };
                let asked: Result<PodSandboxStatusResponse, _> =
                    self.client.call(SANDBOX_STATUS, request).await;
                let status = self.or_nothing(asked)?;
                view::sandbox(sandbox, &status, self.runtime)
            }
        };
        self.heard.answers.push(answer);
        Ok(())
    }

    /// The list alone is worth telling.
    fn or_nothing<T: Default>(&mut self, asked: Result<T, AskError>) -> Result<T, AskError> {
        match asked {
            Err(why) if why.is_of_one() => {
                self.heard.fail(why);
                Ok(T::default())
            }
            other => other,
        }
    }
}

impl Heard {
    pub(super) fn nothing(runtime: Option<Runtime>) -> Self {
        Self { runtime, answers: Vec::<Answer>::new(), errors: 0, why: None, is_cut: false }
    }

    pub(super) fn fail(&mut self, why: AskError) {
        self.errors += 1;
        self.why = Some(why);
    }
}
