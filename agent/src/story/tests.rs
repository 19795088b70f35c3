//! The order of deeds, and that each loss is an event.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::*;
use crate::model::{CgroupKey, CgroupVersion, Hierarchy, LastRequest, LogBatch, OomKill, Victim};
use crate::registry::Walked;

const MEMORY: HierarchyId = HierarchyId(4);
/// 64 digits: the path of a container.
const CONTAINER: &str = "/kubepods/pod3b9c2f1e-8a4d-4c5f-9e6b-7d8a9c0b1e2f/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct Node {
    story: Story,
    registry: Registry,
    now: Instant,
}

impl Node {
    fn new(counts_are_source: bool) -> Self {
        Self::after(Past { reason: Some(StartReason::FirstStart), ..Past::default() }, counts_are_source)
    }

    fn after(past: Past, counts_are_source: bool) -> Self {
        let memory = Hierarchy {
            id: MEMORY,
            version: CgroupVersion::V1,
            controllers: vec!["memory".to_owned()],
            mount: "/nowhere".into(),
        };
        let oom_source = if counts_are_source { Source::OomControl } else { Source::TpBtf };
        let facts = HostFacts {
            hierarchies: Arc::new([memory]),
            oom_source: Some(oom_source),
            ..HostFacts::fixture()
        };
        let story = Story::new(past, &facts, Some((0, UNIX_EPOCH)), false, false);
        Self { story, registry: Registry::new(10), now: Instant::now() }
    }

    /// One word for each deed.
    fn take(&mut self, fact: Fact) -> Vec<&'static str> {
        let wall = SystemTime::now();
        let mut turn = Turn { registry: &mut self.registry, now: self.now, wall, deeds: Vec::new() };
        self.story.take(fact, &mut turn);
        turn.deeds.iter().map(word).collect()
    }

    fn event(&mut self, kind: LifecycleKind) -> Vec<&'static str> {
        let event = LifecycleEvent {
            time: UNIX_EPOCH,
            source: Source::TpBtf,
            key: CgroupKey { hierarchy: MEMORY, id: 9 },
            parent: None,
            level: 3,
            path: CgroupPath::from(CONTAINER),
            path_cut: false,
            kind,
        };
        self.take(Fact::Cgroups(CgroupEvents { events: vec![event], ..CgroupEvents::default() }))
    }

    /// It finds one cgroup.
    fn first_walk(&mut self) -> Vec<&'static str> {
        let mark = self.registry.begin_walk();
        let found = vec![(CgroupKey { hierarchy: MEMORY, id: 9 }, CgroupPath::from("/a"))];
        let walked =
            Walked { time: UNIX_EPOCH, hierarchies: vec![MEMORY], found, source: None, populated: None };
        let walk = FinishedWalk { mark, walked, duration: Duration::ZERO, kills: HashMap::new() };
        self.take(Fact::FirstWalk(Vec::new(), walk))
    }
}

fn word(deed: &Deed) -> &'static str {
    match deed {
        Deed::Report(draft) => draft.kind.type_name(),
        Deed::WalkSoon => "walk",
        Deed::LookUp(_) => "look up",
        Deed::WantNames(_) => "names",
        Deed::Last(LastRequest::Open(..)) => "open",
        Deed::Last(LastRequest::Read(..)) => "read",
        Deed::Last(LastRequest::Forget(_)) => "forget",
        Deed::Count(CountRequest::Watch(..)) => "watch count",
        Deed::Count(CountRequest::Forget(_)) => "forget count",
        Deed::Count(CountRequest::WatchAll { .. }) => "watch counts",
        Deed::Count(CountRequest::LookSoon) => "count soon",
        Deed::Checkpoint(_) => "checkpoint",
        Deed::GiveUp(_) => "give up",
    }
}

