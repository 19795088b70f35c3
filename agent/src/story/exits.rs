//! Holds the exits of containers until their last values are read, and later changes of the same cgroup until its exit is reported.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::model::{CgroupKey, CgroupPath, CgroupRef, Deed, ExitNumber, LastRequest};
use crate::registry::{Change, ChangeKind};

/// How long an exit waits at most. A read takes well under a millisecond; on busy virtual processors the reader began 62 ms late.
const PATIENCE: Duration = Duration::from_secs(1);

/// Exits that wait, and what waits with them.
#[derive(Debug, Default)]
pub(super) struct HeldExits {
    /// Changes of a cgroup in their order, the first of them an exit; each exit with its number.
    held: HashMap<CgroupPath, VecDeque<(Option<ExitNumber>, Change)>>,
    /// When each exit is due. Entries of exits that have been reported are skipped.
    deadlines: VecDeque<(Instant, CgroupPath, ExitNumber)>,
    last: u64,
}

impl HeldExits {
    /// Holds the change, or returns it to be reported now. `members` are the existing directories of its cgroup.
    pub(super) fn route(
        &mut self,
        change: Change,
        members: Option<Vec<CgroupKey>>,
        now: Instant,
        deeds: &mut Vec<Deed>,
    ) -> Option<Change> {
        let path = change.cgroup.path.clone();
        let exit = match change.kind {
            ChangeKind::ContainerStarted => {
                deeds.extend(members.map(|members| Deed::Last(LastRequest::Open(path.clone(), members))));
                None
            }
            ChangeKind::ContainerExited => {
                self.last += 1;
                let exit = ExitNumber(self.last);
                self.deadlines.push_back((now + PATIENCE, path.clone(), exit));
                // Its values may have been read when its last task began to exit.
                deeds.push(Deed::Last(LastRequest::Read(path.clone(), members.unwrap_or_default(), exit)));
                Some(exit)
            }
            ChangeKind::CgroupRemoved if change.identity.is_container() => {
                deeds.push(Deed::Last(LastRequest::Forget(path.clone())));
                None
            }
            _ => None,
        };
        if let Some(held) = self.held.get_mut(&path) {
            held.push_back((exit, change));
            return None;
        }
        if exit.is_none() {
            return Some(change);
        }
        self.held.insert(path, VecDeque::from([(exit, change)]));
        None
    }

    /// That exit of a cgroup and the changes since, up to its next exit. Empty when the exit is not held any more.
    pub(super) fn release(&mut self, path: &CgroupPath, exit: ExitNumber) -> Vec<Change> {
        let Some(held) = self.held.get_mut(path) else { return Vec::new() };
        if held.front().is_none_or(|(first, _)| *first != Some(exit)) {
            return Vec::new();
        }
        let next = held.iter().skip(1).position(|(exit, _)| exit.is_some()).map_or(held.len(), |at| at + 1);
        let released = held.drain(..next).map(|(_, change)| change).collect();
        if held.is_empty() {
            self.held.remove(path);
        }
        released
    }

    /// Containers whose exit is not reported yet, though the registry knows of it.
    pub(super) fn unreported(&self) -> impl Iterator<Item = &CgroupRef> {
        self.held.values().filter_map(|held| Some(&held.front()?.1.cgroup))
    }

    /// Everything that is held, in the order of each cgroup.
    pub(super) fn release_all(&mut self) -> Vec<Change> {
        self.held.drain().flat_map(|(_, held)| held).map(|(_, change)| change).collect()
    }

    /// When the first exit has waited long enough.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.deadlines.front().map(|(until, _, _)| *until)
    }

    /// Exits that have waited long enough.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(CgroupPath, ExitNumber)> {
        let due = self.deadlines.iter().take_while(|(until, _, _)| *until <= now).count();
        self.deadlines.drain(..due).map(|(_, path, exit)| (path, exit)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use ChangeKind::{CgroupRemoved, ContainerExited, ContainerStarted};

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

    fn kinds(changes: &[Change]) -> Vec<&ChangeKind> {
        changes.iter().map(|change| &change.kind).collect()
    }

    /// Whether the change is reported at once.
    fn route(exits: &mut HeldExits, path: &str, kind: ChangeKind) -> bool {
        exits.route(change(path, kind), Some(Vec::new()), Instant::now(), &mut Vec::new()).is_some()
    }

    #[test]
    fn what_follows_an_exit_is_reported_after_it() {
        let mut exits = HeldExits::default();
        assert!(route(&mut exits, "/other", CgroupRemoved));
        for kind in [ContainerExited, ContainerStarted, ContainerExited, CgroupRemoved] {
            assert!(!route(&mut exits, "/a", kind));
        }
        assert!(route(&mut exits, "/other", ContainerStarted), "others do not wait");
        let path = CgroupPath::from("/a");
        assert_eq!(kinds(&exits.release(&path, ExitNumber(1))), [&ContainerExited, &ContainerStarted]);
        assert!(exits.release(&path, ExitNumber(1)).is_empty(), "reported already");
        assert_eq!(kinds(&exits.release(&path, ExitNumber(2))), [&ContainerExited, &CgroupRemoved]);
        assert!(route(&mut exits, "/a", CgroupRemoved));
    }

    /// Neither values that come late nor a deadline that has passed are the next exit's.
    #[test]
    fn each_exit_has_its_own_values() {
        let mut exits = HeldExits::default();
        let path = CgroupPath::from("/a");
        route(&mut exits, "/a", ContainerExited);
        assert_eq!(exits.release(&path, ExitNumber(1)).len(), 1);
        route(&mut exits, "/a", ContainerExited);
        assert!(exits.release(&path, ExitNumber(1)).is_empty());
        assert_eq!(exits.release(&path, ExitNumber(2)).len(), 1);
    }

    #[test]
    fn an_exit_waits_no_longer_than_it_may() {
        let mut exits = HeldExits::default();
        route(&mut exits, "/a", ContainerExited);
        let due = exits.next_due().unwrap();
        assert!(exits.due(due - Duration::from_millis(1)).is_empty());
        assert_eq!(exits.due(due), [(CgroupPath::from("/a"), ExitNumber(1))]);
        assert_eq!(exits.next_due(), None);
    }

    #[test]
    fn the_values_of_each_exit_are_asked_for() {
        let (mut exits, mut deeds) = (HeldExits::default(), Vec::new());
        for kind in [ContainerStarted, ContainerExited] {
            exits.route(change("/a", kind), Some(Vec::new()), Instant::now(), &mut deeds);
        }
        exits.route(change("/a", ContainerExited), None, Instant::now(), &mut deeds);
        let path = || CgroupPath::from("/a");
        let wanted = [
            Deed::Last(LastRequest::Open(path(), Vec::new())),
            Deed::Last(LastRequest::Read(path(), Vec::new(), ExitNumber(1))),
            Deed::Last(LastRequest::Read(path(), Vec::new(), ExitNumber(2))),
        ];
        assert_eq!(deeds, wanted);
    }
}
