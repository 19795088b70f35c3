//! Names from a real containerd, by the container runtime interface.

mod pod;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cgtap_tests::agent::Agent;
use cgtap_tests::exposition::{Exposition, Sample};
use cgtap_tests::host::skip_unless;
use cgtap_tests::log::{QUIET, kind};

use crate::cri::{
    ContainerConfig, ContainerMetadata, ContainerStatusResponse, Containerd, Empty, ImageSpec, KeyValue,
    LinuxContainerConfig, LinuxContainerSecurityContext, LinuxPodSandboxConfig, NamespaceOption,
    PodSandboxConfig, PodSandboxMetadata, SecurityContext, StatusRequest, StopContainerRequest,
};
use crate::image::{IMAGE, Parent, runtime};

const UID: &str = "0b8e3c1a-11d4-4d66-9f62-5b7a2c1d0e9f";
const NODE: NamespaceOption = NamespaceOption { network: 2 };
/// The promise: within this time after its start a container has its names.
const NAMED_WITHIN: Duration = Duration::from_secs(2);

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn pod(parent: &str) -> PodSandboxConfig {
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: "web-1".to_owned(),
            uid: UID.to_owned(),
            namespace: "shop".to_owned(),
        }),
        labels: map(&[
            ("io.kubernetes.pod.name", "web-1"),
            ("io.kubernetes.pod.namespace", "shop"),
            ("io.kubernetes.pod.uid", UID),
            ("app", "web"),
        ]),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: parent.to_owned(),
            security_context: Some(SecurityContext { namespace_options: Some(NODE) }),
        }),
    }
}

fn container(name: &str, restarts: u32) -> ContainerConfig {
    let security_context = Some(LinuxContainerSecurityContext { namespace_options: Some(NODE) });
    let envs = [("APP_MODE", "test"), ("OTHER", "no")];
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: name.to_owned(), attempt: restarts }),
        image: Some(ImageSpec { image: IMAGE.to_owned() }),
        envs: envs.map(|(key, value)| KeyValue { key: key.to_owned(), value: value.to_owned() }).into(),
        labels: map(&[
            ("io.kubernetes.container.name", name),
            ("io.kubernetes.pod.name", "web-1"),
            ("io.kubernetes.pod.namespace", "shop"),
            ("io.kubernetes.pod.uid", UID),
        ]),
        annotations: map(&[("io.kubernetes.container.restartCount", &restarts.to_string())]),
        linux: Some(LinuxContainerConfig { security_context }),
    }
}

