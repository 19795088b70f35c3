//! Real lines of several kernels, hostile names, and any bytes.

use proptest::prelude::*;

use super::*;
use crate::model::{Constraint, Limit};

/// All lines at one moment.
fn kills_at(time_usec: u64, lines: &OomLines, texts: &[&str]) -> (OomLines, Vec<LogKill>) {
    let mut lines = lines.clone();
    let record = |text| LogRecord { sequence: 1, time_usec, of_kernel: true, text: Cow::Borrowed(text) };
    let kills = texts.iter().filter_map(|text| lines.push(&record(text.as_bytes()))).collect();
    (lines, kills)
}

fn kills(texts: &[&str]) -> Vec<LogKill> {
    kills_at(7_000, &OomLines::default(), texts).1
}

const MEMCG: [&str; 9] = [
    "hog invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
    "CPU: 0 UID: 0 PID: 99 Comm: hog Not tainted 6.12.95+deb12-cloud-amd64 #1  Debian 6.12.95-1",
    "Call Trace:",
    "memory: usage 10240kB, limit 10240kB, failcnt 20",
    "swap: usage 4kB, limit 9007199254740988kB, failcnt 0",
    "Memory cgroup stats for /pod:",
    "[    100]     0   100     3036     2841     2513        4       324    61440        0             0 hog",
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/pod,\
     task_memcg=/pod/leaf,task=hog,pid=100,uid=0",
    KILL,
];
const KILL: &str = "Memory cgroup out of memory: Killed process 100 (hog) total-vm:12144kB, anon-rss:10240kB, \
                    file-rss:4kB, shmem-rss:1284kB, UID:1000 pgtables:60kB oom_score_adj:-5";

fn victim() -> Victim {
    Victim {
        pid: Some(100),
        tgid: Some(100),
        comm: Some(b"hog".to_vec()),
        uid: Some(1000),
        oom_score_adj: Some(-5),
        total_vm_bytes: Some(12_144 << 10),
        anon_rss_bytes: Some(10_240 << 10),
        file_rss_bytes: Some(4 << 10),
        shmem_rss_bytes: Some(1_284 << 10),
        swap_bytes: None,
        pgtables_bytes: Some(60 << 10),
    }
}

#[test]
fn records() {
    let record = log_record(b"6,601,2915430,-;CPU: 0\n SUBSYSTEM=x\n").unwrap();
    assert_eq!(
        record,
        LogRecord { sequence: 601, time_usec: 2_915_430, of_kernel: true, text: b"CPU: 0"[..].into() }
    );
    assert!(!log_record(b"14,1,2,-;written by a program").unwrap().of_kernel);
    assert_eq!(*log_record(b"6,1,2,-,caller=T1;x;y").unwrap().text, *b"x;y");
    let escaped = log_record(br"6,1,2,-;a\x5cx41\xc3\xb6\x0a\xzz\x4").unwrap();
    assert_eq!(*escaped.text, *b"a\\x41\xc3\xb6\n\\xzz\\x4");
    for refused in [&b""[..], b"6,1,2,-", b"a,1,2,-;x", b"6,1;x"] {
        assert!(log_record(refused).is_err(), "{refused:?}");
    }
}

#[test]
fn a_limit_of_a_cgroup() {
    let owner = LimitOwner {
        path: Some(CgroupPath::from("/pod")),
        usage_bytes: Some(10 << 20),
        limit: Some(Limit::Value(10 << 20)),
        swap_usage_bytes: Some(4096),
        ..LimitOwner::default()
    };
    let trigger = Trigger { pid: Some(99), comm: Some(b"hog".to_vec()), ..Trigger::default() };
    let decision = Decision {
        incident: Some(7_000),
        constraint: Some(Constraint::Memcg),
        owner: Some(owner),
        trigger: Some(trigger),
        group_kill: None,
    };
    let path = Some(CgroupPath::from("/pod/leaf"));
    assert_eq!(kills(&MEMCG), [LogKill { time_usec: 7_000, victim: victim(), path, decision }]);
}

#[test]
fn the_whole_machine() {
    let found = kills(&[
        "a invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0",
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,\
         task_memcg=/x,y,task=b,pid=5,uid=0",
        "Out of memory: Killed process 5 (b) total-vm:4kB, anon-rss:0kB, file-rss:0kB, shmem-rss:0kB, UID:0 \
         pgtables:4kB oom_score_adj:1000",
    ]);
    let [kill] = &found[..] else { panic!("{found:?}") };
    assert_eq!((kill.decision.constraint, &kill.decision.owner), (Some(Constraint::None), &None));
    assert_eq!(kill.path, Some(CgroupPath::from("/x,y")));
    assert_eq!((kill.victim.tgid, kill.victim.oom_score_adj), (Some(5), Some(1000)));
}

#[test]
fn the_old_form() {
    let found = kills(&[
        "hog invoked oom-killer: gfp_mask=0x14000c0(GFP_KERNEL), nodemask=(null),  order=0, oom_score_adj=0",
        "CPU: 1 PID: 99 Comm: hog Not tainted 4.18.0 #1",
        "Task in /pod/leaf killed as a result of limit of /pod",
        "memory: usage 20480kB, limit 20480kB, failcnt 5",
        "memory+swap: usage 20484kB, limit 9007199254740988kB, failcnt 0",
        "Memory cgroup out of memory: Kill process 100 (hog) score 3 or sacrifice child",
        "Killed process 100 (hog) total-vm:12144kB, anon-rss:10240kB, file-rss:4kB, shmem-rss:0kB",
    ]);
    let [kill] = &found[..] else { panic!("{found:?}") };
    let owner = kill.decision.owner.as_ref().unwrap();
    assert_eq!((&owner.path, owner.swap_usage_bytes), (&Some(CgroupPath::from("/pod")), Some(4096)));
    assert_eq!((kill.victim.tgid, kill.victim.uid), (Some(100), None));
    assert_eq!(kill.path, Some(CgroupPath::from("/pod/leaf")));
}

