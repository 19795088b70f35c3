use std::time::{Duration, SystemTime};

use super::*;
use crate::events::DiskOptions;
use crate::kills::{Ledger, Process};
use crate::model::{
    CgroupKey, CgroupPath, CgroupRef, Constraint, EventDraft, EventKind, EventNames, HierarchyId, OomReport,
    Source,
};
use crate::registry::KnownCgroup;
use crate::restart::saved::{SavedCgroups, StateDir};

const BOOT: &str = "this-boot";

struct Node {
    folder: tempfile::TempDir,
    events: EventLog,
}

fn log(dir: &std::path::Path) -> EventLog {
    let options = DiskOptions::fixture(dir);
    EventLog::on_disk(8, options, BOOT).unwrap()
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let events = log(folder.path());
        Self { folder, events }
    }

    fn dir(&self) -> StateDir {
        StateDir::unlocked(self.folder.path())
    }

    fn report(&self, path: &str, id: u64, kind: EventKind) -> u64 {
        self.report_at(path, false, id, kind)
    }

    fn report_at(&self, path: &str, path_cut: bool, id: u64, kind: EventKind) -> u64 {
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
        self.report(path, 1, EventKind::OomKill(Box::new(report)))
    }

    /// As the next agent reads it. The kernel has counted 20 kills.
    fn past(&mut self, boot_id: &str) -> Past {
        self.events.close(Duration::from_secs(20));
        self.events = log(self.folder.path());
        let now = || Some(Checkpoint { kernel_kills: 20, log_sequence: Some(500) });
        let (past, mut saver) = open(self.dir(), &self.events, boot_id, &Arc::default(), Some(20), now);
        saver.note_start();
        past
    }

    fn save(
        &self,
        boot_id: &str,
        running: bool,
        checkpoint: Option<SavedCheckpoint>,
        cgroups: &SavedCgroups,
    ) {
        let agent = SavedAgent { boot_id: boot_id.to_owned(), running, checkpoint, ..SavedAgent::default() };
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
    node.report("/a", 1, created());
    let mut reasons = |boot_id: &str, running| {
        node.save(boot_id, running, None, &SavedCgroups::default());
        node.past(BOOT).reason
    };
    assert_eq!(reasons(BOOT, true), Some(StartReason::Crash));
    assert_eq!(reasons(BOOT, false), Some(StartReason::Restart));
    assert_eq!(reasons("another", false), Some(StartReason::Reboot));
    std::fs::remove_file(node.folder.path().join("agent.json")).unwrap();
    assert_eq!(node.past(BOOT).reason, None, "there is a log and nothing else");
    assert_eq!(Node::new().past(BOOT).reason, Some(StartReason::FirstStart));
}

#[test]
fn the_log_brings_what_was_saved_up_to_date() {
    let mut node = Node::new();
    node.report("/old", 1, created());
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
    let known = [&kept, &renamed, &gone].map(|known| known.clone());
    let saved = SavedCgroups { seq: 1, cgroups: known.to_vec(), ..SavedCgroups::default() };
    node.save(BOOT, true, None, &saved);
    node.report("/gone", 1, EventKind::CgroupRemoved);
    node.report("/new", 7, created());
    node.report("/old", 1, EventKind::ContainerExited { last_sample: None });
    node.report("/b", 1, EventKind::CgroupCreated { renamed_from: Some(CgroupPath::from("/a")) });
    node.kill("/old", 70);
    let past = node.past(BOOT);
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
    assert_eq!((past.cgroups, past.knows_all), (vec![renamed, new, kept], true));
    assert_eq!(Vec::from(past.totals).iter().map(|(_, kills)| kills).sum::<u64>(), 1);
}

/// Two that were reported with the path above alone; the whole path of one was found before it went.
#[test]
fn what_is_known_by_its_id_alone_is_known_until_it_goes() {
    let mut node = Node::new();
    node.report_at("/pod", true, 8, created());
    node.report_at("/pod", true, 9, created());
    node.report_at("/pod", true, 10, created());
    node.report_at("/pod", true, 9, EventKind::CgroupRemoved);
    node.report("/pod/found", 10, EventKind::CgroupRemoved);
    let known = node.past(BOOT).cgroups;
    let paths: Vec<(String, bool)> =
        known.iter().map(|known| (known.path.to_string(), known.path_cut)).collect();
    assert_eq!(paths, [("/pod/#4:8".to_owned(), true)]);
}

