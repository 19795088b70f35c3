//! `io.stat` (v2): transfers of a cgroup and all below it, one line per block device.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files>
//!
//! ```text
//! 8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0
//! 8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=50331648 dios=3021 cost.usage=12
//! ```
//! Bytes and counts; the `cost.` keys are microseconds. No transfer yet: an empty file. Some kernels of 5.x put
//! a device that has no counters on the line of the next one (`8:0 8:16 rbytes=...`): it is left out.

use super::ParseError;
use super::keyed::keys;
use super::scan::{device_number, lines, split_once};
use crate::model::IoDeviceStats;

/// `io.stat`. A device without counters is left out.
pub fn io_stat(input: &[u8]) -> Result<Vec<IoDeviceStats>, ParseError> {
    let mut devices = Vec::new();
    for line in lines(input) {
        let mut device: Option<IoDeviceStats> = None;
        for word in line.words() {
            if let Some((key, value)) = split_once(word, b'=') {
                let device = device.as_mut().ok_or_else(|| line.refused("a device and its counters"))?;
                if let Some((field, _)) = field_of(device, key) {
                    *field = Some(line.number(value, "a decimal number after each key")?);
                }
            } else {
                let (major, minor) =
                    device_number(word).ok_or_else(|| line.refused("a device number or KEY=VALUE"))?;
                let next = IoDeviceStats { major, minor, ..IoDeviceStats::default() };
                devices.extend(device.replace(next).filter(has_counters));
            }
        }
        devices.extend(device.filter(has_counters));
    }
    Ok(devices)
}

keys!(field_of: IoDeviceStats {
    b"rbytes" => read_bytes,
    b"wbytes" => write_bytes,
    b"rios" => reads,
    b"wios" => writes,
    b"dbytes" => discard_bytes,
    b"dios" => discards,
    b"cost.usage" => cost_usage_usec,
    b"cost.wait" => cost_wait_usec,
    b"cost.indebt" => cost_indebt_usec,
    b"cost.indelay" => cost_indelay_usec,
});

fn has_counters(device: &IoDeviceStats) -> bool {
    *device != IoDeviceStats { major: device.major, minor: device.minor, ..IoDeviceStats::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_devices() {
        let devices = io_stat(
            b"8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n\
              259:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.vrate=100.00 cost.usage=7 cost.wait=8 \
              cost.indebt=9 cost.indelay=10\n",
        )
        .unwrap();
        assert_eq!(devices.len(), 2);
        assert_eq!((devices[0].major, devices[0].minor, devices[0].read_bytes), (8, 16, Some(1_459_200)));
        assert_eq!((devices[0].discard_bytes, devices[0].cost_usage_usec), (Some(0), None));
        let wanted = IoDeviceStats {
            major: 259,
            read_bytes: Some(1),
            write_bytes: Some(2),
            reads: Some(3),
            writes: Some(4),
            discard_bytes: Some(5),
            discards: Some(6),
            cost_usage_usec: Some(7),
            cost_wait_usec: Some(8),
            cost_indebt_usec: Some(9),
            cost_indelay_usec: Some(10),
            ..IoDeviceStats::default()
        };
        assert_eq!(devices[1], wanted);
    }

    #[test]
    fn no_transfers_is_an_empty_list() {
        assert_eq!(io_stat(b""), Ok(vec![]));
    }

    #[test]
    fn devices_without_counters_are_left_out() {
        let devices = io_stat(b"8:0 8:16 rbytes=5 wbytes=0\n8:32 \n").unwrap();
        assert_eq!(devices.len(), 1);
        assert_eq!((devices[0].minor, devices[0].read_bytes), (16, Some(5)));
    }

    #[test]
    fn garbage_is_refused() {
        for refused in [&b"rbytes=1\n"[..], b"8:0 rbytes=x\n", b"sda rbytes=1\n", b"8:0 what\n"] {
            assert!(io_stat(refused).is_err(), "{refused:?}");
        }
    }
}
