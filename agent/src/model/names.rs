//! What a container and its pod are called, as their runtime reports it. What is not known is absent, never empty.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Runtime, named};

/// A pod as people know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodNames {
    pub name: Option<String>,
    pub namespace: Option<String>,
    /// Its uid, as the runtime has it.
    pub uid: Option<String>,
}

/// A container as people know it: small, as events keep it for as long as they live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerTitle {
    /// The runtime's name for it: a name for Docker and Podman, its id for the other runtimes, as in cAdvisor.
    pub name: Option<String>,
    /// Its name in its pod; of a sandbox `POD`, where the runtime calls it so.
    pub container: Option<String>,
    /// The reference of its image.
    pub image: Option<String>,
}

impl ContainerTitle {
    /// What people call it: its name in its pod, else the runtime's.
    pub fn shown(&self) -> Option<&str> {
        self.container.as_deref().or(self.name.as_deref())
    }
}

named! {
    /// Where the names of a container come from.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum NamesSource {
        /// The names of its log files.
        Logs = "logs",
        /// The container runtime interface of Kubernetes.
        Cri = "cri",
        /// The API of Podman.
        Podman = "podman",
        /// The API of Docker.
        Docker = "docker",
    }
}

named! {
    /// The result of a container's own health check, in the words of Docker's API.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Health {
        /// It passes.
        Healthy = "healthy",
        /// It has not passed yet.
        Starting = "starting",
        /// It fails.
        Unhealthy = "unhealthy",
        /// The container has no check.
        None = "none",
    }
}

/// All that is known of a container beside its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerNames {
    /// What it is called.
    pub title: Arc<ContainerTitle>,
    pub pod: Option<Arc<PodNames>>,
    /// Its labels, as far as they are wanted and fit.
    pub labels: BTreeMap<String, String>,
    /// Variables of its environment, as far as they are wanted and fit.
    pub envs: BTreeMap<String, String>,
    /// When its process was started.
    pub started: Option<SystemTime>,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// How often it was started again.
    pub restart_count: Option<u32>,
    /// Whether it only holds a pod's namespaces.
    pub is_sandbox: bool,
    /// Its health; `None` where its runtime does not report it.
    pub health: Option<Health>,
    /// Whose it is; `None` where that is not known.
    pub runtime: Option<Runtime>,
    pub source: NamesSource,
}

impl ContainerNames {
    /// No names, from that source.
    pub fn nothing(source: NamesSource, runtime: Option<Runtime>) -> Self {
        Self {
            title: Arc::default(),
            pod: None,
            labels: BTreeMap::new(),
            envs: BTreeMap::new(),
            started: None,
            created: None,
            restart_count: None,
            is_sandbox: false,
            health: None,
            runtime,
            source,
        }
    }
}

/// The names in an event: those that were known when it was numbered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventNames {
    pub container: Option<Arc<ContainerTitle>>,
    pub pod: Option<Arc<PodNames>>,
}

/// How one source of names is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesSourceStatus {
    pub source: NamesSource,
    /// Where it is asked.
    pub place: String,
    /// The runtime as it calls itself, once it has answered.
    pub runtime: Option<Runtime>,
    /// Whether its last answer was whole; not known before the first question.
    pub up: Option<bool>,
    /// Why it was not.
    pub failing: Option<String>,
    /// Questions that were not answered.
    pub errors: u64,
}

/// How all names are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamesStatus {
    /// Containers whose names are known.
    pub resolved: u64,
    /// Containers whose names are asked for.
    pub unresolved: u64,
    /// Labels and variables that were too large to keep.
    pub dropped_labels: u64,
    /// Names of containers and pods that were too large, or found the table full.
    pub refused: u64,
    pub sources: Vec<NamesSourceStatus>,
}
