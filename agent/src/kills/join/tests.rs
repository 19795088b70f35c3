use std::time::SystemTime;

use super::*;
use crate::model::{CgroupKey, Constraint, HierarchyId, Source};

fn kill(tgid: Option<u32>) -> OomKill {
    OomKill {
        time: SystemTime::UNIX_EPOCH,
        source: Source::TpBtf,
        cgroup: Some(CgroupKey { hierarchy: HierarchyId(4), id: 9 }),
        path: Some(CgroupPath::from("/pod/leaf")),
        victim: Victim { pid: tgid, tgid, comm: tgid.map(|_| b"own".to_vec()), ..Victim::default() },
        decision: Decision::default(),
    }
}

/// A kill that the log can add nothing to.
fn whole(tgid: u32) -> OomKill {
    let decision = Decision { constraint: Some(Constraint::Memcg), ..Decision::default() };
    OomKill { decision, ..kill(Some(tgid)) }
}

fn line(tgid: u32) -> OomKill {
    let victim = Victim {
        pid: Some(tgid),
        tgid: Some(tgid),
        comm: Some(b"log".to_vec()),
        uid: Some(5),
        ..Victim::default()
    };
    let decision = Decision { incident: Some(3), constraint: Some(Constraint::Memcg), ..Decision::default() };
    let path = Some(CgroupPath::from("/pod/leaf"));
    let (time, source) = (SystemTime::UNIX_EPOCH, Source::Kmsg);
    OomKill { time, source, cgroup: None, path, victim, decision }
}

struct Node {
    join: Join,
    ledger: Ledger,
    now: Instant,
}

impl Node {
    fn new() -> Self {
        Self { join: Join::default(), ledger: Ledger::new(0), now: Instant::now() }
    }

    /// A source reports a kill, which is booked.
    fn kill(&mut self, kill: OomKill) -> Option<OomKill> {
        assert!(self.ledger.report(&kill, self.now));
        only(self.join.kill(kill, &mut self.ledger, self.now))
    }

    fn line(&mut self, line: OomKill) -> Option<OomKill> {
        only(self.join.line(line, &mut self.ledger, self.now))
    }
}

fn only(mut kills: Vec<OomKill>) -> Option<OomKill> {
    assert!(kills.len() < 2, "{kills:?}");
    kills.pop()
}

#[test]
fn a_line_fills_what_is_absent_whichever_comes_first() {
    for line_first in [true, false] {
        let mut node = Node::new();
        let filled = if line_first {
            assert_eq!(node.line(line(7)), None);
            node.kill(kill(Some(7)))
        } else {
            assert_eq!(node.kill(kill(Some(7))), None);
            node.line(line(7))
        };
        let filled = filled.unwrap();
        assert_eq!((filled.victim.uid, filled.victim.comm), (Some(5), Some(b"own".to_vec())));
        assert_eq!(filled.decision, line(7).decision);
        assert_eq!(node.join.next_due(), None);
    }
}

#[test]
fn another_process_waits_on() {
    let mut node = Node::new();
    assert_eq!((node.kill(kill(Some(7))), node.line(line(8))), (None, None));
    let due = node.join.next_due().unwrap();
    assert_eq!(node.join.due(due - Duration::from_millis(1)), []);
    assert_eq!(node.join.due(due), [kill(Some(7))]);
}

#[test]
fn without_a_process_the_cgroup_decides() {
    let mut node = Node::new();
    node.line(OomKill { path: Some(CgroupPath::from("/other")), ..line(1) });
    node.line(OomKill { path: None, ..line(2) });
    node.line(line(3));
    let filled = node.kill(kill(None)).unwrap();
    assert_eq!((filled.victim.tgid, filled.victim.comm), (Some(3), Some(b"log".to_vec())));
    assert_eq!(node.ledger.line(Process(3), node.now), LineIs::Repeat, "its line was used");
}

#[test]
fn a_kill_that_lacks_nothing_does_not_wait() {
    assert_eq!(Node::new().kill(whole(7)), Some(whole(7)));
}

