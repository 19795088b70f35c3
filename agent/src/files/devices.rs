//! The names of block devices: `/sys/dev/block/MAJOR:MINOR/uevent`.

use std::collections::HashMap;

use super::HostRoot;
use crate::parse::assignment;

/// Names that are kept. A host with more devices than this looks some of them up again.
const CACHED_DEVICES: usize = 4096;

/// Questions after which all names are looked up anew: a number may be given to another device.
const QUESTIONS: u32 = 10_000;

/// The names of block devices, remembered for a while.
#[derive(Debug)]
pub struct DeviceNames {
    host: HostRoot,
    names: HashMap<(u32, u32), Option<String>>,
    asked: u32,
}

impl DeviceNames {
    /// Names of the devices of that host.
    pub fn new(host: HostRoot) -> Self {
        Self { host, names: HashMap::new(), asked: 0 }
    }

    /// `/dev/NAME` of a device; `None` when the kernel does not know it.
    pub fn name(&mut self, major: u32, minor: u32) -> Option<String> {
        self.asked += 1;
        if self.asked > QUESTIONS || self.names.len() >= CACHED_DEVICES {
            self.names.clear();
            self.asked = 1;
        }
        let host = &self.host;
        self.names.entry((major, minor)).or_insert_with(|| look_up(host, major, minor)).clone()
    }
}

fn look_up(host: &HostRoot, major: u32, minor: u32) -> Option<String> {
    let uevent = host.read(format!("/sys/dev/block/{major}:{minor}/uevent")).ok()?;
    Some(format!("/dev/{}", assignment(&uevent, "DEVNAME")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;

    #[test]
    fn names_come_from_sysfs_and_are_remembered() {
        let fixture = Fixture::new();
        fixture.file("sys/dev/block/259:3/uevent", "MAJOR=259\nMINOR=3\nDEVNAME=nvme0n1p1\n");
        let mut names = DeviceNames::new(fixture.host());
        assert_eq!(names.name(259, 3).as_deref(), Some("/dev/nvme0n1p1"));
        assert_eq!(names.name(8, 0), None);
        std::fs::remove_dir_all(fixture.path("sys")).unwrap();
        assert_eq!(names.name(259, 3).as_deref(), Some("/dev/nvme0n1p1"));
    }

    #[test]
    fn the_cache_is_bounded_and_renewed() {
        let fixture = Fixture::new();
        let mut names = DeviceNames::new(fixture.host());
        for minor in 0..5000 {
            names.name(1, minor);
        }
        assert!(names.names.len() <= CACHED_DEVICES);
        fixture.file("sys/dev/block/8:0/uevent", "DEVNAME=sda\n");
        assert_eq!(names.name(8, 0).as_deref(), Some("/dev/sda"));
        fixture.file("sys/dev/block/8:0/uevent", "DEVNAME=sdb\n");
        let seen = (0..=QUESTIONS).filter_map(|_| names.name(8, 0)).last();
        assert_eq!(seen.as_deref(), Some("/dev/sdb"));
    }
}
