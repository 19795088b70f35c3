//! The network of a pod of a real containerd, and the files that its container writes.

use cgtap_tests::host::program;

use super::*;
use crate::inside::{process_of, wait_for_network, write_and_wait_for_usage};

/// The pod's own namespace.
const POD: NamespaceOption = NamespaceOption { network: 0 };

fn with_own_network(parent: &str) -> PodSandboxConfig {
    let mut config = pod(parent);
    let linux = config.linux.as_mut().unwrap();
    linux.security_context = Some(SecurityContext { namespace_options: Some(POD) });
    config
}

#[test]
fn a_pods_network_and_its_containers_files_are_its_own() {
    let name = "containerd::pod::a_pods_network_and_its_containers_files_are_its_own";
    let programs = [("containerd", "containerd"), ("ctr", "containerd"), ("runc", "runc")];
    if skip_unless(name, runtime(&programs).and(program("ip", "iproute2"))) {
        return;
    }
    let parent = Parent::new("cri-pod");
    let pod_path = format!("{}/kubepods/besteffort/pod{UID}", parent.path());
    let mut containerd = Containerd::start().unwrap();
    let socket = format!("cri={}", containerd.socket().display());
    let walks = ["--fs-walk-interval", "1s", "--walk-source-interval", "100ms"];
    let agent =
        Agent::start(&[&["--min-interval", "1ms", "--runtime-sockets", &socket], &walks[..]].concat())
            .unwrap();
    let config = with_own_network(&pod_path);
    let sandbox = containerd.run_pod(&config).unwrap();
    let mut web = container("web", 0);
    web.linux.as_mut().unwrap().security_context = None;
    let web = containerd.run(&sandbox, &config, web).unwrap();
    let (since, id) = (Instant::now(), format!("{pod_path}/{web}"));
    let pid = process_of(&id);
    let received = "container_network_receive_bytes_total";
    let row = row(&agent, "/metrics", received, &pod_path, ("pod", "web-1"), since);
    assert_eq!((row.label("namespace"), row.label("container")), ("shop", ""));
    wait_for_network(&agent, &pod_path, pid);
    let metrics = agent.metrics().unwrap();
    assert!(!metrics.samples.iter().any(|s| s.name == received && s.label("id") == id), "counted twice");
    write_and_wait_for_usage(&agent, &id, pid);
}
