//! What a cgroup's memory is used for, beyond what cAdvisor shows.
//!
//! Source: `memory.stat`, <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files>. With all below
//! the cgroup, on v1 (where these are `rss_huge`, `shmem`, `swapcached`, `active_anon`, `inactive_anon` and `unevictable`)
//! as on v2.

/// Further lines of `memory.stat`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryDetail {
    /// `kernel_stack`.
    pub kernel_stack_bytes: Option<u64>,
    /// `pagetables`.
    pub pagetables_bytes: Option<u64>,
    /// `percpu`: the kernel's structures for each processor.
    pub percpu_bytes: Option<u64>,
    /// `sock`: network buffers.
    pub sock_bytes: Option<u64>,
    /// `vmalloc`.
    pub vmalloc_bytes: Option<u64>,
    /// `shmem`: tmpfs and shared anonymous memory.
    pub shmem_bytes: Option<u64>,
    /// `slab`.
    pub slab_bytes: Option<u64>,
    /// `slab_reclaimable`.
    pub slab_reclaimable_bytes: Option<u64>,
    /// `slab_unreclaimable`.
    pub slab_unreclaimable_bytes: Option<u64>,
    /// `zswap`: what the compressed pages take.
    pub zswap_bytes: Option<u64>,
    /// `zswapped`: what they hold.
    pub zswapped_bytes: Option<u64>,
    /// `swapcached`.
    pub swapcached_bytes: Option<u64>,
    /// `anon_thp`; v1 `rss_huge`.
    pub anon_thp_bytes: Option<u64>,
    /// `file_thp`.
    pub file_thp_bytes: Option<u64>,
    /// `active_anon`.
    pub active_anon_bytes: Option<u64>,
    /// `inactive_anon`.
    pub inactive_anon_bytes: Option<u64>,
    /// `unevictable`.
    pub unevictable_bytes: Option<u64>,
    /// `workingset_activate_anon`: refaulted pages that were made active at once.
    pub workingset_activate_anon: Option<u64>,
    /// `workingset_activate_file`.
    pub workingset_activate_file: Option<u64>,
    /// `workingset_restore_anon`: refaulted pages that had been active when they were reclaimed.
    pub workingset_restore_anon: Option<u64>,
    /// `workingset_restore_file`.
    pub workingset_restore_file: Option<u64>,
    /// `workingset_nodereclaim`.
    pub workingset_nodereclaim: Option<u64>,
    /// `zswpin`: pages read back from zswap.
    pub zswpin: Option<u64>,
    /// `zswpout`: pages moved into zswap.
    pub zswpout: Option<u64>,
    /// `zswpwb`: pages written from zswap to swap.
    pub zswpwb: Option<u64>,
}
