//! Names by the container runtime interface: containerd, CRI-O and others, over a socket.

mod client;
mod messages;
#[cfg(test)]
mod tests;
mod view;

use std::collections::HashMap;
use std::path::Path;

use super::error::AskError;
use super::round::{Answers, RuntimeConnection};
use crate::identity::KeptLabels;
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

pub(super) struct CriConnection<'a> {
    client: Client,
    pub(super) runtime: Runtime,
    kept_labels: &'a KeptLabels,
}

/// What a list has: containers and sandboxes have cgroups.
pub(super) enum CriListed {
    Container(Container),
    Sandbox(PodSandbox),
}

impl<'a> CriConnection<'a> {
    /// Connects, and asks what the runtime calls itself if that is not known yet.
    pub(super) async fn open(
        socket: &Path,
        runtime: Option<Runtime>,
        kept_labels: &'a KeptLabels,
    ) -> Result<Self, AskError> {
        let mut client = Client::connect(socket).await?;
        let runtime = match runtime {
            Some(runtime) => runtime,
            None => {
                let request = VersionRequest { version: String::new() };
                let version: VersionResponse = client.call(VERSION, request).await?;
                view::runtime(&version.runtime_name)
            }
        };
        Ok(Self { client, runtime, kept_labels })
    }
}

impl RuntimeConnection for CriConnection<'_> {
    type Listed = CriListed;

    async fn list(&mut self, id: Option<&str>) -> Result<HashMap<String, CriListed>, AskError> {
        // The filter also matches ids that only begin so: the map is asked for the whole id.
        let request = || ListRequest { filter: id.map(|id| Filter { id: id.to_owned() }) };
        let list: ListContainersResponse = self.client.call(LIST_CONTAINERS, request()).await?;
        let containers = list.containers.into_iter().map(|one| (one.id.clone(), CriListed::Container(one)));
        let mut listed: HashMap<String, CriListed> = containers.collect();
        if id.is_none() || listed.is_empty() {
            let list: ListPodSandboxResponse = self.client.call(LIST_SANDBOXES, request()).await?;
            listed.extend(list.items.into_iter().map(|one| (one.id.clone(), CriListed::Sandbox(one))));
        }
        Ok(listed)
    }

    /// Asks when a container was started and for its variables, or for a sandbox's image. If only this fails, the list
    /// alone is the answer.
    async fn ask(&mut self, id: &str, listed: CriListed, answers: &mut Answers) -> Result<(), AskError> {
        let request = |verbose| StatusRequest { id: id.to_owned(), verbose };
        let answer = match listed {
            CriListed::Container(container) => {
                let asked = self.client.call(CONTAINER_STATUS, request(self.kept_labels.keeps_envs())).await;
                let status: ContainerStatusResponse = answers.tolerate(asked)?.unwrap_or_default();
                view::container(container, &status, self.runtime, self.kept_labels)
            }
            CriListed::Sandbox(sandbox) => {
                let asked = self.client.call(SANDBOX_STATUS, request(true)).await;
                let status: PodSandboxStatusResponse = answers.tolerate(asked)?.unwrap_or_default();
                view::sandbox(sandbox, &status, self.runtime)
            }
        };
        answers.containers.push(answer);
        Ok(())
    }
}

/// Reads the bytes as every message, and as the text in a verbose one.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(input: &[u8], kept_labels: &KeptLabels) -> bool {
    use prost::Message;
    let mut status = ContainerStatusResponse::decode(input).unwrap_or_default();
    status.info.insert("info".to_owned(), String::from_utf8_lossy(input).into_owned());
    let listed = ListContainersResponse::decode(input).unwrap_or_default();
    for container in listed.containers.into_iter().chain([Container::default()]) {
        view::container(container, &status, Runtime::Containerd, kept_labels);
    }
    let info = PodSandboxStatusResponse { info: status.info };
    for sandbox in ListPodSandboxResponse::decode(input).unwrap_or_default().items {
        view::sandbox(sandbox, &info, Runtime::CriO);
    }
    VersionResponse::decode(input).is_ok()
}
