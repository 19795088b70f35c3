//! One row per shape of path that a runtime, the kubelet or systemd makes.

use proptest::prelude::*;

use super::identify;
use crate::model::QosClass::{BestEffort, Burstable, Guaranteed};
use crate::model::Role::{Container, InsideContainer, Other, Pod, Qos, Root, Slice, Unit};
use crate::model::Runtime::{Containerd, CriO, Docker, Podman};
use crate::model::{CgroupPath, Identity, QosClass, Role, Runtime};

const C: &str = "4f1b6a0d9e8c7b6a5f4e3d2c1b0a99887766554433221100ffeeddccbbaa9988";
const N: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const U: &str = "0b8e3c1a-11d4-4d66-9f62-5b7a2c1d0e9f";
const U_: &str = "0b8e3c1a_11d4_4d66_9f62_5b7a2c1d0e9f";
const S: &str = "0123456789abcdef0123456789abcdef";

fn of(path: &str) -> Identity {
    let full =
        path.replace("{C}", C).replace("{N}", N).replace("{U}", U).replace("{U_}", U_).replace("{S}", S);
    identify(&CgroupPath::from(full.as_str()))
}

/// A container, its own cgroup or below: path, role, runtime, pod uid, class.
type Row = (&'static str, Role, Option<Runtime>, Option<&'static str>, Option<QosClass>);

fn check(rows: &[Row], id: &str) {
    for (path, role, runtime, pod, qos) in rows {
        let found = of(path);
        assert_eq!(found.role, *role, "{path}");
        assert_eq!(found.container_id.as_deref(), Some(id), "{path}");
        assert_eq!(found.runtime, *runtime, "{path}");
        assert_eq!(found.pod_uid.as_deref(), *pod, "{path}");
        assert_eq!(found.qos, *qos, "{path}");
    }
}

#[test]
fn containers_of_kubernetes() {
    check(
        &[
            ("/kubepods/pod{U}/{C}", Container, None, Some(U), Some(Guaranteed)),
            ("/kubepods/burstable/pod{U}/{C}", Container, None, Some(U), Some(Burstable)),
            ("/kubepods/besteffort/pod{U}/{C}", Container, None, Some(U), Some(BestEffort)),
            ("/kubepods/besteffort/pod{S}/{C}", Container, None, Some(S), Some(BestEffort)),
            ("/kubepods/pod{U}/crio-{C}", Container, Some(CriO), Some(U), Some(Guaranteed)),
            ("/my/root/kubepods/burstable/pod{U}/{C}", Container, None, Some(U), Some(Burstable)),
            (
                "/kubepods.slice/kubepods-pod{U_}.slice/cri-containerd-{C}.scope",
                Container,
                Some(Containerd),
                Some(U),
                Some(Guaranteed),
            ),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{U_}.slice/docker-{C}.scope",
                Container,
                Some(Docker),
                Some(U),
                Some(Burstable),
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{S}.slice/crio-{C}.scope",
                Container,
                Some(CriO),
                Some(S),
                Some(BestEffort),
            ),
            (
                "/kubepods.slice/kubepods-pod{U_}.slice/crio-{C}",
                Container,
                Some(CriO),
                Some(U),
                Some(Guaranteed),
            ),
            (
                "/kubepods.slice/kubepods-pod{U_}.slice/crio-{C}.scope/container",
                InsideContainer,
                Some(CriO),
                Some(U),
                Some(Guaranteed),
            ),
            (
                "/custom.slice/custom-kubepods.slice/custom-kubepods-burstable.slice/custom-kubepods-burstable-pod{U_}.slice/cri-containerd-{C}.scope",
                Container,
                Some(Containerd),
                Some(U),
                Some(Burstable),
            ),
            (
                "/system.slice/containerd.service/kubepods-burstable-pod{U_}.slice:cri-containerd:{C}",
                Container,
                Some(Containerd),
                Some(U),
                Some(Burstable),
            ),
            (
                "/system.slice/containerd.service/kubepods-pod{U_}.slice:cri-containerd:{C}/init",
                InsideContainer,
                Some(Containerd),
                Some(U),
                Some(Guaranteed),
            ),
        ],
        C,
    );
}

