//! What containers and pods are called, in both views.

use std::sync::Arc;

use super::text;
use crate::export::fixtures::{CONTAINER, POD, container, moment, names, sample, snapshot};
use crate::export::prometheus::{ExpositionOptions, View};
use crate::model::{CgroupStats, ContainerNames, ContainerTitle, Health, Identity, LabelSet, Role, Runtime};
use crate::snapshot::CgroupSample;

fn pod_identity() -> Identity {
    Identity { role: Role::Pod, container_id: None, ..container(Runtime::Docker, None) }
}

fn of_container(names: ContainerNames) -> CgroupSample {
    let path = format!("/kubepods/burstable/pod{POD}/{CONTAINER}");
    let stats = CgroupStats { created: Some(moment(0)), ..CgroupStats::default() };
    let sample = sample(path.as_bytes(), container(Runtime::Docker, None), stats);
    CgroupSample { pod: names.pod.clone(), names: Some(Arc::new(names)), ..sample }
}

/// The lines of that metric, without its name.
fn lines(samples: Vec<CgroupSample>, view: View, metric: &str) -> Vec<String> {
    let options = ExpositionOptions { view, ..ExpositionOptions::default() };
    let text = text(&snapshot(samples), &options);
    text.lines()
        .filter_map(|line| Some(line.strip_prefix(metric)?.to_owned()))
        .filter(|line| line.starts_with('{'))
        .collect()
}

fn changed(change: impl FnOnce(&mut ContainerNames)) -> CgroupSample {
    let mut names = ContainerNames::clone(&names("web"));
    change(&mut names);
    of_container(names)
}

fn with_labels(labels: &[(&str, &str)]) -> CgroupSample {
    changed(|names| {
        names.labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    })
}

#[test]
fn a_container_has_the_labels_of_cadvisor() {
    let sample = changed(|names| {
        names.labels = [("io.kubernetes.pod.name", "web-1"), ("a\"b", "c\"d\\e\nf")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        names.envs = [("APP_A".to_owned(), "b".to_owned())].into();
    });
    let id = format!("/kubepods/burstable/pod{POD}/{CONTAINER}");
    let wanted = format!(
        "{{id=\"{id}\",container_id=\"{CONTAINER}\",pod_uid=\"{POD}\",qos_class=\"Burstable\",runtime=\"docker\",\
         name=\"k8s_web\",image=\"shop/web:1\",pod=\"web-1\",namespace=\"shop\",container=\"web\",\
         container_label_a_b=\"c\\\"d\\\\e\\nf\",container_label_io_kubernetes_pod_name=\"web-1\",\
         container_env_APP_A=\"b\"}} 1"
    );
    assert_eq!(lines(vec![sample], View::Standalone, "container_health_state"), [wanted]);
}

/// Of keys that look alike the first in byte order is shown, every time.
#[test]
fn two_keys_that_look_alike_are_one_label() {
    let sample = with_labels(&[("a.b", "dot"), ("a-b", "dash"), ("a_b", "line"), ("ü", "u"), ("e", "")]);
    let found = lines(vec![sample], View::Standalone, "container_last_seen");
    assert!(found[0].contains(",container_label_a_b=\"dash\",container_label__=\"u\"}"), "{found:?}");
}

#[test]
fn labels_can_be_chosen() {
    let options = ExpositionOptions {
        labels: LabelSet::parse("pod,container").unwrap(),
        ..ExpositionOptions::default()
    };
    let text = text(&snapshot(vec![with_labels(&[("team", "x")])]), &options);
    assert!(text.contains("pod=\"web-1\",container=\"web\",container_label_team=\"x\"} "), "{text}");
    assert!(!text.contains("namespace=") && !text.contains("image="), "{text}");
}

#[test]
fn the_view_of_a_kubelet_has_its_labels_alone() {
    let pause = changed(|names| {
        names.is_sandbox = true;
        names.title = Arc::new(ContainerTitle { container: None, ..ContainerTitle::clone(&names.title) });
    });
    let id = pause.path.to_text().into_owned();
    let pod = CgroupSample {
        pod: pause.pod.clone(),
        ..sample(format!("/kubepods/burstable/pod{POD}").as_bytes(), pod_identity(), CgroupStats::default())
    };
    let slice =
        sample(b"/kubepods", Identity { role: Role::Qos, ..Identity::default() }, CgroupStats::default());
    let found = |samples| -> Vec<String> {
        let lines = lines(samples, View::Kubelet, "container_last_seen");
        lines.iter().map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
    };
    let (image, rest) = ("image=\"shop/web:1\"", "namespace=\"shop\",pod=\"web-1\"");
    assert_eq!(
        found(vec![slice, pod, with_labels(&[("team", "x")])]),
        [
            "{id=\"/kubepods\"}".to_owned(),
            format!("{{id=\"/kubepods/burstable/pod{POD}\",{rest}}}"),
            format!("{{container=\"web\",id=\"{id}\",{image},name=\"k8s_web\",{rest}}}"),
        ]
    );
    assert_eq!(found(vec![pause]), [format!("{{id=\"{id}\",{image},name=\"k8s_web\",{rest}}}")]);
}

#[test]
fn the_runtime_knows_better_when_it_began() {
    for (metric, wanted) in [("container_start_time_seconds", 5), ("container_creation_time_seconds", 4)] {
        let seconds = |msec| format!(" 1795305600.{}", 123_456_789 + msec * 1_000_000);
        let found = lines(vec![changed(|_| {})], View::Kubelet, metric);
        assert!(found[0].ends_with(&seconds(wanted)), "{found:?}");
        let unknown = changed(|names| (names.started, names.created) = (None, None));
        assert!(lines(vec![unknown], View::Kubelet, metric)[0].ends_with(&seconds(0)));
    }
}

#[test]
fn health_is_shown_where_the_runtime_gives_it() {
    for (health, wanted) in [
        (Some(Health::Healthy), Some(" 1")),
        (Some(Health::Starting), Some(" 0")),
        (Some(Health::Unhealthy), Some(" 0")),
        (Some(Health::None), Some(" -1")),
        (None, None),
    ] {
        let found =
            lines(vec![changed(|names| names.health = health)], View::Kubelet, "container_health_state");
        assert_eq!(found.first().map(|line| line.rsplit_once('}').unwrap().1), wanted, "{health:?}");
    }
}
