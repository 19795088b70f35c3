//! Transfers by block device: `blkio.throttle.*` (or the scheduler's files) on v1, `io.stat` on v2.
//!
//! cAdvisor adds the host's `/proc/diskstats` of the device behind a container's file system to some of these names;
//! here every number is the cgroup's own.

use super::metric::LabelValue::{Number, Text};
use super::metric::{Emit, Label, LabelValue, Metric, Value};
use crate::model::{IoDeviceStats, MetricSet};
use crate::snapshot::CgroupSample;

metrics! { Some(MetricSet::DiskIo), labels &["device"];
    counter "container_fs_reads_bytes_total", "Cumulative count of bytes read.",
        v1 "blkio io_service_bytes Read", v2 "io.stat rbytes", many |s, _, emit| counts(s, emit, |d| d.read_bytes);
    counter "container_fs_writes_bytes_total", "Cumulative count of bytes written.",
        v1 "blkio io_service_bytes Write", v2 "io.stat wbytes", many |s, _, emit| counts(s, emit, |d| d.write_bytes);
    counter "container_fs_reads_total", "Cumulative count of reads completed.",
        v1 "blkio io_serviced Read", v2 "io.stat rios", many |s, _, emit| counts(s, emit, |d| d.reads);
    counter "container_fs_writes_total", "Cumulative count of writes completed.",
        v1 "blkio io_serviced Write", v2 "io.stat wios", many |s, _, emit| counts(s, emit, |d| d.writes);
    counter "container_fs_io_cost_usage_seconds_total", "Cumulative device time charged by iocost, in seconds.",
        v2 "io.stat cost.usage", many |s, _, emit| by_device(s, emit, |d| d.cost_usage_usec.map(Value::Microseconds));
    counter "container_fs_io_cost_wait_seconds_total", "Cumulative time spent waiting for iocost, in seconds.",
        v2 "io.stat cost.wait", many |s, _, emit| by_device(s, emit, |d| d.cost_wait_usec.map(Value::Microseconds));
    counter "container_fs_io_cost_indebt_seconds_total", "Cumulative time spent in iocost debt, in seconds.",
        v2 "io.stat cost.indebt",
        many |s, _, emit| by_device(s, emit, |d| d.cost_indebt_usec.map(Value::Microseconds));
    counter "container_fs_io_cost_indelay_seconds_total", "Cumulative time delayed for iocost debt, in seconds.",
        v2 "io.stat cost.indelay",
        many |s, _, emit| by_device(s, emit, |d| d.cost_indelay_usec.map(Value::Microseconds));
    counter "container_blkio_device_usage_total", "Bytes transferred, by block device and operation.",
        v1 "blkio io_service_bytes, every operation", v2 "io.stat rbytes, wbytes, dbytes as Read, Write, Discard",
        labels &["device", "major", "minor", "operation"], many |s, _, emit| operations(s, emit);
}

fn devices(sample: &CgroupSample) -> &[IoDeviceStats] {
    sample.stats.io.as_deref().unwrap_or_default()
}

/// A device without a name gets its numbers, so that two such devices stay two series.
fn device_label(device: &IoDeviceStats) -> Label<'_> {
    let value = match device.device.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => Text(name),
        None => LabelValue::Device(device.major, device.minor),
    };
    ("device", value)
}

pub(super) fn counts(sample: &CgroupSample, emit: &mut Emit<'_>, pick: fn(&IoDeviceStats) -> Option<u64>) {
    by_device(sample, emit, |device| pick(device).map(Value::Count));
}

fn by_device(sample: &CgroupSample, emit: &mut Emit<'_>, value: impl Fn(&IoDeviceStats) -> Option<Value>) {
    for device in devices(sample) {
        if let Some(value) = value(device) {
            emit(&[device_label(device)], value);
        }
    }
}

fn operations(sample: &CgroupSample, emit: &mut Emit<'_>) {
    for device in devices(sample) {
        for (operation, bytes) in [
            ("Read", device.read_bytes),
            ("Write", device.write_bytes),
            ("Sync", device.sync_bytes),
            ("Async", device.async_bytes),
            ("Discard", device.discard_bytes),
            ("Total", device.total_bytes),
        ] {
            let Some(bytes) = bytes else { continue };
            let labels = [
                device_label(device),
                ("major", Number(device.major)),
                ("minor", Number(device.minor)),
                ("operation", Text(operation)),
            ];
            emit(&labels, Value::Count(bytes));
        }
    }
}
