//! `/proc/diskstats`: transfers of every block device and partition since the machine started.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/iostats.html>
//!
//! ```text
//! 259       1 nvme0n1p1 11570 4603 2622370 22515 5377 30351 13925824 73186 0 9436 96988 3778 100 120256 1282
//! ```
//! Major, minor, name; reads, merged, sectors of 512 bytes, milliseconds; the same of writes; transfers under way,
//! milliseconds with any, weighted milliseconds. Later kernels add discards (4.18) and flushes (5.5).

use super::ParseError;
use super::scan::{Line, lines, text};
use crate::model::DiskStats;

const WANTED: &str = "a device and its eleven counters";

/// Every line of `/proc/diskstats`.
pub fn diskstats(input: &[u8]) -> Result<Vec<DiskStats>, ParseError> {
    lines(input).map(|line| disk(&line)).collect()
}

fn disk(line: &Line<'_>) -> Result<DiskStats, ParseError> {
    let mut words = line.words();
    let mut next = || words.next().ok_or_else(|| line.refused(WANTED));
    let number = |word| line.number(word, WANTED);
    let device = |word| -> Result<u32, ParseError> {
        u32::try_from(number(word)?).ok().ok_or_else(|| line.refused(WANTED))
    };
    Ok(DiskStats {
        major: device(next()?)?,
        minor: device(next()?)?,
        name: text(next()?),
        reads: number(next()?)?,
        reads_merged: number(next()?)?,
        sectors_read: number(next()?)?,
        read_msec: number(next()?)?,
        writes: number(next()?)?,
        writes_merged: number(next()?)?,
        sectors_written: number(next()?)?,
        write_msec: number(next()?)?,
        in_progress: number(next()?)?,
        busy_msec: number(next()?)?,
        weighted_msec: number(next()?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_a_partition_and_an_old_kernel() {
        let found = diskstats(
            b" 254       0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n\
              259       1 nvme0n1p1 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25\n   9       0 md0 0 0 0 0 0 0 0 0 0 0 0\n",
        )
        .unwrap();
        let wanted = DiskStats {
            major: 254,
            minor: 0,
            name: "vda".to_owned(),
            reads: 1,
            reads_merged: 2,
            sectors_read: 3,
            read_msec: 4,
            writes: 5,
            writes_merged: 6,
            sectors_written: 7,
            write_msec: 8,
            in_progress: 9,
            busy_msec: 10,
            weighted_msec: 11,
        };
        assert_eq!(found[0], wanted);
        let names: Vec<&str> = found.iter().map(|disk| disk.name.as_str()).collect();
        assert_eq!(names, ["vda", "nvme0n1p1", "md0"]);
        assert_eq!(diskstats(b""), Ok(vec![]));
    }

    #[test]
    fn garbage_is_refused() {
        for refused in [
            &b"254 0 vda 1 2 3 4 5 6 7 8 9 10\n"[..],
            b"254 0 vda 1 2 3 4 5 6 7 8 9 10 x\n",
            b"x 0 vda 1 2 3 4 5 6 7 8 9 10 11\n",
            b"4294967296 0 vda 1 2 3 4 5 6 7 8 9 10 11\n",
            b"254 0\n",
        ] {
            assert!(diskstats(refused).is_err(), "{refused:?}");
        }
    }
}
