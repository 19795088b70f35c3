//! Names without a runtime: the kubelet names its log files by pod and container.
//!
//! ```text
//! /var/log/containers/<pod>_<namespace>_<container>-<container id>.log
//! /var/log/pods/<namespace>_<pod>_<pod uid>/
//! ```

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::error::AskError;
use super::round::Answers;
use crate::files::entry_names;
use crate::identity::{NamesAnswer, OpenWants};
use crate::model::{ContainerNames, ContainerTitle, NamesSource, PodNames};

/// Far more than a kubelet keeps.
const MAX_ENTRIES: usize = 100_000;

/// Finds wanted containers and pods among the names of log files.
pub(super) fn ask(dir: &Path, wanted: &OpenWants, answers: &mut Answers) -> Result<(), AskError> {
    let pods = entry_names(&dir.join("pods"), MAX_ENTRIES)?;
    let uids: HashSet<&str> = wanted.pods.iter().map(String::as_str).collect();
    let pods = pods.iter().filter_map(|name| pod(name)).filter(|(uid, _)| uids.contains(uid.as_str()));
    answers.pods.extend(pods);
    let files = match entry_names(&dir.join("containers"), MAX_ENTRIES).map_err(AskError::from) {
        Err(AskError::Absent) => Vec::new(),
        files => files?,
    };
    let ids: HashSet<&str> = wanted.ids.iter().map(String::as_str).collect();
    let found = files.iter().filter_map(|name| container(name));
    answers.containers.extend(found.filter(|answer| ids.contains(answer.id.as_str())));
    Ok(())
}

/// No name in Kubernetes has an underscore.
fn three_parts(name: &str) -> Option<[&str; 3]> {
    let parts: Vec<&str> = name.split('_').collect();
    parts.try_into().ok().filter(|parts: &[&str; 3]| parts.iter().all(|part| !part.is_empty()))
}

/// The uid and the names of a directory in `pods`.
fn pod(name: &str) -> Option<(String, PodNames)> {
    let [namespace, pod, uid] = three_parts(name)?.map(str::to_owned);
    Some((uid.clone(), PodNames { name: Some(pod), namespace: Some(namespace), uid: Some(uid) }))
}

/// The names of a file in `containers`.
fn container(name: &str) -> Option<NamesAnswer> {
    let [pod, namespace, rest] = three_parts(name.strip_suffix(".log")?)?;
    let (container, id) = rest.rsplit_once('-')?;
    if container.is_empty() || id.len() != 64 {
        return None;
    }
    let title = ContainerTitle { container: Some(container.to_owned()), ..ContainerTitle::default() };
    let pod = PodNames { name: Some(pod.to_owned()), namespace: Some(namespace.to_owned()), uid: None };
    let names = ContainerNames {
        title: Arc::new(title),
        pod: Some(Arc::new(pod)),
        ..ContainerNames::nothing(NamesSource::Logs, None)
    };
    Some(NamesAnswer { id: id.to_owned(), names, is_final: false })
}

#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(name: &str) -> (bool, bool) {
    (container(name).is_some(), pod(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{KeptLabels, Names};

    #[test]
    fn names_of_log_files_are_split() {
        let id = "0123456789abcdef".repeat(4);
        let answer = container(&format!("web-5d9_shop_nginx-sidecar-{id}.log")).unwrap();
        assert_eq!(answer.id, id);
        assert_eq!(answer.names.title.container.as_deref(), Some("nginx-sidecar"));
        let pod_names = answer.names.pod.unwrap();
        assert_eq!(
            (pod_names.name.as_deref(), pod_names.namespace.as_deref()),
            (Some("web-5d9"), Some("shop"))
        );
        let (uid, names) = pod("shop_web-5d9_0b8e3c1a-11d4-4d66-9f62-5b7a2c1d0e9f").unwrap();
        assert_eq!(uid, "0b8e3c1a-11d4-4d66-9f62-5b7a2c1d0e9f");
        assert_eq!((names.name.as_deref(), names.namespace.as_deref()), (Some("web-5d9"), Some("shop")));
    }

    #[test]
    fn other_names_are_skipped() {
        let id = "0123456789abcdef".repeat(4);
        for name in
            ["", "a.log", "a_b_c.log", "a_b_c-1.log", &format!("a_b_c_d-{id}.log"), &format!("_b_c-{id}.log")]
        {
            assert!(container(name).is_none(), "{name}");
        }
        for name in ["", "a", "a_b", "a_b_c_d", "a__c"] {
            assert!(pod(name).is_none(), "{name}");
        }
    }

    #[test]
    fn names_come_from_folders_for_wanted_containers_only() {
        const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let dir = tempfile::tempdir().unwrap();
        let file = format!("containers/web-1_shop_web-{ID}.log");
        for name in ["pods/shop_web-1_u-1", "pods/shop_web-2_u-2", &file] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let names = Names::new(KeptLabels::default());
        names.want(ID, Some("u-1"));
        let wanted = names.wanted(NamesSource::Logs);
        let mut answers = Answers::default();
        ask(dir.path(), &wanted, &mut answers).unwrap();
        let titles: Vec<_> = answers.containers.iter().map(|answer| &answer.names.title.container).collect();
        assert_eq!(
            (answers.containers[0].id.as_str(), titles[0].as_deref(), titles.len()),
            (ID, Some("web"), 1)
        );
        let pods: Vec<&str> = answers.pods.iter().map(|(uid, _)| uid.as_str()).collect();
        assert_eq!(pods, ["u-1"]);
        let nowhere = ask(&dir.path().join("none"), &wanted, &mut answers);
        assert!(matches!(nowhere, Err(AskError::Absent)));
    }
}
