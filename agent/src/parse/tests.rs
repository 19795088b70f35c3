//! No bytes make a parser panic, and what is well formed is read as it was written.

use proptest::prelude::*;

use super::*;
use crate::fuzzing;
use crate::model::MemoryEvents;

/// Bytes that look like kernel text far more often than random ones do.
fn kernel_like() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        "(cache|total_cache|anon|some|full|avg10=|total=|Total|Read|8:0|cpu|max|-|Tgid:|eth0:|cgroup2|0::/|rbytes=)",
        "[0-9]{1,21}",
        Just(" ".to_owned()),
        Just("\n".to_owned()),
        Just(":".to_owned()),
        Just("\\040".to_owned()),
        ".{0,3}",
    ];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.concat().into_bytes())
}

proptest! {
    #[test]
    fn no_bytes_panic(input in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzzing::cgroup_files(&input);
        fuzzing::machine_files(&input);
    }

    #[test]
    fn no_kernel_like_text_panics(input in kernel_like()) {
        fuzzing::cgroup_files(&input);
        fuzzing::machine_files(&input);
    }

    #[test]
    fn values_are_read_as_written(n in any::<u64>()) {
        prop_assert_eq!(value(format!("{n}\n").as_bytes()), Ok(n));
        let text = format!("0 {n}\n");
        prop_assert_eq!(per_cpu_nsec(text.as_bytes()), Ok(vec![0, n]));
        let text = format!("oom_kill {n}\nnew_key 1\n");
        prop_assert_eq!(keyed(text.as_bytes()).map(|events: MemoryEvents| events.oom_kill), Ok(Some(n)));
    }
}
