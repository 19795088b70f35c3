//! Whole files of both versions, and the rules of `total_`.

use super::*;

const V1: &[u8] = include_bytes!("../fixtures/memory.stat.v1");
const V2: &[u8] = include_bytes!("../fixtures/memory.stat.v2");

#[test]
fn a_whole_v2_file() {
    let wanted = MemoryStat {
        anon_bytes: Some(8_052_736),
        file_bytes: Some(517_185_536),
        file_mapped_bytes: Some(11_128_832),
        file_dirty_bytes: Some(18_538_496),
        file_writeback_bytes: Some(135_168),
        shmem_bytes: Some(9_084_928),
        active_file_bytes: Some(183_603_200),
        inactive_file_bytes: Some(324_497_408),
        pgfault: Some(12_525_927),
        pgmajfault: Some(1613),
        hierarchical_pgfault: Some(12_525_927),
        hierarchical_pgmajfault: Some(1613),
        pgscan: Some(70_001),
        pgsteal: Some(60_001),
        workingset_refault_file: Some(556_367),
        workingset_refault_anon: Some(17),
        kernel_bytes: Some(4_935_680),
        swap_bytes: None,
    };
    assert_eq!(memory_stat_v2(V2, false), Ok(MemoryStatFile { stat: wanted, ..Default::default() }));
}

/// The number of `key` in the fixture, found another way than the parser's.
fn printed(key: &str) -> Option<u64> {
    let text = std::str::from_utf8(V1).unwrap();
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
        .map(|value| value.parse().unwrap())
}

#[test]
fn a_whole_v1_file_gives_the_totals() {
    let stat = memory_stat_v1(V1, false).unwrap().stat;
    assert_eq!(stat.file_bytes, printed("total_cache"));
    assert_eq!(stat.anon_bytes, printed("total_rss"));
    assert_eq!(stat.file_mapped_bytes, printed("total_mapped_file"));
    assert_eq!(stat.inactive_file_bytes, printed("total_inactive_file"));
    assert_eq!(stat.active_file_bytes, printed("total_active_file"));
    assert_eq!(stat.file_dirty_bytes, printed("total_dirty"));
    assert_eq!(stat.file_writeback_bytes, printed("total_writeback"));
    assert_eq!(stat.shmem_bytes, printed("total_shmem"));
    assert_eq!(stat.swap_bytes, printed("total_swap"));
    assert_eq!(stat.workingset_refault_file, printed("total_workingset_refault_file"));
    assert_eq!(stat.workingset_refault_anon, printed("total_workingset_refault_anon"));
    assert!(
        stat.file_bytes.is_some() && printed("total_cache") != printed("cache"),
        "they differ in the fixture"
    );
}

#[test]
fn faults_of_v1_are_kept_apart_by_scope() {
    let stat = memory_stat_v1(V1, false).unwrap().stat;
    assert_eq!(stat.pgfault, printed("pgfault"));
    assert_eq!(stat.hierarchical_pgfault, printed("total_pgfault"));
    assert_eq!(stat.pgmajfault, printed("pgmajfault"));
    assert_eq!(stat.hierarchical_pgmajfault, printed("total_pgmajfault"));
    assert_ne!(stat.pgfault, stat.hierarchical_pgfault);
}

#[test]
fn without_totals_the_plain_key_counts() {
    let stat = memory_stat_v1(b"cache 5\nrss 6\npgfault 7\n", false).unwrap().stat;
    assert_eq!((stat.file_bytes, stat.anon_bytes, stat.pgfault), (Some(5), Some(6), Some(7)));
    assert_eq!(stat.hierarchical_pgfault, None);
}

#[test]
fn a_total_wins_in_any_order() {
    assert_eq!(memory_stat_v1(b"total_cache 9\ncache 5\n", false).unwrap().stat.file_bytes, Some(9));
    assert_eq!(memory_stat_v1(b"cache 5\ntotal_cache 9\n", false).unwrap().stat.file_bytes, Some(9));
}

#[test]
fn unknown_keys_are_skipped_and_garbage_is_refused() {
    assert_eq!(memory_stat_v2(b"new_key later maybe\nanon 1\n", false).unwrap().stat.anon_bytes, Some(1));
    for refused in [&b""[..], b"anon\n", b"anon x\n", b"anon -1\n"] {
        assert!(memory_stat_v2(refused, false).is_err(), "{refused:?}");
    }
    for refused in [&b""[..], b"cache\n", b"total_cache x\n", b"rss x\n"] {
        assert!(memory_stat_v1(refused, false).is_err(), "{refused:?}");
    }
}

#[test]
fn further_lines_of_v2_are_as_they_stand() {
    let text = b"anon 1\nshmem 3\nslab 7\nsock 8\nzswpwb 9\nworkingset_nodereclaim 2\n";
    let file = memory_stat_v2(text, true).unwrap();
    let found = file.detail.unwrap();
    assert_eq!((found.slab_bytes, found.sock_bytes, found.zswpwb), (Some(7), Some(8), Some(9)));
    assert_eq!((found.workingset_nodereclaim, found.vmalloc_bytes), (Some(2), None));
    assert_eq!((file.stat.anon_bytes, file.stat.shmem_bytes, found.shmem_bytes), (Some(1), Some(3), Some(3)));
    assert_eq!(memory_stat_v2(b"slab x\n", false).unwrap().detail, None, "not asked for");
    for refused in [&b""[..], b"slab\n", b"slab x\n"] {
        assert!(memory_stat_v2(refused, true).is_err(), "{refused:?}");
    }
}

#[test]
fn further_lines_of_v1_are_those_with_all_below() {
    let text = b"unevictable 1\ntotal_unevictable 5\ntotal_rss_huge 6\ntotal_active_anon 7\n";
    let found = memory_stat_v1(text, true).unwrap().detail.unwrap();
    let read = (found.unevictable_bytes, found.anon_thp_bytes, found.active_anon_bytes);
    assert_eq!(read, (Some(5), Some(6), Some(7)));
    assert!(memory_stat_v1(b"total_unevictable -1\n", true).is_err());
}

#[test]
fn a_limit_above_a_v1_cgroup_says_nothing_of_its_own() {
    let limits = |text: &[u8]| {
        let file = memory_stat_v1(text, false).unwrap();
        (file.limit, file.memory_and_swap_limit)
    };
    let none =
        b"hierarchical_memory_limit 9223372036854771712\nhierarchical_memsw_limit 9223372036854771712\n";
    assert_eq!(limits(none), (Some(Limit::Max), Some(Limit::Max)));
    assert_eq!(limits(b"hierarchical_memory_limit 300\nhierarchical_memsw_limit x\n"), (None, None));
}