#[test]
fn lines_of_unreported_kills_stay_and_others_do_not() {
    let mut node = Node::new();
    node.line(line(7));
    node.kill(whole(7));
    node.line(line(7));
    node.line(line(8));
    node.line(line(9));
    assert_eq!(
        node.join.unclaimed(1, node.now).0,
        [line(9)],
        "the last is the one that was missed a moment ago"
    );
    assert_eq!(node.join.unclaimed(5, node.now), (vec![line(8)], 0));
}

/// The hook knows a thread alone, and the process was gone before `/proc` could be read.
#[test]
fn the_line_of_a_kill_that_is_known_by_a_thread_is_no_news() {
    let by_thread = || {
        let mut kill = kill(None);
        kill.victim.pid = Some(70);
        kill
    };
    for (lines, left) in [(vec![7], 0), (vec![7, 8], 2)] {
        let mut node = Node::new();
        assert_eq!(node.kill(by_thread()), None);
        lines.into_iter().for_each(|tgid| assert_eq!(node.line(line(tgid)), None));
        assert_eq!(node.join.due(node.now + PATIENCE), [by_thread()]);
        assert_eq!(node.join.unclaimed(9, node.now).0.len(), left);
    }
}

/// With `memory.oom.group` the kernel kills the chosen process, and then once more with the others.
#[test]
fn a_process_that_is_counted_twice_is_reported_once() {
    for lines_first in [true, false] {
        let mut node = Node::new();
        if lines_first {
            node.line(line(7));
            node.line(line(7));
            assert!(node.kill(kill(Some(7))).is_some());
        } else {
            node.kill(kill(Some(7)));
            assert!(node.line(line(7)).is_some());
            assert_eq!(node.line(line(7)), None);
        }
        assert_eq!(node.ledger.accounted(), 2, "{lines_first}");
        assert_eq!(node.join.unclaimed(9, node.now), (vec![], 0));
    }
}

/// The cgroup's own count rises by two for the one process, and the source reports two kills: one has no process.
#[test]
fn a_process_that_is_counted_twice_is_named_once_by_counts() {
    for (steps, names) in [
        ("kkll", [Some(7), None]),
        ("klkl", [Some(7), None]),
        ("llkk", [Some(7), None]),
        ("lklk", [Some(7), None]),
        // The kill waited in vain: its line names it no more, nor the next one.
        ("kwllk", [None, None]),
        ("kwlkl", [None, None]),
        ("kwkll", [None, Some(7)]),
    ] {
        let mut node = Node::new();
        let by_count = || {
            let mut kill = kill(None);
            kill.victim = Victim::default();
            kill
        };
        let mut reported = Vec::new();
        for step in steps.chars() {
            match step {
                'k' => reported.extend(node.kill(by_count())),
                'w' => reported.extend(node.join.release(node.now)),
                _ => reported.extend(node.line(line(7))),
            }
        }
        reported.extend(node.join.release(node.now));
        let tgids: Vec<Option<u32>> = reported.iter().map(|kill| kill.victim.tgid).collect();
        assert_eq!((tgids, node.ledger.accounted()), (names.to_vec(), 2), "{steps}");
        assert_eq!(node.join.unclaimed(9, node.now), (vec![], 0), "{steps}");
    }
}

#[test]
fn a_process_that_the_log_has_twice_is_unclaimed_once() {
    let mut node = Node::new();
    for tgid in [7, 8, 7] {
        node.line(line(tgid));
    }
    assert_eq!(node.join.unclaimed(3, node.now), (vec![line(7), line(8)], 1));
}

#[test]
fn lines_that_no_kill_claims_are_bounded_and_go() {
    let mut node = Node::new();
    for tgid in 0..1000 {
        node.line(line(tgid));
    }
    assert_eq!(node.join.lines.len(), MAX_LINES);
    node.now += LINE_KEPT;
    node.line(line(1));
    assert_eq!(node.join.lines.len(), 1);
}
