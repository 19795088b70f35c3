//! What a cgroup's memory is used for, beyond what cAdvisor shows.
//!
//! Source: `memory.stat`, <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files>. With all below
//! the cgroup, on v1 (where these are `rss_huge`, `shmem`, `swapcached`, `active_anon`, `inactive_anon` and `unevictable`)
//! as on v2.

use super::keyed::keyed;

keyed! {
    /// Further lines of `memory.stat`, by their keys of v2. `shmem` is taken from the others.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct MemoryDetail {
        kernel_stack_bytes = b"kernel_stack",
        pagetables_bytes = b"pagetables",
        /// The kernel's structures for each processor.
        percpu_bytes = b"percpu",
        /// Network buffers.
        sock_bytes = b"sock",
        vmalloc_bytes = b"vmalloc",
        /// tmpfs and shared anonymous memory.
        shmem_bytes = b"shmem",
        slab_bytes = b"slab",
        slab_reclaimable_bytes = b"slab_reclaimable",
        slab_unreclaimable_bytes = b"slab_unreclaimable",
        /// Memory of the compressed pages.
        zswap_bytes = b"zswap",
        /// Memory that they hold.
        zswapped_bytes = b"zswapped",
        swapcached_bytes = b"swapcached",
        /// v1 `rss_huge`.
        anon_thp_bytes = b"anon_thp",
        file_thp_bytes = b"file_thp",
        active_anon_bytes = b"active_anon",
        inactive_anon_bytes = b"inactive_anon",
        unevictable_bytes = b"unevictable",
        /// Refaulted pages that were made active at once.
        workingset_activate_anon = b"workingset_activate_anon",
        workingset_activate_file = b"workingset_activate_file",
        /// Refaulted pages that had been active when they were reclaimed.
        workingset_restore_anon = b"workingset_restore_anon",
        workingset_restore_file = b"workingset_restore_file",
        workingset_nodereclaim = b"workingset_nodereclaim",
        /// Pages read back from zswap.
        zswpin = b"zswpin",
        /// Pages moved into zswap.
        zswpout = b"zswpout",
        /// Pages written from zswap to swap.
        zswpwb = b"zswpwb",
    }
}
