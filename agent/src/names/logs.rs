//! Names without asking anyone: the kubelet names its log files by pod and container.
//!
//! ```text
//! /var/log/containers/<pod>_<namespace>_<container>-<container id>.log
//! /var/log/pods/<namespace>_<pod>_<pod uid>/
//! ```

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::error::AskError;
use super::{Answer, Heard};
use crate::files::entry_names;
use crate::identity::{Names, Wanted};
use crate::model::{ContainerNames, ContainerTitle, NamesSource, PodNames};

/// Far above what a kubelet keeps.
const MAX_ENTRIES: usize = 100_000;

pub(super) struct Logs {
    pub(super) dir: PathBuf,
}

impl Logs {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn ask(&self, names: &Names, wanted: &Wanted) -> Result<Heard, AskError> {
        let pods = entry_names(&self.dir.join("pods"), MAX_ENTRIES)?;
        let uids: HashSet<&str> = wanted.pods.iter().map(String::as_str).collect();
        for (uid, pod) in pods.iter().filter_map(|name| pod(name)) {
            if uids.contains(uid) {
                names.put_pod(uid, pod);
            }
        }
        let ids: HashSet<&str> = wanted.ids.iter().map(String::as_str).collect();
        let files = entry_names(&self.dir.join("containers"), MAX_ENTRIES);
        let files = match files.map_err(AskError::from) {
            Err(AskError::Absent) => Vec::new(),
            files => files?,
        };
        let found = files.iter().filter_map(|name| container(name));
        let answers = found.filter(|answer| ids.contains(answer.id.as_str())).collect();
        Ok(Heard { runtime: None, answers, errors: 0, why: None, is_cut: false })
    }
}

/// No name in Kubernetes has an underscore.
fn pod(name: &str) -> Option<(&str, PodNames)> {
    let mut parts = name.split('_');
    let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && [namespace, pod, uid].iter().all(|part| !part.is_empty());
    whole.then(|| {
        let names = PodNames {
            name: Some(pod.to_owned()),
            namespace: Some(namespace.to_owned()),
            uid: Some(uid.to_owned()),
        };
        (uid, names)
    })
}

fn container(name: &str) -> Option<Answer> {
    let mut parts = name.strip_suffix(".log")?.split('_');
    let (pod, namespace, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (container, id) = rest.rsplit_once('-')?;
    let whole = parts.next().is_none() && [pod, namespace, container].iter().all(|part| !part.is_empty());
    if !whole || id.len() != 64 {
        return None;
    }
    let title = ContainerTitle { container: Some(container.to_owned()), ..ContainerTitle::default() };
    let pod = PodNames { name: Some(pod.to_owned()), namespace: Some(namespace.to_owned()), uid: None };
    let names = ContainerNames {
        title: Arc::new(title),
        pod: Some(Arc::new(pod)),
        labels: BTreeMap::new(),
        envs: BTreeMap::new(),
        started: None,
        created: None,
        restart_count: None,
        is_sandbox: false,
        health: None,
        runtime: None,
        source: NamesSource::Logs,
    };
    Some(Answer { id: id.to_owned(), names, is_final: false })
}

#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(name: &str) -> (bool, bool) {
    (container(name).is_some(), pod(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_log_files_are_taken_apart() {
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
        let names = Names::new(crate::identity::Wishes::default());
        names.want(ID, Some("u-1"));
        let wanted = names.wanted(NamesSource::Logs);
        let heard = Logs::new(dir.path().into()).ask(&names, &wanted).unwrap();
        names.put(wanted.number, heard.answers);
        assert_eq!(names.get(ID).unwrap().title.container.as_deref(), Some("web"));
        assert_eq!(names.pod("u-1").unwrap().uid.as_deref(), Some("u-1"));
        assert!(names.pod("u-2").is_none());
        let nowhere = Logs::new(dir.path().join("none")).ask(&names, &wanted);
        assert!(matches!(nowhere, Err(AskError::Absent)));
    }
}