/// Waits until this metric of this cgroup has a label with this value.
fn row(agent: &Agent, page: &str, metric: &str, id: &str, wanted: (&str, &str), since: Instant) -> Sample {
    loop {
        let answer = agent.get(page).unwrap();
        let metrics = Exposition::parse(answer.text().unwrap()).unwrap();
        let found = metrics.samples.into_iter().find(|s| s.name == metric && s.label("id") == id);
        if let Some(sample) = found.as_ref().filter(|sample| sample.label(wanted.0) == wanted.1) {
            return sample.clone();
        }
        let status = agent.get("/status").unwrap();
        assert!(since.elapsed() < NAMED_WITHIN, "{wanted:?}: {found:?}\n{}", status.text().unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn labels(sample: &Sample, names: &[&str]) -> Vec<(String, String)> {
    names.iter().map(|name| ((*name).to_owned(), sample.label(name).to_owned())).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_pod_and_its_containers_are_named_soon_after_their_start() {
    let name = "containerd::a_pod_and_its_containers_are_named_soon_after_their_start";
    let programs = [("containerd", "containerd"), ("ctr", "containerd"), ("runc", "runc")];
    if skip_unless(name, runtime(&programs)) {
        return;
    }
    let parent = Parent::new("cri");
    let pod_path = format!("{}/kubepods/besteffort/pod{UID}", parent.path());
    let mut containerd = Containerd::start().unwrap();
    let agent = agent(&containerd);
    let stream = agent.follow("&namespace=shop").unwrap();
    let config = pod(&pod_path);
    let sandbox = containerd.run_pod(&config).unwrap();
    let (since, pause) = (Instant::now(), format!("{pod_path}/{sandbox}"));
    let seen = "container_last_seen";
    let of_pause = row(&agent, "/metrics", seen, &pause, ("pod", "web-1"), since);
    let wanted = [("namespace", "shop"), ("name", sandbox.as_str()), ("container", ""), ("image", IMAGE)];
    assert_eq!(labels(&of_pause, &wanted.map(|pair| pair.0)), pairs(&wanted));
    assert_eq!(of_pause.label("container_label_app"), "web");

    let web = containerd.run(&sandbox, &config, container("web", 2)).unwrap();
    let (since, id) = (Instant::now(), format!("{pod_path}/{web}"));
    let of_web = row(&agent, "/metrics", seen, &id, ("container", "web"), since);
    assert_labels(&of_web, &web);
    started_when_its_runtime_says(&agent, &containerd, &id, &web);
    the_kubelets_page(&agent, &pod_path, &sandbox, &web);

    // While the runtime is down, known names stay. New containers get their names when it is back.
    containerd.stop();
    row(&agent, "/metrics", seen, &id, ("container", "web"), Instant::now());
    containerd.serve().unwrap();
    let late = containerd.run(&sandbox, &config, container("late", 0)).unwrap();
    let of_late =
        row(&agent, "/metrics", seen, &format!("{pod_path}/{late}"), ("container", "late"), Instant::now());
    assert_eq!(of_late.label("container_label_restartcount"), "");

    let _: Empty = containerd
        .call("StopContainer", StopContainerRequest { container_id: web.clone(), timeout: 0 })
        .unwrap();
    let events = stream.until(QUIET, |e| kind(e) == "container_exited" && e["cgroup"]["path"] == id).unwrap();
    let exited = &events.last().unwrap()["container"];
    assert_eq!((exited["name"].as_str(), exited["image"].as_str()), (Some("web"), Some(IMAGE)), "{exited}");
    let pod = serde_json::json!({ "name": "web-1", "namespace": "shop", "uid": UID });
    assert_eq!(exited["pod"], pod);
}

fn agent(containerd: &Containerd) -> Agent {
    let socket = format!("cri={}", containerd.socket().display());
    let intervals = ["--min-interval", "1ms", "--walk-source-interval", "100ms"];
    let names = ["--container-env-allow", "APP_", "--runtime-sockets", &socket];
    Agent::start(&[&intervals[..], &names].concat()).unwrap()
}

fn assert_labels(sample: &Sample, web: &str) {
    let wanted = [
        ("name", web),
        ("image", IMAGE),
        ("pod", "web-1"),
        ("namespace", "shop"),
        ("pod_uid", UID),
        ("runtime", "containerd"),
        ("container_label_io_kubernetes_pod_namespace", "shop"),
        ("container_label_restartcount", "2"),
        ("container_env_APP_MODE", "test"),
        ("container_env_OTHER", ""),
    ];
    assert_eq!(labels(sample, &wanted.map(|pair| pair.0)), pairs(&wanted));
}

/// The cgroup is a little older than its container's start.
fn started_when_its_runtime_says(agent: &Agent, containerd: &Containerd, id: &str, web: &str) {
    let status: ContainerStatusResponse =
        containerd.call("ContainerStatus", StatusRequest { id: web.to_owned() }).unwrap();
    let wanted = Duration::from_nanos(status.status.unwrap().started_at.try_into().unwrap()).as_secs_f64();
    let begun = Instant::now();
    loop {
        let shown = agent.metrics().unwrap().one("container_start_time_seconds", &[("id", id)]).unwrap();
        if shown.is_some_and(|shown| (shown - wanted).abs() < 0.001) {
            return;
        }
        assert!(begun.elapsed() < NAMED_WITHIN, "{shown:?} {wanted}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn the_kubelets_page(agent: &Agent, pod_path: &str, sandbox: &str, web: &str) {
    let answer = agent.get("/metrics/cadvisor").unwrap();
    let metrics = Exposition::parse(answer.text().unwrap()).unwrap();
    let of = |id: &str| -> BTreeMap<String, String> {
        let found = metrics.samples.iter().find(|s| s.name == "container_last_seen" && s.label("id") == id);
        found.unwrap().labels.clone()
    };
    let id = format!("{pod_path}/{web}");
    let rest = [("namespace", "shop"), ("pod", "web-1")];
    let wanted = [("container", "web"), ("id", id.as_str()), ("image", IMAGE), ("name", web)];
    assert_eq!(of(&id), map(&[&wanted[..], &rest].concat()));
    let id = format!("{pod_path}/{sandbox}");
    assert_eq!(
        of(&id),
        map(&[&[("id", id.as_str()), ("image", IMAGE), ("name", sandbox)][..], &rest].concat())
    );
    assert_eq!(of(pod_path), map(&[&[("id", pod_path)][..], &rest].concat()));
    assert!(metrics.samples.iter().all(|sample| !sample.name.starts_with("cgtap_")));
}