#[test]
fn a_group_is_one_incident() {
    let others = ["Tasks in /pod/leaf are going to be killed due to memory.oom.group set", KILL, KILL];
    let found = kills(&[&MEMCG[..], &others].concat());
    let incidents: Vec<_> = found.iter().map(|kill| (kill.decision.incident, &kill.path)).collect();
    assert_eq!(incidents, [(Some(7_000), &Some(CgroupPath::from("/pod/leaf"))); 3]);
    let group: Vec<_> = found.iter().map(|kill| kill.decision.group_kill).collect();
    assert_eq!(group, [None, Some(true), Some(true)]);
}

/// The table of processes has 100 alone.
#[test]
fn a_kill_after_a_group_is_none_of_it() {
    let group = "Tasks in /pod/leaf are going to be killed due to memory.oom.group set";
    let (lines, _) = kills_at(7_000, &OomLines::default(), &[&MEMCG[..], &[group, KILL]].concat());
    let elsewhere = KILL.replace("100", "200");
    let (_, found) = kills_at(7_010, &lines, &[&elsewhere]);
    assert_eq!(
        (&found[0].path, &found[0].decision.owner, found[0].decision.group_kill),
        (&None, &None, None)
    );
    // Without a table the time decides.
    let (lines, first) = kills_at(7_000, &OomLines::default(), &[KILL, group, KILL]);
    assert_eq!(first[1].decision.group_kill, Some(true));
    for (time_usec, group_kill) in [(17_000, Some(true)), (37_000, None)] {
        let (_, found) = kills_at(time_usec, &lines, &[&elsewhere]);
        assert_eq!((found[0].decision.group_kill, &found[0].path), (group_kill, &None));
    }
}

/// Of the others it is not known in which of the cgroups below they were.
#[test]
fn of_a_group_of_several_cgroups_only_the_chosen_has_a_path() {
    let group = "Tasks in /pod are going to be killed due to memory.oom.group set";
    let found = kills(&[&MEMCG[..], &[group, KILL]].concat());
    let paths: Vec<_> = found.iter().map(|kill| kill.path.clone()).collect();
    assert_eq!(paths, [Some(CgroupPath::from("/pod/leaf")), None]);
}

#[test]
fn a_kill_whose_lines_were_held_back_stands_alone() {
    let (lines, first) = kills_at(7_000, &OomLines::default(), &MEMCG);
    assert_eq!(first.len(), 1);
    for time_usec in [8_000, 9_000_000] {
        let (_, found) = kills_at(time_usec, &lines, &[KILL]);
        let [kill] = &found[..] else { panic!("{found:?}") };
        assert_eq!((&kill.path, &kill.decision.owner, &kill.victim), (&None, &None, &victim()));
        assert_eq!(kill.decision.constraint, Some(Constraint::Memcg));
        assert_eq!(kill.decision.incident, Some(time_usec));
    }
    // The lines are of another process: theirs was lost in between.
    let (_, found) = kills_at(7_000, &OomLines::default(), &[MEMCG[7], &KILL.replace("100", "101")]);
    assert_eq!(found[0].path, None);
}

#[test]
fn a_name_cannot_pose_as_a_figure() {
    for name in ["a) total-vm:1", "(x", ",task=y,pid=1", " UID:7 ", "Killed process"] {
        let decision = MEMCG[7].replace("task=hog", &format!("task={name}"));
        let kill = KILL.replace("(hog)", &format!("({name})"));
        let found = kills(&[&decision, &kill]);
        assert_eq!(found[0].victim, Victim { comm: Some(name.into()), ..victim() });
        assert_eq!(found[0].path, Some(CgroupPath::from("/pod/leaf")), "{name}");
    }
}

#[test]
fn what_a_program_writes_is_no_kill() {
    let record = LogRecord { sequence: 1, time_usec: 1, of_kernel: false, text: KILL.as_bytes().into() };
    assert_eq!(OomLines::default().push(&record), None);
    assert_eq!(kills(&["someone said: Killed process 1 (a) total-vm:1kB, anon-rss:1kB"]), []);
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzzing::kernel_log(&bytes);
        OomLines::default().push(&LogRecord { sequence: 0, time_usec: 0, of_kernel: true, text: bytes[..].into() });
    }

    #[test]
    fn damaged_lines_too(index in 0..MEMCG.len(), at in 0usize..200, with in any::<u8>(), keep in 0usize..400) {
        let mut text = MEMCG[index].as_bytes().to_vec();
        if let Some(byte) = text.get_mut(at) {
            *byte = with;
        }
        text.truncate(keep);
        let mut lines = OomLines::default();
        lines.push(&LogRecord { sequence: 0, time_usec: u64::MAX, of_kernel: true, text: text[..].into() });
        lines.push(&LogRecord { sequence: 0, time_usec: 0, of_kernel: true, text: KILL.as_bytes().into() });
    }
}
