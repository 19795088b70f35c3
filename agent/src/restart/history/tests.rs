use std::time::{Duration, SystemTime};

use super::*;
use crate::events::DiskOptions;
use crate::kills::Process;
use crate::model::EventSync;
use crate::model::{
    CgroupKey, CgroupPath, CgroupRef, Constraint, EventDraft, EventKind, EventNames, HierarchyId, OomReport,
    Source,
};
use crate::restart::saved::{SavedCgroups, StateDir};

const BOOT: &str = "this-boot";

struct Node {
    folder: tempfile::TempDir,
    events: EventLog,
}

fn open(dir: &std::path::Path) -> EventLog {
    let options = DiskOptions {
        dir: dir.join("events"),
        max_bytes: 1 << 20,
        max_age: Duration::from_secs(3600),
        max_segments: 4,
        fsync: EventSync::None,
    };
    EventLog::on_disk(8, options, BOOT).unwrap()
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let events = open(folder.path());
        Self { folder, events }
    }

    fn dir(&self) -> StateDir {
        StateDir::unlocked(self.folder.path())
    }

    fn tell(&self, path: &str, id: u64, kind: EventKind) -> u64 {
        self.tell_of(path, false, id, kind)
    }

    fn tell_of(&self, path: &str, path_cut: bool, id: u64, kind: EventKind) -> u64 {
        let key = CgroupKey { hierarchy: HierarchyId(4), id };
        let cgroup = CgroupRef { path: CgroupPath::from(path), key: Some(key), path_cut };
        let time = SystemTime::UNIX_EPOCH;
        self.events.append(EventDraft {
            time,
            source: Source::TpBtf,
            cgroup: Some(cgroup),
            identity: None,
            names: EventNames::default(),
            kind,
        })
    }

    fn kill(&self, path: &str, tgid: u32) -> u64 {
        let mut report = OomReport::default();
        report.victim.tgid = Some(tgid);
        report.decision.constraint = Some(Constraint::Memcg);
        self.tell(path, 1, EventKind::OomKill(Box::new(report)))
    }

    /// As the next agent reads it.
    fn history(&mut self, boot_id: &str) -> History {
        self.events.close(Duration::from_secs(20));
        self.events = open(self.folder.path());
        History::read(&self.dir(), &self.events, boot_id)
    }

    fn save(&self, boot_id: &str, running: bool, settled: Option<Settled>, cgroups: &SavedCgroups) {
        let agent = SavedAgent { boot_id: boot_id.to_owned(), running, settled, ..SavedAgent::default() };
        self.dir().save_agent(&agent).unwrap();
        self.dir().save_cgroups(cgroups).unwrap();
    }
}

fn created() -> EventKind {
    EventKind::CgroupCreated { renamed_from: None }
}

#[test]
fn the_end_of_an_agent_is_the_reason_of_the_next() {
    let mut node = Node::new();
    node.tell("/a", 1, created());
    let mut reasons = |boot_id: &str, running| {
        node.save(boot_id, running, None, &SavedCgroups::default());
        node.history(BOOT).reason
    };
    assert_eq!(reasons(BOOT, true), Some(StartReason::Crash));
    assert_eq!(reasons(BOOT, false), Some(StartReason::Restart));
    assert_eq!(reasons("another", false), Some(StartReason::Reboot));
    std::fs::remove_file(node.folder.path().join("agent.json")).unwrap();
    assert_eq!(node.history(BOOT).reason, None, "there is a log and nothing else");
    let first = Node::new();
    assert_eq!(History::read(&first.dir(), &first.events, BOOT).reason, Some(StartReason::FirstStart));
}

