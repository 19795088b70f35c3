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
//! such line (`memory.use_hierarchy` off). `kernel` came in 5.18. v1's `hierarchical_` lines give the lowest limit of the
//! cgroup and all above it: where that is no limit, the cgroup's own is none either.
//!
//! This file is 40 to 80 lines for each cgroup and scrape, so it is read in one pass, the further lines with it.

use super::keyed::{Pair, each_pair, keys};
use super::{ParseError, limit_v1};
use crate::model::{Keyed, Limit, MemoryDetail, MemoryStat};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct MemoryStatFile {
    pub stat: MemoryStat,
    /// The further lines, where they are asked for.
    pub detail: Option<Box<MemoryDetail>>,
    /// [`Limit::Max`] where neither the cgroup nor one above it has a memory limit (v1).
    pub limit: Option<Limit>,
    /// The same of memory and swap together (v1).
    pub memory_and_swap_limit: Option<Limit>,
}

pub fn memory_stat_v2(input: &[u8], with_detail: bool) -> Result<MemoryStatFile, ParseError> {
    let mut file = MemoryStatFile::new(with_detail);
    each_pair(input, |pair| match stat_v2(&mut file.stat, pair.key) {
        None => file.put_detail(&pair, pair.key),
        field => pair.put(field),
    })?;
    file.stat.hierarchical_pgfault = file.stat.pgfault;
    file.stat.hierarchical_pgmajfault = file.stat.pgmajfault;
    Ok(file.finished())
}

/// `memory.stat` of v1: the `total_` lines where the kernel prints both. The further lines are those with `total_` alone.
pub fn memory_stat_v1(input: &[u8], with_detail: bool) -> Result<MemoryStatFile, ParseError> {
    let mut file = MemoryStatFile::new(with_detail);
    each_pair(input, |pair| match pair.key.strip_prefix(b"total_") {
        Some(b"pgfault") => pair.put(Some((&mut file.stat.hierarchical_pgfault, 1))),
        Some(b"pgmajfault") => pair.put(Some((&mut file.stat.hierarchical_pgmajfault, 1))),
        Some(b"rss_huge") => file.put_detail(&pair, b"anon_thp"),
        Some(key) => match stat_v1(&mut file.stat, key) {
            None => file.put_detail(&pair, key),
            field => pair.put(field),
        },
        None => file.put_own_v1(&pair),
    })?;
    Ok(file.finished())
}

/// The lowest limit of a cgroup and all above it is another's where it is a number.
fn no_limit(lowest: &[u8]) -> Option<Limit> {
    limit_v1(lowest).ok().filter(|&lowest| lowest == Limit::Max)
}

impl MemoryStatFile {
    fn new(with_detail: bool) -> Self {
        Self { detail: with_detail.then(Box::default), ..Self::default() }
    }

    fn put_detail(&mut self, pair: &Pair<'_>, key: &[u8]) -> Result<(), ParseError> {
        let field = self.detail.as_mut().and_then(|detail| detail.field(key));
        pair.put(field.map(|field| (field, 1)))
    }

    /// A line of v1 without `total_`.
    fn put_own_v1(&mut self, pair: &Pair<'_>) -> Result<(), ParseError> {
        match pair.key {
            b"hierarchical_memory_limit" => self.limit = no_limit(pair.value),
            b"hierarchical_memsw_limit" => self.memory_and_swap_limit = no_limit(pair.value),
            b"pgfault" => self.stat.pgfault = Some(pair.number()?),
            b"pgmajfault" => self.stat.pgmajfault = Some(pair.number()?),
            key => {
                if let Some((field, _)) = stat_v1(&mut self.stat, key) {
                    let own = pair.number()?;
                    field.get_or_insert(own);
                }
            }
        }
        Ok(())
    }

    fn finished(mut self) -> Self {
        if let Some(detail) = &mut self.detail {
            detail.shmem_bytes = self.stat.shmem_bytes;
        }
        self
    }
}

keys!(stat_v2: MemoryStat {
    b"anon" => anon_bytes,
    b"file" => file_bytes,
    b"shmem" => shmem_bytes,
    b"kernel" => kernel_bytes,
    b"pgscan" => pgscan,
    b"pgfault" => pgfault,
    b"pgsteal" => pgsteal,
    b"file_dirty" => file_dirty_bytes,
    b"pgmajfault" => pgmajfault,
    b"file_mapped" => file_mapped_bytes,
    b"active_file" => active_file_bytes,
    b"inactive_file" => inactive_file_bytes,
    b"file_writeback" => file_writeback_bytes,
    b"workingset_refault_anon" => workingset_refault_anon,
    b"workingset_refault_file" => workingset_refault_file,
});

// The keys of v1, with `total_` and without.
keys!(stat_v1: MemoryStat {
    b"rss" => anon_bytes,
    b"swap" => swap_bytes,
    b"cache" => file_bytes,
    b"shmem" => shmem_bytes,
    b"dirty" => file_dirty_bytes,
    b"writeback" => file_writeback_bytes,
    b"mapped_file" => file_mapped_bytes,
    b"active_file" => active_file_bytes,
    b"inactive_file" => inactive_file_bytes,
    b"workingset_refault_anon" => workingset_refault_anon,
    b"workingset_refault_file" => workingset_refault_file,
});

#[cfg(test)]
mod tests;
