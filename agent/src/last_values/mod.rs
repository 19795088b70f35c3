//! The last values of a container, read between the end of its last process and the end of its directory.
//!
//! The kernel tells that a cgroup is empty before its last process can be waited for, and whoever waits may remove the
//! directory at once: the first to read or to remove wins. So threads of their own do nothing but wait for exits and
//! read; the core task opens no file and waits for nobody. Told is an exit with its values, or without when they do not
//! come in time; what else happens to the same cgroup is told after it.

mod threads;
mod values;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::files::HostRoot;
use crate::kernel::ExitFeed;
use crate::model::{CgroupKey, CgroupPath, CgroupRef, CgroupStats, Hierarchy};
use crate::registry::{Change, ChangeKind};
use threads::{Request, Requests};
use values::LastValues;

/// A read takes well under a millisecond. This is for a machine on which the reader does not get to run: 62 ms were seen, on
/// virtual processors. Who waits for the end of a container without values can wait as long for one with them.
const PATIENCE: Duration = Duration::from_secs(1);

/// The last values of a container; `None` when its directory was gone already.
pub(crate) struct Final {
    pub(crate) path: CgroupPath,
    /// Of which exit.
    pub(crate) number: u64,
    pub(crate) stats: Option<Box<CgroupStats>>,
}

/// Exits that wait for their values.
pub(crate) struct Finals {
    requests: Requests,
    answers: UnboundedReceiver<Final>,
    /// Changes of a cgroup in their order, the first of them an exit; each exit with its number, the others with 0.
    held: HashMap<CgroupPath, VecDeque<(u64, Change)>>,
    /// Until when to wait for each exit; those that were answered meanwhile are not held any more.
    deadlines: VecDeque<(Instant, CgroupPath, u64)>,
    /// The last exit's number.
    exits: u64,
}

