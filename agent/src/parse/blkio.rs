//! `blkio.*.io_service_bytes` and `blkio.*.io_serviced` (v1), plain and `_recursive`.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html>
//!
//! ```text
//! 8:0 Read 90430464
//! 8:0 Write 299008000
//! 8:0 Sync 90430464
//! 8:0 Async 299008000
//! 8:0 Discard 0
//! 8:0 Total 389438464
//! Total 389438464
//! ```
//! Bytes or requests. The last line is the sum of all devices and is not kept.

use super::ParseError;
use super::keyed::{Field, keys};
use super::scan::{device_number, lines};
use crate::model::IoDeviceStats;

const WANTED: &str = "a device number, an operation and a decimal number";

/// A file that counts bytes.
pub fn blkio_bytes(input: &[u8]) -> Result<Vec<IoDeviceStats>, ParseError> {
    keys!(field_of: IoDeviceStats {
        b"Read" => read_bytes,
        b"Write" => write_bytes,
        b"Sync" => sync_bytes,
        b"Async" => async_bytes,
        b"Discard" => discard_bytes,
        b"Total" => total_bytes,
    });
    blkio(input, field_of)
}

/// A file that counts requests.
pub fn blkio_requests(input: &[u8]) -> Result<Vec<IoDeviceStats>, ParseError> {
    keys!(field_of: IoDeviceStats { b"Read" => reads, b"Write" => writes, b"Discard" => discards });
    blkio(input, field_of)
}

/// One line per device and operation. An operation without a field is skipped.
fn blkio(
    input: &[u8],
    field_of: impl for<'a> Fn(&'a mut IoDeviceStats, &[u8]) -> Option<Field<'a>>,
) -> Result<Vec<IoDeviceStats>, ParseError> {
    let mut devices: Vec<IoDeviceStats> = Vec::new();
    for line in lines(input) {
        let mut words = line.words();
        let (device, operation, value) = match (words.next(), words.next(), words.next(), words.next()) {
            (Some(b"Total"), Some(_), None, None) => continue,
            (Some(device), Some(operation), Some(value), None) => (device, operation, value),
            _ => return Err(line.refused(WANTED)),
        };
        let (major, minor) = device_number(device).ok_or_else(|| line.refused(WANTED))?;
        let value = line.number(value, WANTED)?;
        // The kernel prints a device's lines one after another.
        if devices.last().is_none_or(|last| (last.major, last.minor) != (major, minor)) {
            devices.push(IoDeviceStats { major, minor, ..IoDeviceStats::default() });
        }
        if let Some((field, _)) = devices.last_mut().and_then(|device| field_of(device, operation)) {
            *field = Some(value);
        }
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_devices_and_the_sum() {
        let devices = blkio_bytes(
            b"8:0 Read 1\n8:0 Write 2\n8:0 Sync 3\n8:0 Async 4\n8:0 Discard 5\n8:0 Total 6\n\
              253:7 Read 9\n253:7 Total 9\nTotal 15\n",
        )
        .unwrap();
        let first = IoDeviceStats {
            major: 8,
            minor: 0,
            read_bytes: Some(1),
            write_bytes: Some(2),
            sync_bytes: Some(3),
            async_bytes: Some(4),
            discard_bytes: Some(5),
            total_bytes: Some(6),
            ..IoDeviceStats::default()
        };
        let second = IoDeviceStats {
            major: 253,
            minor: 7,
            read_bytes: Some(9),
            total_bytes: Some(9),
            ..Default::default()
        };
        assert_eq!(devices, [first, second]);
    }

    #[test]
    fn no_transfers() {
        assert_eq!(blkio_bytes(b"Total 0\n"), Ok(vec![]));
        assert_eq!(blkio_bytes(b""), Ok(vec![]));
    }

    #[test]
    fn garbage_is_refused() {
        for refused in [&b"8:0 Read\n"[..], b"8:0 Read x\n", b"sda Read 1\n", b"8:0 Read 1 2\n", b"Total\n"] {
            assert!(blkio_bytes(refused).is_err(), "{refused:?}");
        }
    }
}
