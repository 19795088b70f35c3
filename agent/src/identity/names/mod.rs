//! The table of names of containers and pods: bounded, filled by the threads that ask runtimes.
//!
//! Ids are added as wants, in any number. The threads take the open wants, ask, and put the answers. A reader never waits
//! for a thread.

mod limits;
#[cfg(test)]
mod tests;
mod units;

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::model::{
    ContainerNames, EventNames, Health, Identity, NamesSource, NamesSourceStatus, NamesStatus, PodNames, Role,
};

pub use limits::KeptLabels;

/// Containers with names, and as many that wait for names: four times what a large node runs.
const MAX_CONTAINERS: usize = 20_000;
/// All labels and variables together. A full table refuses more until containers are removed.
const MAX_BYTES: usize = 64 << 20;
/// Containers in one round of questions. The next round takes the others.
const MAX_PER_ROUND: usize = 4_096;

#[derive(Debug)]
pub struct Names {
    table: RwLock<Table>,
    pub kept_labels: KeptLabels,
    /// The number of the newest want. A change wakes the threads that ask.
    wanted: watch::Sender<u64>,
    dropped_labels: AtomicU64,
    /// Names that were too large, or found the table full.
    refused: AtomicU64,
    sources: Mutex<Vec<NamesSourceStatus>>,
}

#[derive(Debug, Default)]
struct Table {
    containers: HashMap<String, Arc<ContainerNames>>,
    pods: HashMap<String, Arc<PodNames>>,
    wants: HashMap<String, Want>,
    units: units::Units,
    bytes: usize,
}

/// A container whose names are wanted.
#[derive(Clone, Debug)]
struct Want {
    pod_uid: Option<String>,
    /// The number of the want. A question that was asked before it does not answer it.
    number: u64,
}

/// A container in the registry. The table keeps its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredContainer {
    /// The pod that the container is in.
    pub pod_uid: Option<String>,
    /// Whether its cgroup still exists. Names of other containers are kept, not asked for.
    pub lives: bool,
}

/// The open wants at one moment.
#[derive(Debug, Default)]
pub struct OpenWants {
    /// The number of the newest.
    pub number: u64,
    /// The ids of the containers, the newest first.
    pub ids: Vec<String>,
    /// The uids of their pods.
    pub pods: Vec<String>,
}

/// What a runtime answered about one container.
#[derive(Clone, Debug)]
pub struct NamesAnswer {
    /// The container's full id.
    pub id: String,
    /// Its names, before labels are filtered.
    pub names: ContainerNames,
    /// No more names will come until the container is started again.
    pub is_final: bool,
}

impl Names {
    /// An empty table that keeps these labels and variables.
    pub fn new(kept_labels: KeptLabels) -> Self {
        Self {
            table: RwLock::default(),
            kept_labels,
            wanted: watch::Sender::new(0),
            dropped_labels: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            sources: Mutex::default(),
        }
    }

    /// The names of a container.
    #[cfg(test)]
    pub fn get(&self, container_id: &str) -> Option<Arc<ContainerNames>> {
        self.read(|table| table.containers.get(container_id).cloned())
    }

    /// The names of a pod.
    #[cfg(test)]
    pub fn pod(&self, uid: &str) -> Option<Arc<PodNames>> {
        self.read(|table| table.pods.get(uid).cloned())
    }

    /// The names of a cgroup. A cgroup inside a container has none: sums by name must not count it twice.
    pub fn of(&self, identity: &Identity) -> (Option<Arc<ContainerNames>>, Option<Arc<PodNames>>) {
        let pod = |table: &Table| table.pods.get(identity.pod_uid.as_deref()?).cloned();
        match identity.role {
            Role::Container => self.read(|table| {
                let id = identity.container_id.as_deref();
                let names = id.and_then(|id| table.containers.get(id)).cloned();
                let pod = names.as_ref().and_then(|names| names.pod.clone()).or_else(|| pod(table));
                (names, pod)
            }),
            Role::Pod => (None, self.read(pod)),
            _ => (None, None),
        }
    }

    /// The names for an event of a cgroup, as known now. An event inside a container has the container's names.
    pub fn of_event(&self, identity: &Identity) -> EventNames {
        let owner = match identity.role {
            Role::InsideContainer => &Identity { role: Role::Container, ..identity.clone() },
            _ => identity,
        };
        let (names, pod) = self.of(owner);
        EventNames { container: names.map(|names| names.title.clone()), pod }
    }

    /// Adds a want for a container that was made or started. Never waits. `false` if there are too many wants;
    /// [`Names::retain`] adds it later.
    pub fn want(&self, container_id: &str, pod_uid: Option<&str>) -> bool {
        self.write(|table| {
            let has_room = table.wants.len() < MAX_CONTAINERS || table.wants.contains_key(container_id);
            if has_room {
                self.wanted.send_modify(|number| *number += 1);
                let want = Want { pod_uid: pod_uid.map(str::to_owned), number: *self.wanted.borrow() };
                table.wants.insert(container_id.to_owned(), want);
            }
            has_room
        })
    }

    /// Compares the table with all containers of the registry, by id. Forgets the names of others, and wants the names
    /// of those that live and have none.
    pub fn retain(&self, known: &HashMap<String, RegisteredContainer>) {
        let missing: Vec<(&String, &RegisteredContainer)> = self.write(|table| {
            table.wants.retain(|id, _| known.get(id).is_some_and(|known| known.lives));
            let mut freed = 0;
            table.containers.retain(|id, names| {
                let stays = known.contains_key(id);
                freed += if stays { 0 } else { limits::bytes(names) };
                stays
            });
            table.bytes = table.bytes.saturating_sub(freed);
            let pods: HashSet<&String> = known.values().filter_map(|known| known.pod_uid.as_ref()).collect();
            table.pods.retain(|uid, _| pods.contains(uid));
            let is_missing =
                |id: &String| !table.containers.contains_key(id) && !table.wants.contains_key(id);
            known.iter().filter(|(id, known)| known.lives && is_missing(id)).collect()
        });
        for (id, known) in missing {
            if !self.want(id, known.pod_uid.as_deref()) {
                break;
            }
        }
    }

