//! File systems of the node (`statfs`, `/proc/diskstats`), and what containers write.
//!
//! cAdvisor gives a container the counters of the host's disk that it lies on; here only the root has them. cAdvisor's
//! times are 10^6 too small, because it takes milliseconds for nanoseconds.

use std::time::Duration;

use super::metric::LabelValue::Text;
use super::metric::{Emit, Metric, Value};
use crate::model::{DiskStats, FilesystemStats, MetricSet};
use crate::snapshot::CgroupSample;

metrics! { Some(MetricSet::DiskIo), labels &["device"];
    gauge "container_fs_limit_bytes", "Size of the file system, in bytes.",
        set Some(MetricSet::Disk), both "statfs f_blocks; of a container: of what its writable layer is on",
        many |s, _, emit| each(s, emit, |f| f.limit_bytes.map(Value::Count));
    gauge "container_fs_usage_bytes", "Bytes used of the file system; of a container by its layer and logs.",
        set Some(MetricSet::Disk), both "statfs f_blocks - f_bfree; of a container: project quota, else a walk",
        many |s, _, emit| each(s, emit, |f| f.usage_bytes.map(Value::Count));
    gauge "container_fs_inodes_total", "Inodes of the file system; of a container those that it uses.",
        set Some(MetricSet::Disk), both "statfs f_files; of a container: project quota, else a walk",
        many |s, _, emit| each(s, emit, |f| f.inodes_total.map(Value::Count));
    gauge "container_fs_inodes_free", "Free inodes of the file system.",
        set Some(MetricSet::Disk), both "statfs f_ffree",
        many |s, _, emit| each(s, emit, |f| f.inodes_free.map(Value::Count));
    gauge "cgtap_container_fs_writable_bytes", "Bytes used by the container's writable layer.",
        set Some(MetricSet::Disk), both "project quota, else a walk",
        many |s, _, emit| each(s, emit, |f| Some(Value::Count(f.written.as_ref()?.writable_bytes)));
    gauge "cgtap_container_fs_logs_bytes", "Bytes used by the container's logs.",
        set Some(MetricSet::Disk), both "a walk of the log's directory",
        many |s, _, emit| each(s, emit, |f| Some(Value::Count(f.written.as_ref()?.logs_bytes)));
    gauge "cgtap_container_fs_usage_age_seconds", "Time since the container's usage was last looked at.",
        set Some(MetricSet::Disk), both "the reading",
        many |s, _, emit| each(s, emit, |f| Some(nanoseconds(f.written.as_ref()?.age)));
    counter "container_fs_reads_merged_total", "Cumulative count of reads merged.",
        both "/proc/diskstats column 5", many |s, _, emit| disks(s, emit, |d| Value::Count(d.reads_merged));
    counter "container_fs_writes_merged_total", "Cumulative count of writes merged.",
        both "/proc/diskstats column 9", many |s, _, emit| disks(s, emit, |d| Value::Count(d.writes_merged));
    counter "container_fs_sector_reads_total", "Cumulative count of sectors read, of 512 bytes.",
        both "/proc/diskstats column 6", many |s, _, emit| disks(s, emit, |d| Value::Count(d.sectors_read));
    counter "container_fs_sector_writes_total", "Cumulative count of sectors written, of 512 bytes.",
        both "/proc/diskstats column 10", many |s, _, emit| disks(s, emit, |d| Value::Count(d.sectors_written));
    counter "container_fs_read_seconds_total", "Cumulative time of all reads, in seconds.",
        both "/proc/diskstats column 7", many |s, _, emit| disks(s, emit, |d| milliseconds(d.read_msec));
    counter "container_fs_write_seconds_total", "Cumulative time of all writes, in seconds.",
        both "/proc/diskstats column 11", many |s, _, emit| disks(s, emit, |d| milliseconds(d.write_msec));
    gauge "container_fs_io_current", "Transfers under way.",
        both "/proc/diskstats column 12", many |s, _, emit| disks(s, emit, |d| Value::Count(d.in_progress));
    counter "container_fs_io_time_seconds_total", "Cumulative time with transfers under way, in seconds.",
        both "/proc/diskstats column 13", many |s, _, emit| disks(s, emit, |d| milliseconds(d.busy_msec));
    counter "container_fs_io_time_weighted_seconds_total",
        "Cumulative time with transfers under way times their number, in seconds.", both "/proc/diskstats column 14",
        many |s, _, emit| disks(s, emit, |d| milliseconds(d.weighted_msec));
}

fn each(sample: &CgroupSample, emit: &mut Emit<'_>, value: fn(&FilesystemStats) -> Option<Value>) {
    for filesystem in sample.stats.filesystems.as_deref().unwrap_or_default() {
        if let Some(value) = value(filesystem) {
            emit(&[("device", Text(&filesystem.device))], value);
        }
    }
}

fn disks(sample: &CgroupSample, emit: &mut Emit<'_>, value: fn(&DiskStats) -> Value) {
    let filesystems = sample.stats.filesystems.as_deref().unwrap_or_default();
    for disk in filesystems.iter().filter_map(|filesystem| filesystem.disk.as_ref()) {
        emit(&[("device", Text(&disk.name))], value(disk));
    }
}

fn milliseconds(value: u64) -> Value {
    Value::Microseconds(value.saturating_mul(1_000))
}

fn nanoseconds(value: Duration) -> Value {
    Value::Nanoseconds(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX))
}
