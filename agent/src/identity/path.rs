//! From a cgroup's path to its identity.

use super::shape::{Shape, shape};
use crate::model::{CgroupPath, Identity, QosClass, Role, Runtime};

/// What the path alone says about a cgroup. Pure; allocates only for the names that it finds.
///
/// The walk goes from the root down and the innermost fact wins. Example: a node that is itself a container (kind) runs
/// pods; the result is the pod's container. A cgroup below a container is inside it, except below a kubelet that runs in
/// the container: its pods and QoS classes keep their roles, with the node's `container_id`.
pub fn identify(path: &CgroupPath) -> Identity {
    if path.is_root() {
        return Identity { role: Role::Root, ..Identity::default() };
    }
    let mut walk = PathWalk::default();
    for component in path.components() {
        walk.enter(component);
    }
    walk.finish()
}

/// What is known on the way down.
#[derive(Default)]
struct PathWalk<'a> {
    parent: &'a [u8],
    role: Role,
    container_id: Option<&'a [u8]>,
    runtime: Option<Runtime>,
    pod_uid: Option<&'a [u8]>,
    qos: Option<QosClass>,
    unit: Option<&'a [u8]>,
    /// Whether the walk is below a kubelet's root of all pods and not yet in a container.
    in_kubepods: bool,
}

impl<'a> PathWalk<'a> {
    fn enter(&mut self, component: &'a [u8]) {
        let shape = shape(component, self.parent, self.in_kubepods && self.pod_uid.is_none());
        if is_unit_name(component) {
            self.unit = Some(component);
        }
        match shape {
            Shape::Kubepods => self.enter_kubepods(),
            Shape::Qos(qos) => {
                self.qos = Some(qos);
                self.role = Role::Qos;
            }
            Shape::Pod(pod) => {
                self.enter_pod(pod.uid, pod.qos);
                self.role = Role::Pod;
            }
            Shape::Container { id, runtime, pod } => {
                if let Some(pod) = pod {
                    self.enter_pod(pod.uid, pod.qos);
                }
                self.container_id = Some(id);
                self.runtime = runtime;
                self.role = Role::Container;
                self.in_kubepods = false;
            }
            Shape::Other if self.container_id.is_some() => self.role = Role::InsideContainer,
            Shape::Other => self.role = role_of_other(component),
        }
        self.parent = component;
    }

    /// Enters a kubelet's root. A pod above it is the kubelet's own, not the one of its pods.
    fn enter_kubepods(&mut self) {
        self.pod_uid = None;
        self.qos = None;
        self.in_kubepods = true;
        self.role = Role::Qos;
    }

    /// Enters a pod. Outside both named classes its class is `Guaranteed`.
    fn enter_pod(&mut self, uid: &'a [u8], qos: Option<QosClass>) {
        self.pod_uid = Some(uid);
        self.qos = qos.or(self.qos).or(Some(QosClass::Guaranteed));
    }

    fn finish(self) -> Identity {
        Identity {
            role: self.role,
            container_id: self.container_id.map(text),
            runtime: self.runtime,
            pod_uid: self.pod_uid.map(|uid| text(uid).replace('_', "-")),
            qos: self.qos,
            unit: self.unit.map(text),
        }
    }
}

/// Lossless: the rules allow only ASCII in these names.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn role_of_other(component: &[u8]) -> Role {
    if !is_unit_name(component) {
        Role::Other
    } else if component.ends_with(b".slice") {
        Role::Slice
    } else {
        Role::Unit
    }
}

/// The types of systemd units that have cgroups.
const UNIT_SUFFIXES: [&[u8]; 6] = [b".service", b".scope", b".slice", b".mount", b".socket", b".swap"];

/// Whether this can be a unit: a known suffix, and only characters that `systemd.unit(5)` allows.
fn is_unit_name(component: &[u8]) -> bool {
    UNIT_SUFFIXES.iter().any(|suffix| component.len() > suffix.len() && component.ends_with(suffix))
        && component.iter().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(b))
}
