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
use super::keyed::keys;
use super::scan::{device_number, lines};

/// One device of a blkio file, in the file's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlkioDevice {
    pub major: u32,
    pub minor: u32,
    pub read: Option<u64>,
    pub write: Option<u64>,
    pub sync: Option<u64>,
    pub r#async: Option<u64>,
    pub discard: Option<u64>,
    pub total: Option<u64>,
}

/// A blkio file with one line per device and operation. An operation that is not known is skipped.
pub fn blkio(input: &[u8]) -> Result<Vec<BlkioDevice>, ParseError> {
    const WANTED: &str = "a device number, an operation and a decimal number";
    let mut devices: Vec<BlkioDevice> = Vec::new();
    for line in lines(input) {
        let mut words = line.words();
        let (device, operation, value) = match (words.next(), words.next(), words.next(), words.next()) {
            (Some(b"Total"), Some(_), None, None) => continue,
            (Some(device), Some(operation), Some(value), None) => (device, operation, value),
            _ => return Err(line.refused(WANTED)),
        };
        let number = device_number(device).ok_or_else(|| line.refused(WANTED))?;
        let value = line.number(value, WANTED)?;
        if let Some(device) = device_of(&mut devices, number)
            && let Some((field, _)) = field_of(device, operation)
        {
            *field = Some(value);
        }
    }
    Ok(devices)
}

/// The device of that number, added when it is new. The kernel prints a device's lines one after another.
fn device_of(devices: &mut Vec<BlkioDevice>, (major, minor): (u32, u32)) -> Option<&mut BlkioDevice> {
    if devices.last().is_none_or(|last| (last.major, last.minor) != (major, minor)) {
        devices.push(BlkioDevice { major, minor, ..BlkioDevice::default() });
    }
    devices.last_mut()
}

keys!(field_of: BlkioDevice {
    b"Read" => read,
    b"Write" => write,
    b"Sync" => sync,
    b"Async" => r#async,
    b"Discard" => discard,
    b"Total" => total,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_devices_and_the_sum() {
        let devices = blkio(
            b"8:0 Read 1\n8:0 Write 2\n8:0 Sync 3\n8:0 Async 4\n8:0 Discard 5\n8:0 Total 6\n\
              253:7 Read 9\n253:7 Total 9\nTotal 15\n",
        )
        .unwrap();
        let first = BlkioDevice {
            major: 8,
            minor: 0,
            read: Some(1),
            write: Some(2),
            sync: Some(3),
            r#async: Some(4),
            discard: Some(5),
            total: Some(6),
        };
        let second =
            BlkioDevice { major: 253, minor: 7, read: Some(9), total: Some(9), ..Default::default() };
        assert_eq!(devices, [first, second]);
    }

    #[test]
    fn no_transfers() {
        assert_eq!(blkio(b"Total 0\n"), Ok(vec![]));
        assert_eq!(blkio(b""), Ok(vec![]));
    }

    #[test]
    fn garbage_is_refused() {
        for refused in [&b"8:0 Read\n"[..], b"8:0 Read x\n", b"sda Read 1\n", b"8:0 Read 1 2\n", b"Total\n"] {
            assert!(blkio(refused).is_err(), "{refused:?}");
        }
    }
}
