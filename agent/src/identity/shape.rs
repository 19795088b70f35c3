//! What one component of a path looks like.
//!
//! ```text
//! kubepods  kubepods.slice  kubelet-kubepods.slice          root of all pods, with or without a prefix
//! burstable  kubepods-burstable.slice                       QoS class
//! pod<uid>  kubepods-burstable-pod<uid with _>.slice        pod; a static pod's uid is 32 digits
//! <cid>  cri-containerd-<cid>.scope  crio-<cid>             container
//! kubepods-pod<uid with _>.slice:cri-containerd:<cid>       container, kubelet and runtime disagree on the driver
//! ```
//! `<cid>` is exactly 64 lower-case hexadecimal digits.

use crate::model::{QosClass, Runtime};

/// What one component is, by its name and its parent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape<'a> {
    /// A kubelet's root of all pods.
    Kubepods,
    /// The cgroup of a QoS class.
    Qos(QosClass),
    Pod(Pod<'a>),
    /// A container or a pod's sandbox.
    Container {
        /// 64 hexadecimal digits.
        id: &'a [u8],
        /// If the name or the parent says so.
        runtime: Option<Runtime>,
        /// If the same name also names the pod.
        pod: Option<Pod<'a>>,
    },
    Other,
}

/// A pod as one component names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pod<'a> {
    /// The uid as written, with dashes or underscores.
    pub(super) uid: &'a [u8],
    /// The class, if the same name has it.
    pub(super) qos: Option<QosClass>,
}

/// The shape of a component. `below_kubepods`: it is below a kubelet's root and not yet in a pod. The short names of the
/// cgroupfs driver have a meaning only there; the systemd driver's names contain the root's name.
pub(super) fn shape<'a>(component: &'a [u8], parent: &[u8], below_kubepods: bool) -> Shape<'a> {
    if component.ends_with(b".mount") {
        return Shape::Other;
    }
    if component == b"kubepods" {
        return Shape::Kubepods;
    }
    if let Some(stem) = component.strip_suffix(b".slice") {
        return slice(stem, below_kubepods);
    }
    if below_kubepods && let Some(short) = cgroupfs(component) {
        return short;
    }
    container(component, parent)
}

/// The cgroupfs driver's names below `kubepods`.
fn cgroupfs(component: &[u8]) -> Option<Shape<'_>> {
    match component {
        b"burstable" => Some(Shape::Qos(QosClass::Burstable)),
        b"besteffort" => Some(Shape::Qos(QosClass::BestEffort)),
        _ => {
            let uid = component.strip_prefix(b"pod").filter(|uid| is_pod_uid(uid))?;
            Some(Shape::Pod(Pod { uid, qos: None }))
        }
    }
}

/// The systemd driver's slices; `stem` is the name without `.slice`.
fn slice(stem: &[u8], below_kubepods: bool) -> Shape<'_> {
    if is_kubepods_stem(stem) {
        return Shape::Kubepods;
    }
    if let Some(pod) = pod_slice(stem) {
        return Shape::Pod(pod);
    }
    match class_of_stem(stem) {
        Some(qos) if below_kubepods => Shape::Qos(qos),
        _ => Shape::Other,
    }
}

/// `kubepods`, or `<--cgroup-root>-kubepods`, as systemd names a slice inside a slice.
fn is_kubepods_stem(stem: &[u8]) -> bool {
    stem.strip_suffix(b"kubepods").is_some_and(|prefix| prefix.is_empty() || prefix.ends_with(b"-"))
}

/// The class of `kubepods-burstable` and `kubepods-besteffort`.
fn class_of_stem(stem: &[u8]) -> Option<QosClass> {
    let (rest, qos) = if let Some(rest) = stem.strip_suffix(b"-burstable") {
        (rest, QosClass::Burstable)
    } else {
        (stem.strip_suffix(b"-besteffort")?, QosClass::BestEffort)
    };
    is_kubepods_stem(rest).then_some(qos)
}

