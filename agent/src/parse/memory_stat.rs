//! `memory.stat` of v1 and v2: what a cgroup's memory is used for.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files>,
//! <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html#stat-file>
//!
//! ```text
//! v2:                      v1:
//! anon 8052736             cache 9338880
//! file 517185536           rss 8052736
//! kernel 4935680           pgfault 41890
//! inactive_file 324497408  hierarchical_memory_limit 9223372036854771712
//! pgfault 12525927         total_cache 517185536
//! pgscan 0                 total_pgfault 12525927
//! ```
//! Bytes; the `pg` and `workingset` lines are counts. All of v2 is hierarchical. v1 prints each key for the cgroup
//! alone, and again with `total_` for the cgroup and all below it; the latter is used, the former where there is no
//! such line (`memory.use_hierarchy` off). `kernel` came in 5.18.
//!
//! Some 40 to 80 lines for each cgroup and scrape, so a key is told by its length before it is compared.

use super::ParseError;
use super::pairs::each_pair;
use crate::model::MemoryStat;

/// `memory.stat` of v2.
///
/// # Errors
/// When a line is no key and value, a wanted value no number, or the text is empty.
pub fn memory_stat_v2(input: &[u8]) -> Result<MemoryStat, ParseError> {
    let mut stat = MemoryStat::default();
    each_pair(input, |pair| {
        if let Some(field) = field_v2(&mut stat, pair.key) {
            *field = Some(pair.number()?);
        }
        Ok(())
    })?;
    stat.hierarchical_pgfault = stat.pgfault;
    stat.hierarchical_pgmajfault = stat.pgmajfault;
    Ok(stat)
}

/// `memory.stat` of v1, hierarchical where the kernel prints both.
///
/// # Errors
/// When a line is no key and value, a wanted value no number, or the text is empty.
pub fn memory_stat_v1(input: &[u8]) -> Result<MemoryStat, ParseError> {
    let mut stat = MemoryStat::default();
    each_pair(input, |pair| {
        if let Some(key) = pair.key.strip_prefix(b"total_") {
            if let Some(field) = total_field_v1(&mut stat, key) {
                *field = Some(pair.number()?);
            }
        } else if let Some(field) = own_field_v1(&mut stat, pair.key) {
            let own = pair.number()?;
            field.get_or_insert(own);
        }
        Ok(())
    })?;
    Ok(stat)
}

fn field_v2<'a>(stat: &'a mut MemoryStat, key: &[u8]) -> Option<&'a mut Option<u64>> {
    let field = match key.len() {
        4 => match key {
            b"anon" => &mut stat.anon_bytes,
            b"file" => &mut stat.file_bytes,
            _ => return None,
        },
        5 if key == b"shmem" => &mut stat.shmem_bytes,
        6 => match key {
            b"kernel" => &mut stat.kernel_bytes,
            b"pgscan" => &mut stat.pgscan,
            _ => return None,
        },
        7 => match key {
            b"pgfault" => &mut stat.pgfault,
            b"pgsteal" => &mut stat.pgsteal,
            _ => return None,
        },
        10 => match key {
            b"file_dirty" => &mut stat.file_dirty_bytes,
            b"pgmajfault" => &mut stat.pgmajfault,
            _ => return None,
        },
        11 => match key {
            b"file_mapped" => &mut stat.file_mapped_bytes,
            b"active_file" => &mut stat.active_file_bytes,
            _ => return None,
        },
        13 if key == b"inactive_file" => &mut stat.inactive_file_bytes,
        14 if key == b"file_writeback" => &mut stat.file_writeback_bytes,
        23 => match key {
            b"workingset_refault_anon" => &mut stat.workingset_refault_anon,
            b"workingset_refault_file" => &mut stat.workingset_refault_file,
            _ => return None,
        },
        _ => return None,
    };
    Some(field)
}

/// The field of a `total_` key, given without that prefix.
fn total_field_v1<'a>(stat: &'a mut MemoryStat, key: &[u8]) -> Option<&'a mut Option<u64>> {
    match key {
        b"pgfault" => Some(&mut stat.hierarchical_pgfault),
        b"pgmajfault" => Some(&mut stat.hierarchical_pgmajfault),
        _ => shared_field_v1(stat, key),
    }
}

/// The field of a key without `total_`.
fn own_field_v1<'a>(stat: &'a mut MemoryStat, key: &[u8]) -> Option<&'a mut Option<u64>> {
    match key {
        b"pgfault" => Some(&mut stat.pgfault),
        b"pgmajfault" => Some(&mut stat.pgmajfault),
        _ => shared_field_v1(stat, key),
    }
}

fn shared_field_v1<'a>(stat: &'a mut MemoryStat, key: &[u8]) -> Option<&'a mut Option<u64>> {
    let field = match key.len() {
        3 if key == b"rss" => &mut stat.anon_bytes,
        4 if key == b"swap" => &mut stat.swap_bytes,
        5 => match key {
            b"cache" => &mut stat.file_bytes,
            b"shmem" => &mut stat.shmem_bytes,
            b"dirty" => &mut stat.file_dirty_bytes,
            _ => return None,
        },
        9 if key == b"writeback" => &mut stat.file_writeback_bytes,
        11 => match key {
            b"mapped_file" => &mut stat.file_mapped_bytes,
            b"active_file" => &mut stat.active_file_bytes,
            _ => return None,
        },
        13 if key == b"inactive_file" => &mut stat.inactive_file_bytes,
        23 => match key {
            b"workingset_refault_anon" => &mut stat.workingset_refault_anon,
            b"workingset_refault_file" => &mut stat.workingset_refault_file,
            _ => return None,
        },
        _ => return None,
    };
    Some(field)
}

#[cfg(test)]
mod tests;
