//! The lines of `memory.stat` beyond those that cAdvisor shows.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files>
//!
//! ```text
//! kernel_stack 180224
//! slab 4935680
//! zswapped 0
//! workingset_restore_file 0
//! ```
//! Bytes; the `workingset`, `zsw` and `pg` lines are counts. v1 prints a few of them, `total_` being those with all
//! below it.

use super::ParseError;
use super::pairs::each_pair;
use crate::model::MemoryDetail;

/// The further lines of `memory.stat` of v2.
///
/// # Errors
/// When a line is no key and value, a wanted value no number, or the text is empty.
pub fn memory_detail_v2(input: &[u8]) -> Result<MemoryDetail, ParseError> {
    let mut detail = MemoryDetail::default();
    each_pair(input, |pair| {
        if let Some(field) = field(&mut detail, pair.key) {
            *field = Some(pair.number()?);
        }
        Ok(())
    })?;
    Ok(detail)
}

/// The further lines of `memory.stat` of v1: those with `total_` alone.
///
/// # Errors
/// When a line is no key and value, a wanted value no number, or the text is empty.
pub fn memory_detail_v1(input: &[u8]) -> Result<MemoryDetail, ParseError> {
    let mut detail = MemoryDetail::default();
    each_pair(input, |pair| {
        let Some(key) = pair.key.strip_prefix(b"total_") else { return Ok(()) };
        let key = if key == b"rss_huge" { b"anon_thp" } else { key };
        if let Some(field) = field(&mut detail, key) {
            *field = Some(pair.number()?);
        }
        Ok(())
    })?;
    Ok(detail)
}

fn field<'a>(detail: &'a mut MemoryDetail, key: &[u8]) -> Option<&'a mut Option<u64>> {
    let field = match key {
        b"kernel_stack" => &mut detail.kernel_stack_bytes,
        b"pagetables" => &mut detail.pagetables_bytes,
        b"percpu" => &mut detail.percpu_bytes,
        b"sock" => &mut detail.sock_bytes,
        b"vmalloc" => &mut detail.vmalloc_bytes,
        b"shmem" => &mut detail.shmem_bytes,
        b"slab" => &mut detail.slab_bytes,
        b"slab_reclaimable" => &mut detail.slab_reclaimable_bytes,
        b"slab_unreclaimable" => &mut detail.slab_unreclaimable_bytes,
        b"zswap" => &mut detail.zswap_bytes,
        b"zswapped" => &mut detail.zswapped_bytes,
        b"swapcached" => &mut detail.swapcached_bytes,
        b"anon_thp" => &mut detail.anon_thp_bytes,
        b"file_thp" => &mut detail.file_thp_bytes,
        b"active_anon" => &mut detail.active_anon_bytes,
        b"inactive_anon" => &mut detail.inactive_anon_bytes,
        b"unevictable" => &mut detail.unevictable_bytes,
        b"workingset_activate_anon" => &mut detail.workingset_activate_anon,
        b"workingset_activate_file" => &mut detail.workingset_activate_file,
        b"workingset_restore_anon" => &mut detail.workingset_restore_anon,
        b"workingset_restore_file" => &mut detail.workingset_restore_file,
        b"workingset_nodereclaim" => &mut detail.workingset_nodereclaim,
        b"zswpin" => &mut detail.zswpin,
        b"zswpout" => &mut detail.zswpout,
        b"zswpwb" => &mut detail.zswpwb,
        _ => return None,
    };
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v2_lines_are_as_they_stand() {
        let found =
            memory_detail_v2(b"anon 1\nslab 7\nsock 8\nzswpwb 9\nworkingset_nodereclaim 2\n").unwrap();
        assert_eq!((found.slab_bytes, found.sock_bytes, found.zswpwb), (Some(7), Some(8), Some(9)));
        assert_eq!((found.workingset_nodereclaim, found.vmalloc_bytes), (Some(2), None));
    }

    #[test]
    fn v1_lines_are_those_with_all_below() {
        let text = b"unevictable 1\ntotal_unevictable 5\ntotal_rss_huge 6\ntotal_active_anon 7\n";
        let found = memory_detail_v1(text).unwrap();
        let told = (found.unevictable_bytes, found.anon_thp_bytes, found.active_anon_bytes);
        assert_eq!(told, (Some(5), Some(6), Some(7)));
    }

    #[test]
    fn garbage_is_refused() {
        for refused in [&b""[..], b"slab\n", b"slab x\n"] {
            assert!(memory_detail_v2(refused).is_err(), "{refused:?}");
        }
        assert!(memory_detail_v1(b"total_unevictable -1\n").is_err());
    }
}