#[test]
fn a_container_comes_and_goes() {
    use LifecycleKind::{Created, Populated, Removed};
    let mut node = Node::new(false);
    assert_eq!(node.event(Created), ["names", "cgroup_created"]);
    assert_eq!(node.event(Populated(true)), ["names", "open", "container_started"]);
    assert_eq!(node.event(Populated(false)), ["read"], "the exit waits for its values");
    assert_eq!(node.event(Removed), ["forget"], "and its removal for the exit");
    let values =
        LastValues { path: CgroupPath::from(CONTAINER), exit: ExitNumber(1), stats: Some(Box::default()) };
    assert_eq!(node.take(Fact::LastValues(values)), ["container_exited", "cgroup_removed"]);
}

#[test]
fn an_exit_without_values_is_reported_when_it_has_waited() {
    use LifecycleKind::{Created, Populated};
    let mut node = Node::new(false);
    for kind in [Created, Populated(true), Populated(false)] {
        node.event(kind);
    }
    node.now = node.story.next_due().unwrap();
    assert_eq!(node.take(Fact::Time), ["container_exited"]);
    assert_eq!(node.story.next_due(), None);
}

#[test]
fn what_waits_is_reported_at_the_end() {
    use LifecycleKind::{Created, Populated};
    let mut node = Node::new(false);
    for kind in [Created, Populated(true), Populated(false)] {
        node.event(kind);
    }
    assert_eq!(node.story.unreported_exits().count(), 1);
    assert_eq!(node.take(Fact::End), ["container_exited"]);
}

#[test]
fn the_agents_start_comes_before_what_the_first_walk_finds() {
    let mut node = Node::new(true);
    assert_eq!(node.first_walk(), ["agent_started", "watch counts"]);
    assert_eq!(node.registry.len(), 1);
}

#[test]
fn events_that_may_be_missing_are_in_the_stream_once() {
    let mut node = Node::after(Past { is_incomplete: true, ..Past::default() }, false);
    assert_eq!(node.first_walk(), ["agent_started", "lost"]);
    assert!(node.take(Fact::Time).is_empty());
}

#[test]
fn counts_follow_the_cgroups_where_they_are_the_source() {
    use LifecycleKind::{Created, Removed};
    let mut node = Node::new(true);
    assert_eq!(node.event(Created), ["watch count", "names", "cgroup_created"]);
    assert_eq!(node.event(Removed), ["forget count", "forget", "cgroup_removed"]);
}

#[test]
fn each_loss_is_an_event_and_a_walk() {
    let mut node = Node::new(false);
    for fact in [
        Fact::Lost { records: 2, source: Source::TpBtf },
        Fact::Dropped([Some(3); Hook::ALL.len()]),
        Fact::Cgroups(CgroupEvents { overflows: 1, ..CgroupEvents::default() }),
        Fact::Cgroups(CgroupEvents { unseen: 1, ..CgroupEvents::default() }),
    ] {
        let deeds = node.take(fact);
        assert_eq!(deeds[..2], ["lost", "walk"]);
    }
    assert!(node.take(Fact::Dropped([Some(3); Hook::ALL.len()])).is_empty(), "reported already");
}

#[test]
fn a_kill_in_a_cgroup_that_is_not_known_is_looked_up() {
    let mut node = Node::new(false);
    let kill = |key, pid| OomKill {
        time: UNIX_EPOCH,
        source: Source::TpBtf,
        cgroup: Some(CgroupKey { hierarchy: MEMORY, id: key }),
        path: None,
        victim: Victim { pid: Some(pid), tgid: Some(pid), ..Victim::default() },
        decision: crate::model::Decision::default(),
    };
    assert_eq!(node.take(Fact::Kills(vec![kill(9, 70)])), ["look up"]);
    node.event(LifecycleKind::Created);
    assert_eq!(node.take(Fact::Kills(vec![kill(9, 71)])), ["oom_kill"]);
    assert!(node.take(Fact::Kills(vec![kill(9, 71)])).is_empty(), "another thread of the same process");
    let counted = LogBatch { kernel_kills: Some(2), log_ended: true, ..LogBatch::default() };
    assert!(
        node.take(Fact::Log(counted)).is_empty(),
        "a look-up runs, so this is no moment for a checkpoint"
    );
}
