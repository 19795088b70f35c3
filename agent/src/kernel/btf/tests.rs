//! The reader against a blob made here, the running kernel's, and damaged ones.

use proptest::prelude::*;

use super::*;

/// A blob with one `struct cgroup { u64 a; struct { struct kn *kn; }; }` and the tracepoint `mark_victim`.
struct Blob {
    types: Vec<u8>,
    strings: Vec<u8>,
}

impl Blob {
    fn new() -> Self {
        Self { types: Vec::new(), strings: vec![0] }
    }

    fn string(&mut self, text: &str) -> u32 {
        let at = u32::try_from(self.strings.len()).unwrap();
        if text.is_empty() {
            return 0;
        }
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        at
    }

    fn words(&mut self, words: &[u32]) {
        for word in words {
            self.types.extend(word.to_ne_bytes());
        }
    }

    fn bytes(self) -> Vec<u8> {
        let mut data = Vec::new();
        data.extend(MAGIC.to_ne_bytes());
        data.extend([1, 0]);
        let (types, strings) = (self.types.len(), self.strings.len());
        for word in [24, 0, types, types, strings] {
            data.extend(u32::try_from(word).unwrap().to_ne_bytes());
        }
        data.extend(self.types);
        data.extend(self.strings);
        data
    }
}

/// The blob that [`Blob`] describes.
pub(crate) fn sample() -> Vec<u8> {
    let mut blob = Blob::new();
    let names = ["u64", "a", "kn", "cgroup", "btf_trace_mark_victim", "MM_ANONPAGES"];
    let [u64_name, a, kn, cgroup, trace, anon] = names.map(|name| blob.string(name));
    blob.words(&[u64_name, KIND_INT << 24, 8, 64]); // 1: u64
    blob.words(&[0, KIND_PTR << 24, 1]); // 2: u64 *
    blob.words(&[0, KIND_STRUCT << 24 | 1, 8, kn, 2, 0]); // 3: struct { u64 *kn; }
    blob.words(&[cgroup, KIND_STRUCT << 24 | 2, 16, a, 1, 0, 0, 3, 64]); // 4: struct cgroup
    blob.words(&[0, KIND_FUNC_PROTO << 24 | 3, 0, 0, 2, 0, 2, 0, 1]); // 5: void (void *, u64 *, u64)
    blob.words(&[0, KIND_PTR << 24, 5]); // 6
    blob.words(&[trace, KIND_TYPEDEF << 24, 6]); // 7
    blob.words(&[0, KIND_ENUM << 24 | 1, 4, anon, 1]); // 8
    blob.bytes()
}

#[test]
fn members_are_found_through_anonymous_structs() {
    let btf = Btf::parse(sample()).unwrap();
    assert_eq!(btf.member("cgroup", "a").unwrap().unwrap().offset_bytes, 0);
    assert_eq!(btf.member("cgroup", "kn").unwrap().unwrap().offset_bytes, 8);
    assert_eq!(btf.member("cgroup", "nothing").unwrap(), None);
    assert_eq!(btf.member("no_struct", "kn").unwrap(), None);
}

#[test]
fn tracepoint_arguments_and_enumerators() {
    let btf = Btf::parse(sample()).unwrap();
    assert_eq!(btf.tracepoint_arguments("mark_victim").unwrap(), Some(vec![true, false]));
    assert_eq!(btf.tracepoint_arguments("cgroup_mkdir").unwrap(), None);
    assert_eq!(btf.enumerator("MM_ANONPAGES").unwrap(), Some(1));
    assert_eq!(btf.enumerator("MM_OTHER").unwrap(), None);
}

#[test]
fn damage_is_an_error() {
    for (blob, wanted) in [
        (vec![], "no BTF magic"),
        (vec![0x9f, 0xeb], "ends too early"),
        (sample()[..60].to_vec(), "ends after the data"),
    ] {
        let error = Btf::parse(blob).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn a_loop_of_typedefs_ends() {
    let mut blob = Blob::new();
    let [name, member, trace] = ["t", "kn", "cgroup"].map(|name| blob.string(name));
    blob.words(&[name, KIND_TYPEDEF << 24, 1]); // refers to itself
    blob.words(&[trace, KIND_STRUCT << 24 | 1, 8, member, 1, 0]);
    let btf = Btf::parse(blob.bytes()).unwrap();
    assert!(btf.member("cgroup", "kn.id").is_err());
}

/// Damage that was found by looking for it: each of these was once a panic or did not end.
#[test]
fn numbers_that_cannot_be_are_errors() {
    let mut blob = Blob::new();
    let [mm, stat, anon] = ["mm_struct", "rss_stat", "MM_ANONPAGES"].map(|name| blob.string(name));
    blob.words(&[0, KIND_INT << 24, u32::MAX, 64]); // 1: an integer of 4 GiB
    blob.words(&[0, KIND_ARRAY << 24, 0, 1, 1, 4]); // 2
    blob.words(&[mm, KIND_STRUCT << 24 | 1, 8, stat, 2, 64]); // 3
    blob.words(&[0, KIND_ENUM << 24 | 1, 4, anon, u32::MAX]); // 4
    let error = crate::kernel::probe::read_btf(blob.bytes()).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "BTF: an offset of 4 GiB or more");
}

#[test]
fn a_struct_of_itself_ends() {
    let mut blob = Blob::new();
    let name = blob.string("cgroup");
    blob.words(&[name, KIND_STRUCT << 24 | 40, 8]);
    for _ in 0..40 {
        blob.words(&[0, 1, 0]); // anonymous, and of the struct's own type
    }
    let error = Btf::parse(blob.bytes()).unwrap().member("cgroup", "kn").unwrap_err();
    assert_eq!(error.to_string(), "BTF: a struct without an end");
}

#[test]
fn this_kernel_has_what_the_typed_programs_need() {
    let Ok(data) = std::fs::read("/sys/kernel/btf/vmlinux") else {
        println!("skipped: this kernel shows no BTF");
        return;
    };
    let btf = Btf::parse(data).unwrap();
    let layout = crate::kernel::offsets::structs(&btf).unwrap();
    for offset in [layout.cgroup_kn, layout.cgroup_level, layout.kn_id, layout.task_pid, layout.task_tgid] {
        assert_ne!(offset, cgtap_abi::ABSENT);
    }
    assert_eq!(layout.task_tgid, layout.task_pid + 4, "neighbours in task_struct since 2.6");
}

proptest! {
    /// Any damage to a sound blob is an answer or an error, never a panic or an endless loop.
    #[test]
    fn damaged_blobs_never_panic(at in 0usize..400, value: u8, cut in 0usize..400) {
        let mut blob = sample();
        let length = blob.len();
        blob[at % length] = value;
        blob.truncate(length - cut % 8);
        crate::fuzzing::btf(&blob);
    }
}