#[test]
fn containers_inside_a_container_that_is_a_node() {
    check(
        &[
            ("/docker/{N}/kubelet/kubepods/burstable/pod{U}/{C}", Container, None, Some(U), Some(Burstable)),
            ("/docker/{N}/docker/{C}", Container, Some(Docker), None, None),
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{U_}.slice/cri-containerd-{C}.scope",
                Container,
                Some(Containerd),
                Some(U),
                Some(BestEffort),
            ),
            (
                "/system.slice/docker-{N}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{U_}.slice/cri-containerd-{C}.scope",
                Container,
                Some(Containerd),
                Some(U),
                Some(Guaranteed),
            ),
            ("/kubepods/burstable/pod{U}/{N}/docker/{C}", Container, Some(Docker), Some(U), Some(Burstable)),
            (
                "/kubepods/burstable/pod{S}/{N}/kubelet/kubepods/pod{U}/{C}",
                Container,
                None,
                Some(U),
                Some(Guaranteed),
            ),
        ],
        C,
    );
    check(
        &[
            ("/docker/{N}", Container, Some(Docker), None, None),
            ("/docker/{N}/kubelet", InsideContainer, Some(Docker), None, None),
            ("/docker/{N}/system.slice/containerd.service", InsideContainer, Some(Docker), None, None),
            ("/docker/{N}/kubelet/kubepods", Qos, Some(Docker), None, None),
            ("/docker/{N}/kubelet/kubepods/burstable", Qos, Some(Docker), None, Some(Burstable)),
            ("/docker/{N}/kubelet/kubepods/burstable/pod{U}", Pod, Some(Docker), Some(U), Some(Burstable)),
        ],
        N,
    );
}

#[test]
fn containers_outside_kubernetes() {
    let user = "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{C}.scope";
    let user_inside = "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{C}.scope/container";
    check(
        &[
            ("/docker/{C}", Container, Some(Docker), None, None),
            ("/docker/{C}/burstable", InsideContainer, Some(Docker), None, None),
            ("/system.slice/docker-{C}.scope", Container, Some(Docker), None, None),
            ("/system.slice:docker:{C}", Container, Some(Docker), None, None),
            ("/any/parent/{C}", Container, None, None, None),
            ("/any.slice/docker-{C}.scope", Container, Some(Docker), None, None),
            ("/k8s.io/{C}", Container, Some(Containerd), None, None),
            ("/default/{C}", Container, None, None, None),
            ("/system.slice/nerdctl-{C}.scope", Container, Some(Containerd), None, None),
            ("/machine.slice/libpod-{C}.scope", Container, Some(Podman), None, None),
            ("/machine.slice/libpod-{C}.scope/container", InsideContainer, Some(Podman), None, None),
            ("/libpod_parent/libpod-{C}", Container, Some(Podman), None, None),
            ("/system.slice/web.service/libpod-payload-{C}", Container, Some(Podman), None, None),
            (user, Container, Some(Podman), None, None),
            (user_inside, InsideContainer, Some(Podman), None, None),
            ("/system.slice/other-{C}.scope", Container, None, None, None),
        ],
        C,
    );
}

#[test]
fn cgroups_that_are_not_containers() {
    let hex60 = C.get(..60).unwrap_or_default();
    let upper = C.to_uppercase();
    for (path, role) in [
        ("/".to_owned(), Root),
        ("/init.scope".to_owned(), Unit),
        ("/system.slice".to_owned(), Slice),
        ("/system.slice/cron.service".to_owned(), Unit),
        ("/system.slice/dbus.socket".to_owned(), Unit),
        ("/system.slice/system-systemd\\x2dcoredump.slice".to_owned(), Slice),
        ("/system.slice/run-containerd-io.containerd.task-k8s.io-{C}-rootfs.mount".to_owned(), Unit),
        ("/system.slice/var-lib-docker-{C}.mount".to_owned(), Unit),
        ("/system.slice/{C}.service".to_owned(), Unit),
        ("/machine.slice/libpod-conmon-{C}.scope".to_owned(), Unit),
        ("/libpod_parent/conmon".to_owned(), Other),
        ("/kubepods/burstable/pod{U}/crio-conmon-{C}".to_owned(), Other),
        ("/kubepods.slice/kubepods-pod{U_}.slice/crio-conmon-{C}.scope".to_owned(), Unit),
        (format!("/docker/{hex60}"), Other),
        (format!("/docker/{C}0"), Other),
        (format!("/docker/{upper}"), Other),
        (format!("/system.slice/docker-{hex60}.scope"), Unit),
        ("/other-{C}".to_owned(), Other),
        ("/docker".to_owned(), Other),
        ("/burstable".to_owned(), Other),
        ("/pod{U}".to_owned(), Other),
        ("/kubepods/pod0b8e3c1a".to_owned(), Other),
        ("/kubepods-burstable.slice".to_owned(), Slice),
        ("/notkubepods.slice/notkubepods-pod{U_}.slice".to_owned(), Slice),
        ("/.service".to_owned(), Other),
        ("/a b.service".to_owned(), Other),
    ] {
        let found = of(&path);
        assert_eq!(found.role, role, "{path}");
        assert_eq!(found.container_id, None, "{path}");
        assert_eq!(found.runtime, None, "{path}");
    }
}

