//! Records as the programs write them, and damaged ones.

use proptest::prelude::*;

use cgtap_abi::OomRecord;

use super::*;
use crate::model::{Constraint, Decision, Limit, LimitOwner, OomKill, Trigger, Victim};

fn words(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn header(program: u32, seq: u64) -> Vec<u8> {
    words(&[&program.to_ne_bytes(), &1u32.to_ne_bytes(), &seq.to_ne_bytes(), &1_000u64.to_ne_bytes()])
}

fn lifecycle_record(program: u32, level: u32, populated: u32, path: &[u8]) -> Vec<u8> {
    record_below(0, program, level, populated, path)
}

fn record_below(parent: u64, program: u32, level: u32, populated: u32, path: &[u8]) -> Vec<u8> {
    let length = u32::try_from(path.len()).unwrap();
    words(&[
        &header(program, 7),
        &42u64.to_ne_bytes(),
        &parent.to_ne_bytes(),
        &4u32.to_ne_bytes(),
        &level.to_ne_bytes(),
        &populated.to_ne_bytes(),
        &length.to_ne_bytes(),
        path,
    ])
}

fn read(bytes: &[u8]) -> Result<(RecordNumber, LifecycleEvent), KernelError> {
    lifecycle(bytes, Clock::now(), |_| Source::TpBtf)
}

#[test]
fn a_lifecycle_record() {
    let (number, event) = read(&lifecycle_record(0, 2, 0, b"/a/b\xff")).unwrap();
    assert_eq!(number, RecordNumber { program: Program::CgroupMkdir, cpu: 1, seq: 7 });
    assert_eq!(event.key, CgroupKey { hierarchy: HierarchyId(4), id: 42 });
    assert_eq!(event.path, CgroupPath::from_bytes(b"/a/b\xff"));
    assert_eq!((event.kind, event.path_cut), (LifecycleKind::Created, false));
    let (_, event) = read(&lifecycle_record(3, 1, 1, b"/a")).unwrap();
    assert_eq!((event.kind, event.parent), (LifecycleKind::Populated(true), None));
}

#[test]
fn a_record_is_after_the_time_before_it() {
    let bytes = lifecycle_record(0, 1, 0, b"/a");
    assert!(is_after(&bytes, 999) && !is_after(&bytes, 1_000));
    assert!(!is_after(&bytes[..20], 0), "it has no time");
}

#[test]
fn an_exit_names_its_cgroup() {
    let record = |program| {
        words(&[&header(program, 7), &42u64.to_ne_bytes(), &4u32.to_ne_bytes(), &0u32.to_ne_bytes()])
    };
    let bytes = record(6);
    let cgroup = CgroupKey { hierarchy: HierarchyId(4), id: 42 };
    assert_eq!(exit(&bytes).unwrap(), cgroup);
    assert_eq!(exit(&[&bytes[..], &[0; 4]].concat()).unwrap(), cgroup, "a perf buffer pads");
    assert!(exit(&record(0)).is_err() && exit(&bytes[..35]).is_err());
    assert!(read(&bytes).is_err(), "it is none of the lifecycle ring");
}

#[test]
fn a_record_without_a_path_names_the_directory_above() {
    let (_, event) = read(&record_below(41, 0, 2, 0, b"")).unwrap();
    assert_eq!(event.parent, Some(CgroupKey { hierarchy: HierarchyId(4), id: 41 }));
    assert!(event.path_cut, "two names are missing");
}

#[test]
fn a_cut_path_is_marked() {
    let full = [b"/".as_slice(), &[b'a'; PATH_BYTES - 2]].concat();
    assert!(read(&lifecycle_record(0, 1, 0, &full)).unwrap().1.path_cut, "the buffer is full");
    assert!(read(&lifecycle_record(0, 3, 0, b"/a/b")).unwrap().1.path_cut, "a name is missing");
    assert!(!read(&lifecycle_record(0, 0, 0, b"/")).unwrap().1.path_cut);
}

#[test]
fn what_is_not_ours_is_an_error() {
    for (bytes, wanted) in [
        (vec![], "shorter than its fields"),
        (lifecycle_record(99, 1, 0, b"/a"), "of no program of ours"),
        (lifecycle_record(4, 1, 0, b"/a"), "a record of another ring"),
        (lifecycle_record(0, 1, 0, b"/abc")[..58].to_vec(), "shorter than its path"),
    ] {
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

const UNDECIDED: [u8; 96] = [0; 96];

fn oom_record(bits: u32, decision: &[u8; 96]) -> Vec<u8> {
    let numbers = [10u64, 20, 30, 40, 45, 50].map(u64::to_ne_bytes).concat();
    words(&[
        &header(4, 1),
        &42u64.to_ne_bytes(),
        &4u32.to_ne_bytes(),
        &bits.to_ne_bytes(),
        &100u32.to_ne_bytes(),
        &99u32.to_ne_bytes(),
        &1000u32.to_ne_bytes(),
        &(-998i32).to_ne_bytes(),
        &numbers,
        b"stress\0\0\0\0\0\0\0\0\0\0",
        decision,
    ])
}

/// A decision in hierarchy `hierarchy` with these `decided` bits.
fn decided(hierarchy: u32, bits: u32, dying: u32) -> [u8; 96] {
    let wide = [77_000u64, 7, 1 << 20, 512, 3 << 20, 8].map(u64::to_ne_bytes).concat();
    let narrow = [hierarchy, hierarchy, 201, 200, 3, 1, bits, dying].map(u32::to_ne_bytes).concat();
    words(&[&wide, &narrow, b"trigger\0\0\0\0\0\0\0\0\0"]).try_into().unwrap()
}

fn kill(bytes: &[u8], source: Source) -> Option<OomKill> {
    oom(bytes, Clock::now(), source).unwrap().1
}

#[test]
fn an_oom_record_with_everything() {
    let bytes = oom_record(u32::MAX, &UNDECIDED);
    assert_eq!(bytes.len(), size_of::<OomRecord>());
    let kill = kill(&bytes, Source::TpBtf).unwrap();
    assert_eq!(kill.cgroup, Some(CgroupKey { hierarchy: HierarchyId(4), id: 42 }));
    let victim = Victim {
        pid: Some(100),
        tgid: Some(99),
        comm: Some(b"stress".to_vec()),
        uid: Some(1000),
        oom_score_adj: Some(-998),
        total_vm_bytes: Some(10),
        anon_rss_bytes: Some(20),
        file_rss_bytes: Some(30),
        shmem_rss_bytes: Some(40),
        swap_bytes: Some(45),
        pgtables_bytes: Some(50),
    };
    assert_eq!((kill.victim, kill.decision), (victim, Decision::default()));
}

#[test]
fn a_decision_with_everything() {
    let page_bytes = rustix::param::page_size() as u64;
    for (hierarchy, swap) in [(0, 3 << 20), (4, 2 << 20)] {
        let bytes = oom_record(u32::MAX, &decided(hierarchy, u32::MAX, 0));
        let hierarchy = HierarchyId(hierarchy);
        let owner = LimitOwner {
            key: Some(CgroupKey { hierarchy, id: 7 }),
            usage_bytes: Some(1 << 20),
            limit: Some(Limit::Value(512 * page_bytes)),
            swap_usage_bytes: Some(swap),
            ..LimitOwner::default()
        };
        let trigger = Trigger {
            pid: Some(200),
            comm: Some(b"trigger".to_vec()),
            cgroup: Some(CgroupKey { hierarchy, id: 8 }),
            path: None,
        };
        let wanted = Decision {
            incident: Some(77),
            constraint: Some(Constraint::Memcg),
            owner: Some(owner),
            trigger: Some(trigger),
            group_kill: Some(true),
        };
        assert_eq!(kill(&bytes, Source::Fentry).unwrap().decision, wanted);
    }
}

#[test]
fn a_mark_that_is_no_kill_is_left_out_where_decisions_tell() {
    let (undecided, dying) = (oom_record(0, &UNDECIDED), oom_record(0, &decided(4, u32::MAX, 1)));
    for source in [Source::Fentry, Source::Kprobe] {
        assert_eq!((kill(&undecided, source), kill(&dying, source)), (None, None));
    }
    assert!(kill(&undecided, Source::TpBtf).is_some(), "no record says that it is none");
}

#[test]
fn what_the_kernel_does_not_tell_is_absent() {
    let bare = kill(&oom_record(0, &UNDECIDED), Source::Tracepoint).unwrap();
    assert_eq!(bare.cgroup, None);
    assert_eq!(bare.victim, Victim { pid: Some(100), ..Victim::default() });
    let made = kill(&oom_record(0, &decided(4, 1, 0)), Source::Fentry).unwrap().decision;
    assert_eq!((made.constraint, &made.owner, made.group_kill), (None, &None, None));
    assert_eq!(made.trigger.map(|trigger| trigger.cgroup), Some(None));
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..1200)) {
        crate::fuzzing::ring_record(&bytes);
    }
}
