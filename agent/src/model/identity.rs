//! Whose cgroup it is, as far as its path shows.

use super::named;

named! {
    /// The program that made a container.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Runtime {
        /// Docker Engine.
        Docker = "docker",
        /// containerd, by CRI, `ctr` or nerdctl.
        Containerd = "containerd",
        /// CRI-O.
        CriO = "cri-o",
        /// Podman (libpod).
        Podman = "podman",
    }
}

named! {
    /// A pod's quality-of-service class, as Kubernetes names it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum QosClass {
        /// Requests equal limits.
        Guaranteed = "Guaranteed",
        /// Some requests.
        Burstable = "Burstable",
        /// No requests.
        BestEffort = "BestEffort",
    }
}

/// What a cgroup stands for, in the order in which a full page keeps them (`--max-series`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The root of a hierarchy: the node.
    Root,
    Pod,
    /// A container (or a pod's sandbox): the cgroup whose limits are the container's.
    Container,
    /// A QoS class of the kubelet, or the root of all pods.
    Qos,
    /// A systemd service, scope or mount unit.
    Unit,
    /// A systemd slice that is no pod and no QoS class.
    Slice,
    /// A cgroup that a container made inside itself.
    InsideContainer,
    /// Anything else.
    #[default]
    Other,
}

/// What the path alone shows. It is known at once and stays true: names are added, none of this changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// What the cgroup stands for.
    pub role: Role,
    /// Of the container that it is or lies in: 64 hexadecimal digits.
    pub container_id: Option<String>,
    /// The runtime, where the path names it.
    pub runtime: Option<Runtime>,
    /// Of the pod that it is or lies in, with dashes (a static pod's is 32 hexadecimal digits).
    pub pod_uid: Option<String>,
    /// The pod's class, for a pod and what lies in it, and for the class's own cgroup.
    pub qos: Option<QosClass>,
    /// The innermost systemd unit on the path, unescaped no further than the kernel shows it (`cron.service`).
    pub unit: Option<String>,
}

impl Identity {
    /// Whether this cgroup is a container's own, whose start and end are a container's.
    pub fn is_container(&self) -> bool {
        self.role == Role::Container
    }
}