impl Finals {
    /// Starts the threads that read.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub(crate) fn start(
        host: &HostRoot,
        hierarchies: Arc<[Hierarchy]>,
        exits: Vec<ExitFeed>,
        max_open_files: usize,
    ) -> io::Result<Self> {
        let (sender, answers) = unbounded_channel();
        let requests = threads::start(LastValues::new(host, hierarchies, max_open_files), exits, sender)?;
        Ok(Self { requests, answers, held: HashMap::new(), deadlines: VecDeque::new(), exits: 0 })
    }

    /// Takes a change, and gives it back if it is to be told now. `members` gives the directories of a cgroup that is there
    /// still.
    pub(crate) fn route(
        &mut self,
        change: Change,
        members: impl FnOnce(&CgroupPath) -> Option<Vec<CgroupKey>>,
    ) -> Option<Change> {
        let path = change.cgroup.path.clone();
        let is_container = change.identity.is_container();
        let number = match change.kind {
            ChangeKind::ContainerStarted => {
                if let Some(members) = members(&path) {
                    self.requests.send(Request::Opens(path.clone(), members));
                }
                0
            }
            // One that is gone was perhaps read when its last task began to exit.
            ChangeKind::ContainerExited => self.ask(path.clone(), members(&path).unwrap_or_default()),
            ChangeKind::CgroupRemoved if is_container => {
                self.requests.send(Request::Gone(path.clone()));
                0
            }
            _ => 0,
        };
        if let Some(held) = self.held.get_mut(&path) {
            held.push_back((number, change));
            return None;
        }
        if number == 0 {
            return Some(change);
        }
        self.held.insert(path, VecDeque::from([(number, change)]));
        None
    }

    /// The exit's number. When the reader has too much to do the exit is told without values, at its deadline.
    fn ask(&mut self, path: CgroupPath, members: Vec<CgroupKey>) -> u64 {
        self.exits += 1;
        self.deadlines.push_back((Instant::now() + PATIENCE, path.clone(), self.exits));
        self.requests.send(Request::Exited(path, members, self.exits));
        self.exits
    }

    /// The next values; waits for ever when nothing was asked for. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Final {
        match self.answers.recv().await {
            Some(found) => found,
            None => std::future::pending().await,
        }
    }

    /// Values that are here already.
    pub(crate) fn ready(&mut self) -> Option<Final> {
        self.answers.try_recv().ok()
    }

    /// That exit of a cgroup and what has happened since, up to its next exit, which has values of its own to come. Nothing
    /// when it was told already.
    pub(crate) fn release(&mut self, path: &CgroupPath, number: u64) -> Vec<Change> {
        let Some(held) = self.held.get_mut(path) else { return Vec::new() };
        if held.front().is_none_or(|(first, _)| *first != number) {
            return Vec::new();
        }
        let next = held.iter().skip(1).position(|(exit, _)| *exit != 0).map_or(held.len(), |at| at + 1);
        let released = held.drain(..next).map(|(_, change)| change).collect();
        if held.is_empty() {
            self.held.remove(path);
        }
        released
    }

    /// Containers whose exit is not told yet, though the registry knows of it: the directory that events name each by.
    pub(crate) fn untold(&self) -> impl Iterator<Item = &CgroupRef> {
        self.held.values().filter_map(|held| Some(&held.front()?.1.cgroup))
    }

    /// All that is held, in the order of each cgroup, at the end.
    pub(crate) fn release_all(&mut self) -> Vec<Change> {
        self.held.drain().flat_map(|(_, held)| held).map(|(_, change)| change).collect()
    }

    /// When the first of those that wait has waited enough.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.deadlines.front().map(|(until, _, _)| *until)
    }

    /// Exits whose values have not come in time, if they are held still.
    pub(crate) fn due(&mut self) -> Vec<(CgroupPath, u64)> {
        let now = Instant::now();
        let due = self.deadlines.iter().take_while(|(until, _, _)| *until <= now).count();
        self.deadlines.drain(..due).map(|(_, path, number)| (path, number)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::model::Source;

    fn change(path: &str, kind: ChangeKind) -> Change {
        Change {
            time: SystemTime::UNIX_EPOCH,
            source: Source::TpBtf,
            cgroup: CgroupRef { path: CgroupPath::from(path), key: None, path_cut: false },
            identity: Arc::default(),
            kind,
        }
    }

    fn finals() -> Finals {
        Finals::start(&HostRoot::new("/nowhere"), Arc::from([]), Vec::new(), 0).unwrap()
    }

    fn kinds(changes: &[Change]) -> Vec<&ChangeKind> {
        changes.iter().map(|change| &change.kind).collect()
    }

    #[tokio::test]
    async fn what_follows_an_exit_is_told_after_it() {
        use ChangeKind::{CgroupRemoved, ContainerExited, ContainerStarted};
        let mut finals = finals();
        let there = |_: &CgroupPath| Some(Vec::new());
        assert!(finals.route(change("/other", CgroupRemoved), there).is_some());
        for kind in [ContainerExited, ContainerStarted, ContainerExited, CgroupRemoved] {
            assert!(finals.route(change("/a", kind), there).is_none());
        }
        assert!(finals.route(change("/other", ContainerStarted), there).is_some(), "others do not wait");
        let path = CgroupPath::from("/a");
        for wanted in [vec![&ContainerExited, &ContainerStarted], vec![&ContainerExited, &CgroupRemoved]] {
            let found = finals.next().await;
            assert!(found.path == path && found.stats.is_none(), "there is no such directory");
            assert_eq!(kinds(&finals.release(&path, found.number)), wanted);
        }
        assert!(finals.release(&path, 2).is_empty());
        assert!(finals.route(change("/a", CgroupRemoved), there).is_some());
    }

    #[tokio::test]
    async fn a_cgroup_that_is_gone_has_no_values() {
        let mut finals = finals();
        assert!(finals.route(change("/a", ChangeKind::ContainerExited), |_| None).is_none());
        let found = finals.next().await;
        assert!(found.stats.is_none());
        let path = CgroupPath::from("/a");
        assert_eq!(kinds(&finals.release(&path, found.number)), [&ChangeKind::ContainerExited]);
    }

    /// Neither values that come late nor a deadline that has passed are the next exit's.
    #[tokio::test]
    async fn each_exit_has_its_own_values() {
        let mut finals = finals();
        let path = CgroupPath::from("/a");
        let exit = || change("/a", ChangeKind::ContainerExited);
        finals.route(exit(), |_| Some(Vec::new()));
        assert_eq!(finals.release(&path, 1).len(), 1);
        finals.route(exit(), |_| Some(Vec::new()));
        assert!(finals.release(&path, 1).is_empty(), "told already");
        assert_eq!(finals.release(&path, 2).len(), 1);
    }

    #[tokio::test]
    async fn an_exit_waits_no_longer_than_it_may() {
        let mut finals = finals();
        finals.route(change("/a", ChangeKind::ContainerExited), |_| Some(Vec::new()));
        assert!(finals.due().is_empty());
        tokio::time::sleep_until(finals.next_due().unwrap().into()).await;
        assert_eq!(finals.due(), [(CgroupPath::from("/a"), 1)]);
        assert_eq!(finals.next_due(), None);
    }
}
