//! File systems: the node's, and what a container has written.

use std::time::Duration;

/// A file system of the node, or what a container uses of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesystemStats {
    /// What is mounted, as cAdvisor names it: `/dev/vda1`, a tmpfs's mount point, `overlay_0-42`.
    pub device: String,
    /// `statfs` `f_blocks`: the size of the file system.
    pub limit_bytes: Option<u64>,
    /// Of the node: size less free blocks. Of a container: its writable layer and its logs.
    pub usage_bytes: Option<u64>,
    /// Of the node: `statfs` `f_files`. Of a container: inodes that it uses, as in cAdvisor.
    pub inodes_total: Option<u64>,
    /// `statfs` `f_ffree`; of the node alone.
    pub inodes_free: Option<u64>,
    /// What a container has written; of containers alone.
    pub written: Option<WrittenStats>,
    /// Transfers of the disk below it; of the node alone.
    pub disk: Option<DiskStats>,
}

/// What a container has written, when that was last looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenStats {
    /// Blocks of its writable layer, by project quota or as `du` counts them.
    pub writable_bytes: u64,
    /// Blocks of its logs, as `du` counts them.
    pub logs_bytes: u64,
    /// Time from that look to the snapshot.
    pub age: Duration,
}

/// All transfers of one block device: a line of `/proc/diskstats`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskStats {
    pub major: u32,
    pub minor: u32,
    /// The kernel's name: in the file without, in a snapshot with `/dev/` in front.
    pub name: String,
    /// Reads completed.
    pub reads: u64,
    /// Reads that were merged with others before they were queued.
    pub reads_merged: u64,
    /// Sectors of 512 bytes.
    pub sectors_read: u64,
    /// Sum over all reads.
    pub read_msec: u64,
    /// Writes completed.
    pub writes: u64,
    /// Writes that were merged.
    pub writes_merged: u64,
    /// Sectors of 512 bytes.
    pub sectors_written: u64,
    /// Sum over all writes.
    pub write_msec: u64,
    pub in_progress: u64,
    /// Time with at least one transfer under way.
    pub busy_msec: u64,
    /// The same times the number of transfers.
    pub weighted_msec: u64,
}

/// What a project quota has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectUsage {
    /// Blocks, in bytes.
    pub bytes: u64,
    pub inodes: u64,
}