#[test]
fn the_log_brings_what_was_saved_up_to_date() {
    let mut node = Node::new();
    node.tell("/old", 1, created());
    let kept = KnownCgroup {
        path: CgroupPath::from("/old"),
        path_cut: false,
        members: vec![CgroupKey { hierarchy: HierarchyId(4), id: 1 }],
        running: Some(true),
        oom_kills: 5,
        kills_before: 2,
    };
    let renamed = KnownCgroup { path: CgroupPath::from("/a"), ..kept.clone() };
    let gone = KnownCgroup { path: CgroupPath::from("/gone"), ..kept.clone() };
    let known = [&kept, &renamed, &gone].map(|known| known.clone().into());
    let saved = SavedCgroups { seq: 1, cgroups: known.to_vec(), ..SavedCgroups::default() };
    node.save(BOOT, true, None, &saved);
    node.tell("/gone", 1, EventKind::CgroupRemoved);
    node.tell("/new", 7, created());
    node.tell("/old", 1, EventKind::ContainerExited { last_sample: None });
    node.tell("/b", 1, EventKind::CgroupCreated { renamed_from: Some(CgroupPath::from("/a")) });
    node.kill("/old", 70);
    let history = node.history(BOOT);
    let new = KnownCgroup {
        path: CgroupPath::from("/new"),
        path_cut: false,
        members: vec![CgroupKey { hierarchy: HierarchyId(4), id: 7 }],
        running: Some(false),
        oom_kills: 0,
        kills_before: 0,
    };
    let renamed = KnownCgroup { path: CgroupPath::from("/b"), ..kept.clone() };
    let kept = KnownCgroup { running: Some(false), oom_kills: 6, ..kept };
    assert_eq!((history.cgroups, history.knows_all), (vec![renamed, new, kept], true));
    assert_eq!(Vec::from(history.totals).iter().map(|(_, kills)| kills).sum::<u64>(), 1);
}

/// Two that were told with the path above alone; the whole path of one was found before it went.
#[test]
fn what_is_known_by_its_id_alone_is_known_until_it_goes() {
    let mut node = Node::new();
    node.tell_of("/pod", true, 8, created());
    node.tell_of("/pod", true, 9, created());
    node.tell_of("/pod", true, 10, created());
    node.tell_of("/pod", true, 9, EventKind::CgroupRemoved);
    node.tell("/pod/found", 10, EventKind::CgroupRemoved);
    let known = node.history(BOOT).cgroups;
    let paths: Vec<(String, bool)> =
        known.iter().map(|known| (known.path.to_string(), known.path_cut)).collect();
    assert_eq!(paths, [("/pod/#4:8".to_owned(), true)]);
}

/// It crashed within moments of its first start.
#[test]
fn of_an_agent_that_saved_no_cgroups_the_log_knows_those_that_came() {
    let mut node = Node::new();
    node.tell("/came", 1, created());
    node.tell("/went", 2, created());
    node.tell("/went", 2, EventKind::CgroupRemoved);
    let history = node.history(BOOT);
    let paths: Vec<String> = history.cgroups.iter().map(|known| known.path.to_string()).collect();
    assert_eq!((paths, history.knows_all), (vec!["/came".to_owned()], false));
}

#[test]
fn only_kills_behind_the_settled_count_and_of_this_boot_are_accounted_for() {
    let mut node = Node::new();
    node.kill("/a", 70);
    let seq = node.kill("/a", 71);
    let settled = Some(Settled { kernel_kills: 12, seq, log_sequence: Some(400) });
    node.save(BOOT, true, settled, &SavedCgroups::default());
    node.kill("/a", 72);
    let mut ledger = Ledger::new(12);
    ledger.resume(Some(Process(72)));
    assert_eq!(node.history(BOOT).kills, Some(PastKills { ledger, log_sequence: Some(400) }));
    let anew = PastKills { ledger: Ledger::new(0), log_sequence: Some(0) };
    assert_eq!(node.history("the-next-boot").kills, Some(anew), "its kernel counts from 0");
    node.save(BOOT, true, None, &SavedCgroups::default());
    assert_eq!(node.history(BOOT).kills, None, "nobody counted");
}
