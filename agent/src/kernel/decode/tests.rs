//! Records as the programs write them, and damaged ones.

use proptest::prelude::*;

use super::*;

fn words(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn header(program: u32, seq: u64) -> Vec<u8> {
    words(&[&program.to_ne_bytes(), &1u32.to_ne_bytes(), &seq.to_ne_bytes(), &1_000u64.to_ne_bytes()])
}

fn lifecycle_record(program: u32, level: u32, populated: u32, path: &[u8]) -> Vec<u8> {
    let length = u32::try_from(path.len()).unwrap();
    words(&[
        &header(program, 7),
        &42u64.to_ne_bytes(),
        &4u32.to_ne_bytes(),
        &level.to_ne_bytes(),
        &populated.to_ne_bytes(),
        &length.to_ne_bytes(),
        path,
    ])
}

fn read(bytes: &[u8]) -> Result<(Place, LifecycleEvent), KernelError> {
    lifecycle(bytes, Clock::now(), |_| Source::TpBtf)
}

#[test]
fn a_lifecycle_record() {
    let (place, event) = read(&lifecycle_record(0, 2, 0, b"/a/b\xff")).unwrap();
    assert_eq!(place, Place { program: Program::CgroupMkdir, cpu: 1, seq: 7 });
    assert_eq!(event.key, CgroupKey { hierarchy: HierarchyId(4), id: 42 });
    assert_eq!(event.path, CgroupPath::from_bytes(b"/a/b\xff"));
    assert_eq!((event.kind, event.path_cut), (LifecycleKind::Created, false));
    let (_, event) = read(&lifecycle_record(3, 1, 1, b"/a")).unwrap();
    assert_eq!(event.kind, LifecycleKind::Populated(true));
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
        (lifecycle_record(4, 1, 0, b"/a"), "an OOM record in the lifecycle ring"),
        (lifecycle_record(0, 1, 0, b"/abc")[..50].to_vec(), "shorter than its path"),
    ] {
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

fn oom_record(bits: u32) -> Vec<u8> {
    let numbers = [10u64, 20, 30, 40, 50].map(u64::to_ne_bytes).concat();
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
    ])
}

#[test]
fn an_oom_record_with_everything() {
    let bytes = oom_record(u32::MAX);
    assert_eq!(bytes.len(), size_of::<OomRecord>());
    let (_, kill) = oom(&bytes, Clock::now(), Source::TpBtf).unwrap();
    assert_eq!(kill.cgroup, Some(CgroupKey { hierarchy: HierarchyId(4), id: 42 }));
    let victim = Victim {
        pid: Some(100),
        swap_bytes: None,
        tgid: Some(99),
        comm: Some(b"stress".to_vec()),
        uid: Some(1000),
        oom_score_adj: Some(-998),
        total_vm_bytes: Some(10),
        anon_rss_bytes: Some(20),
        file_rss_bytes: Some(30),
        shmem_rss_bytes: Some(40),
        pgtables_bytes: Some(50),
    };
    assert_eq!(kill.victim, victim);
}

#[test]
fn what_the_kernel_does_not_tell_is_absent() {
    let (_, kill) = oom(&oom_record(0), Clock::now(), Source::Tracepoint).unwrap();
    assert_eq!(kill.cgroup, None);
    assert_eq!(kill.victim, Victim { pid: Some(100), ..Victim::default() });
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..1200)) {
        let _ = read(&bytes);
        let _ = oom(&bytes, Clock::now(), Source::TpBtf);
    }
}