/// The pod of `kubepods[-burstable|-besteffort]-pod<uid>`.
fn pod_slice(stem: &[u8]) -> Option<Pod<'_>> {
    let (above, uid) = [36, 32].iter().find_map(|&len| {
        let (above, uid) = stem.split_at_checked(stem.len().checked_sub(len)?)?;
        Some((above.strip_suffix(b"-pod")?, uid)).filter(|(_, uid)| is_pod_uid(uid))
    })?;
    match class_of_stem(above) {
        None if !is_kubepods_stem(above) => None,
        None => Some(Pod { uid, qos: Some(QosClass::Guaranteed) }),
        class => Some(Pod { uid, qos: class }),
    }
}

/// A container's own cgroup. A scope may have any prefix (other runtimes). Without `.scope` only known prefixes count:
/// any program may give such a name to a directory.
fn container<'a>(component: &'a [u8], parent: &[u8]) -> Shape<'a> {
    if is_container_id(component) {
        return Shape::Container { id: component, runtime: runtime_of_parent(parent), pod: None };
    }
    if let Some(found) = mismatch(component) {
        return found;
    }
    let stem = component.strip_suffix(b".scope").unwrap_or(component);
    let Some((prefix, id)) = split_id(stem, b'-') else { return Shape::Other };
    if prefix == b"conmon" || prefix.ends_with(b"-conmon") {
        return Shape::Other; // crio-conmon-, libpod-conmon-: the container's monitor, outside its limits
    }
    let runtime = runtime_of_prefix(prefix);
    if runtime.is_none() && stem.len() == component.len() {
        return Shape::Other;
    }
    Shape::Container { id, runtime, pod: None }
}

/// `<slice>:<prefix>:<cid>`: a systemd path that the runtime used as the name of a directory.
fn mismatch(component: &[u8]) -> Option<Shape<'_>> {
    let (rest, id) = split_id(component, b':')?;
    let colon = rest.iter().rposition(|&b| b == b':')?;
    let (slice, prefix) = rest.split_at_checked(colon)?;
    let runtime = runtime_of_prefix(prefix.strip_prefix(b":")?);
    let pod = slice.strip_suffix(b".slice").and_then(pod_slice);
    Some(Shape::Container { id, runtime, pod })
}

/// Splits `<prefix><separator><cid>`.
fn split_id(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let (rest, id) = text.split_at_checked(text.len().checked_sub(64)?)?;
    let (last, prefix) = rest.split_last()?;
    (*last == separator && is_container_id(id)).then_some((prefix, id))
}

fn runtime_of_prefix(prefix: &[u8]) -> Option<Runtime> {
    match prefix {
        b"docker" => Some(Runtime::Docker),
        b"cri-containerd" | b"nerdctl" => Some(Runtime::Containerd),
        b"crio" => Some(Runtime::CriO),
        b"libpod" | b"libpod-payload" => Some(Runtime::Podman), // payload: `podman run --cgroups=split`
        _ => None,
    }
}

/// A bare id does not name its runtime, but some runtimes always use the same parent.
fn runtime_of_parent(parent: &[u8]) -> Option<Runtime> {
    match parent {
        b"docker" => Some(Runtime::Docker),
        b"k8s.io" => Some(Runtime::Containerd),
        b"libpod_parent" => Some(Runtime::Podman),
        _ => None,
    }
}

fn is_container_id(text: &[u8]) -> bool {
    text.len() == 64 && text.iter().all(is_lower_hex)
}

/// 32 hexadecimal digits, or 8-4-4-4-12 of them with dashes or underscores.
fn is_pod_uid(text: &[u8]) -> bool {
    match text.len() {
        32 => text.iter().all(is_lower_hex),
        36 => text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => matches!(byte, b'-' | b'_'),
            _ => is_lower_hex(byte),
        }),
        _ => false,
    }
}

fn is_lower_hex(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