    /// Counts and sources for `/status`.
    pub fn status(&self) -> NamesStatus {
        let (resolved, unresolved) = self.read(|table| {
            let open = table.wants.keys().filter(|id| !table.containers.contains_key(*id));
            (table.containers.len(), open.count())
        });
        NamesStatus {
            resolved: resolved as u64,
            unresolved: unresolved as u64,
            dropped_labels: self.dropped_labels.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            sources: self.sources.lock().clone(),
        }
    }

    /// The numbers of wants, to wait for a new one.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.wanted.subscribe()
    }

    /// Whether there are open wants for a source of that kind.
    pub fn is_wanted(&self, source: NamesSource) -> bool {
        self.read(|table| table.open(source).next().is_some())
    }

    /// The open wants for a source of that kind, the newest first, as many as a round can bear.
    pub fn wanted(&self, source: NamesSource) -> OpenWants {
        self.read(|table| {
            let mut wanted = OpenWants { number: *self.wanted.borrow(), ..OpenWants::default() };
            let mut open: Vec<(&String, &Want)> = table.open(source).collect();
            open.sort_unstable_by_key(|(_, want)| Reverse(want.number));
            open.truncate(MAX_PER_ROUND);
            let pods: HashSet<&String> = open.iter().filter_map(|(_, want)| want.pod_uid.as_ref()).collect();
            wanted.pods = pods.into_iter().cloned().collect();
            wanted.ids = open.into_iter().map(|(id, _)| id.clone()).collect();
            wanted
        })
    }

    /// Containers of a source whose health changes by itself.
    pub fn with_health(&self, source: NamesSource) -> Vec<String> {
        if matches!(source, NamesSource::Cri | NamesSource::Logs) {
            return Vec::new(); // they do not report health
        }
        let checked = |names: &ContainerNames| {
            names.source == source && names.health.is_some_and(|health| health != Health::None)
        };
        self.read(|table| {
            table.containers.iter().filter(|(_, names)| checked(names)).map(|(id, _)| id.clone()).collect()
        })
    }

    /// Takes the answers of a source; `number` is that of the newest want when the questions began.
    pub fn put(&self, number: u64, answers: Vec<NamesAnswer>) {
        for NamesAnswer { id, mut names, is_final } in answers {
            let dropped = limits::apply(&mut names, &self.kept_labels);
            self.dropped_labels.fetch_add(dropped, Ordering::Relaxed);
            if !self.write(|table| table.put(number, id, names, is_final)) {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Takes the names of a pod that is wanted.
    pub fn put_pod(&self, uid: &str, pod: PodNames) {
        let is_taken = limits::fits(&pod)
            && self.write(|table| {
                let has_room = table.pods.len() < MAX_CONTAINERS || table.pods.contains_key(uid);
                if has_room {
                    table.pods.insert(uid.to_owned(), Arc::new(pod));
                }
                has_room
            });
        if !is_taken {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds a source; returns its index in the list.
    pub fn add_source(&self, source: NamesSource, place: String) -> usize {
        let mut sources = self.sources.lock();
        sources.push(NamesSourceStatus { source, place, runtime: None, up: None, failing: None, errors: 0 });
        sources.len() - 1
    }

    /// Changes the status of a source.
    pub fn note(&self, source: usize, change: impl FnOnce(&mut NamesSourceStatus)) {
        if let Some(status) = self.sources.lock().get_mut(source) {
            change(status);
        }
    }

    fn read<T>(&self, with: impl FnOnce(&Table) -> T) -> T {
        with(&self.table.read())
    }

    fn write<T>(&self, with: impl FnOnce(&mut Table) -> T) -> T {
        with(&mut self.table.write())
    }
}

impl Table {
    /// The open wants for a source. Log files add nothing to a container that has names.
    fn open(&self, source: NamesSource) -> impl Iterator<Item = (&String, &Want)> {
        self.wants.iter().filter(move |(id, want)| {
            let no_pod = || want.pod_uid.as_ref().is_some_and(|uid| !self.pods.contains_key(uid));
            source != NamesSource::Logs || !self.containers.contains_key(*id) || no_pod()
        })
    }

    /// Adds an answer; `false` if there is no room.
    fn put(&mut self, number: u64, id: String, mut names: ContainerNames, is_final: bool) -> bool {
        let want = self.wants.get(&id);
        let before = self.containers.get(&id);
        if (want.is_none() && before.is_none()) || before.is_some_and(|before| before.source > names.source) {
            return true;
        }
        let (old, new) = (before.map_or(0, |before| limits::bytes(before)), limits::bytes(&names));
        let bytes = self.bytes.saturating_sub(old).saturating_add(new);
        if bytes > MAX_BYTES || (before.is_none() && self.containers.len() >= MAX_CONTAINERS) {
            return false;
        }
        self.bytes = bytes;
        let uid = want.and_then(|want| want.pod_uid.clone());
        if let Some(pod) = &mut names.pod
            && let Some(uid) = uid.or_else(|| pod.uid.clone())
        {
            if pod.uid.is_none() {
                Arc::make_mut(pod).uid = Some(uid.clone());
            }
            self.pods.insert(uid, pod.clone());
        }
        if is_final && want.is_some_and(|want| want.number <= number) {
            self.wants.remove(&id);
        }
        self.containers.insert(id, Arc::new(names));
        true
    }
}