#[test]
fn pods_and_classes() {
    for (path, role, pod, qos) in [
        ("/kubepods", Qos, None, None),
        ("/kubepods.slice", Qos, None, None),
        ("/a/kubepods", Qos, None, None),
        ("/kubepods/burstable", Qos, None, Some(Burstable)),
        ("/kubepods/besteffort", Qos, None, Some(BestEffort)),
        ("/kubepods.slice/kubepods-besteffort.slice", Qos, None, Some(BestEffort)),
        ("/kubepods/partition/burstable/pod{U}", Pod, Some(U), Some(Burstable)),
        ("/kubepods/pod{U}", Pod, Some(U), Some(Guaranteed)),
        ("/kubepods/burstable/pod{S}", Pod, Some(S), Some(Burstable)),
        ("/kubepods.slice/kubepods-pod{U_}.slice", Pod, Some(U), Some(Guaranteed)),
        ("/kubepods/pod{U}/burstable", Other, Some(U), Some(Guaranteed)),
        ("/kubepods/pod{U}/mine", Other, Some(U), Some(Guaranteed)),
    ] {
        let found = of(path);
        assert_eq!((found.role, found.pod_uid.as_deref(), found.qos), (role, pod, qos), "{path}");
        assert_eq!(found.container_id, None, "{path}");
    }
}

#[test]
fn the_innermost_unit_wins() {
    let scope = format!("docker-{C}.scope");
    for (path, unit) in [
        ("/", None),
        ("/docker/{C}", None),
        ("/init.scope", Some("init.scope")),
        ("/system.slice", Some("system.slice")),
        ("/system.slice/cron.service/sub", Some("cron.service")),
        ("/system.slice/docker-{C}.scope", Some(scope.as_str())),
        ("/system.slice/docker-{C}.scope/system.slice/nginx.service", Some("nginx.service")),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice", Some("app.slice")),
        ("/system.slice/system-a\\x2db.slice", Some("system-a\\x2db.slice")),
        (
            "/system.slice/containerd.service/kubepods-pod{U_}.slice:cri-containerd:{C}",
            Some("containerd.service"),
        ),
    ] {
        assert_eq!(of(path).unit.as_deref(), unit, "{path}");
    }
}

/// Pieces of real paths, so that random paths come near the shapes.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "/",
        "kubepods",
        ".slice",
        ".scope",
        ".mount",
        "-pod",
        "pod",
        "-burstable",
        "burstable",
        ":",
        "crio-",
        "docker-",
        "conmon-",
        "cri-containerd",
        C,
        N,
        U,
        U_,
        S,
    ];
    prop_oneof![
        4 => prop::sample::select(known.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

proptest! {
    #[test]
    fn never_panics_and_an_id_is_of_the_path(pieces in prop::collection::vec(piece(), 0..12)) {
        let path = CgroupPath::from_bytes(&pieces.concat());
        let found = identify(&path);
        if let Some(id) = found.container_id {
            prop_assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()));
            prop_assert!(path.as_bytes().windows(64).any(|window| window == id.as_bytes()));
        } else {
            prop_assert!(!matches!(found.role, Container | InsideContainer));
        }
        prop_assert!(found.role != Pod || found.pod_uid.is_some());
    }

    #[test]
    fn any_bytes_are_fine(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let found = identify(&CgroupPath::from_bytes(&bytes));
        prop_assert!(found.unit.is_none_or(|unit| bytes.windows(unit.len()).any(|w| w == unit.as_bytes())));
    }
}