/// It crashed within moments of its first start.
#[test]
fn of_an_agent_that_saved_no_cgroups_the_log_knows_those_that_came() {
    let mut node = Node::new();
    node.report("/came", 1, created());
    node.report("/went", 2, created());
    node.report("/went", 2, EventKind::CgroupRemoved);
    let past = node.past(BOOT);
    let paths: Vec<String> = past.cgroups.iter().map(|known| known.path.to_string()).collect();
    assert_eq!((paths, past.knows_all), (vec!["/came".to_owned()], false));
}

#[test]
fn only_kills_after_the_checkpoint_and_of_this_boot_are_accounted_for() {
    let mut node = Node::new();
    node.kill("/a", 70);
    let seq = node.kill("/a", 71);
    let saved = Some(SavedCheckpoint { kernel_kills: 12, seq, log_sequence: Some(400) });
    node.save(BOOT, true, saved, &SavedCgroups::default());
    node.kill("/a", 72);
    let mut ledger = Ledger::new(12);
    let time = SystemTime::UNIX_EPOCH;
    ledger.resume(Some(Process(72)), time);
    ledger.remember(Some(Process(70)), time);
    ledger.remember(Some(Process(71)), time);
    let past = node.past(BOOT);
    assert_eq!((past.ledger, past.log_sequence), (Some(ledger), Some(400)));
    let past = node.past("the-next-boot");
    assert_eq!((past.ledger, past.log_sequence), (Some(Ledger::new(0)), Some(0)), "its kernel counts from 0");
    node.save(BOOT, true, None, &SavedCgroups::default());
    assert_eq!(node.past(BOOT).ledger, None, "no agent counted");
}

/// The agent may crash before it makes a checkpoint.
#[test]
fn the_first_save_has_the_place_in_the_kernel_log() {
    let mut node = Node::new();
    node.past(BOOT);
    let saved = SavedCheckpoint { kernel_kills: 20, seq: 0, log_sequence: Some(500) };
    assert_eq!(node.dir().agent().unwrap().checkpoint, Some(saved));
    assert_eq!(node.past(BOOT).log_sequence, Some(500));
}

#[test]
fn what_is_not_left_makes_the_past_incomplete() {
    let remove =
        |file: &'static str| move |node: &Node| std::fs::remove_file(node.folder.path().join(file)).unwrap();
    let write = |text: &'static str| {
        move |node: &Node| std::fs::write(node.folder.path().join("agent.json"), text).unwrap()
    };
    type Harm<'a> = &'a dyn Fn(&Node);
    let harms: [(Harm<'_>, bool); 9] = [
        (&|_| {}, false),
        (&remove("agent.json"), true),
        (&write("{"), true),
        (&write(r#"{"running":true}"#), true),
        (&write(r#"{"boot_id":"","running":true}"#), true),
        (&write(r#"{"boot_id":"this-boot","running":true}"#), true),
        (&write(r#"{"boot_id":"this-boot","settled":{"kernel_kills":21,"seq":1}}"#), true),
        (&remove("cgroups.json"), true),
        (&|node| std::fs::remove_dir_all(node.folder.path().join("events")).unwrap(), true),
    ];
    for (number, (harm, is_incomplete)) in harms.into_iter().enumerate() {
        let mut node = Node::new();
        let seq = node.kill("/a", 70);
        node.events.close(Duration::from_secs(20));
        let saved = Some(SavedCheckpoint { kernel_kills: 12, seq, log_sequence: Some(400) });
        node.save(BOOT, true, saved, &SavedCgroups { seq, ..SavedCgroups::default() });
        harm(&node);
        let past = node.past(BOOT);
        assert_eq!(past.is_incomplete, is_incomplete, "{number}");
        assert_ne!(past.reason, Some(StartReason::Reboot), "{number}");
        node.save(BOOT, false, saved, &SavedCgroups::default());
    }
    // No kill has moved the checkpoint.
    let mut node = Node::new();
    node.report("/a", 1, created());
    let first = Some(SavedCheckpoint { kernel_kills: 20, seq: 0, log_sequence: None });
    node.save(BOOT, true, first, &SavedCgroups { seq: 1, ..SavedCgroups::default() });
    node.events.close(Duration::from_secs(20));
    std::fs::remove_dir_all(node.folder.path().join("events")).unwrap();
    assert!(node.past(BOOT).is_incomplete);
    assert!(!Node::new().past(BOOT).is_incomplete, "there was no agent");
}
