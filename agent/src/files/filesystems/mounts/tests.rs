//! Which mounts are served, and as what.

use super::*;
use crate::files::fixture::Fixture;

fn table(fixture: &Fixture, text: &str) -> Arc<MountTable> {
    fixture.file("proc/1/mountinfo", text);
    MountWatch::new(fixture.host()).now().unwrap()
}

fn labels(table: &MountTable) -> Vec<(&str, &str)> {
    let served = table.served.iter();
    served.map(|s| (s.label.as_str(), s.target.path.to_str().unwrap())).collect()
}

#[test]
fn each_file_system_once_and_no_pseudo_ones() {
    let fixture = Fixture::new();
    fixture.file("sys/dev/block/179:2/uevent", "DEVNAME=mmcblk0p2\n");
    let found = table(
        &fixture,
        "22 27 0:21 / /proc rw - proc proc rw\n\
         27 1 179:2 / / rw - ext4 /dev/root rw\n\
         40 27 254:1 /data/x /mnt/bind rw - xfs /dev/vdb1 rw\n\
         41 27 254:1 / /data rw - xfs /dev/vdb1 rw\n\
         42 27 0:23 / /dev/shm rw - tmpfs tmpfs rw\n\
         43 27 0:50 / /nfs rw - nfs4 server:/export rw\n\
         44 27 0:51 / /proc/fs/nfsd rw - nfsd nfsd rw\n\
         45 27 0:52 / /run/containerd/x/rootfs rw - overlay overlay rw,upperdir=/u\n\
         46 27 0:53 / /var/lib/kubelet/pods/1/volumes/token rw - tmpfs tmpfs rw\n\
         47 27 0:54 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
         48 27 0:55 / /z rw - zfs pool/set rw\n\
         49 27 0:56 / /share rw - 9p share rw\n",
    );
    assert_eq!(
        labels(&found),
        [
            ("/dev/mmcblk0p2", "/"),
            ("/dev/vdb1", "/data"),
            ("/dev/shm", "/dev/shm"),
            ("server:/export", "/nfs"),
            ("pool/set", "/z"),
            ("share", "/share"),
        ]
    );
    let network: Vec<bool> = found.served.iter().map(|s| s.network).collect();
    assert_eq!(network, [false, false, false, true, false, true]);
}

#[test]
fn what_lies_below_another_mount_is_not_served() {
    let fixture = Fixture::new();
    let found = table(
        &fixture,
        "27 1 254:0 / / rw - ext4 /dev/vda rw\n25 27 0:23 / /dev/shm rw - tmpfs first rw\n\
         30 25 0:27 / /dev/shm rw - tmpfs second rw\n",
    );
    let devices: Vec<_> = found.served.iter().map(|s| s.target.device).collect();
    assert_eq!(devices, [(254, 0), (0, 27)]);
}

#[test]
fn an_overlay_is_served_as_the_root_alone() {
    let fixture = Fixture::new();
    let found = table(&fixture, "27 1 0:30 / / rw - overlay overlay rw,upperdir=/u\n");
    assert_eq!(labels(&found), [("overlay_0-30", "/")]);
}

#[test]
fn one_label_is_one_file_system() {
    let fixture = Fixture::new();
    let found = table(&fixture, "27 1 0:30 / /a rw - 9p share rw\n28 1 0:31 / /b rw - 9p share rw\n");
    assert_eq!(labels(&found), [("share", "/a")]);
}

#[test]
fn directories_of_a_device_have_their_place_on_the_host() {
    let fixture = Fixture::new();
    let found = table(
        &fixture,
        "27 1 254:0 / / rw - ext4 /dev/vda rw\n28 27 254:1 /sub /data rw - ext4 /dev/vdb rw\n\
         29 27 0:40 /@ /b rw - btrfs /dev/vdc rw\n",
    );
    let at = |device, dir: &str| found.host_path(device, dir.as_bytes());
    assert_eq!(at((254, 0), "/var/x").unwrap(), Path::new("/var/x"));
    assert_eq!(at((254, 1), "/sub/y/z").unwrap(), Path::new("/data/y/z"));
    assert_eq!(at((254, 1), "/subordinate"), None, "not mounted");
    assert_eq!(at((9, 9), "/"), None);
    let of = |device, dir: &str| found.of_path(device, Path::new(dir)).map(|(label, _)| label);
    assert_eq!(of((254, 1), "/wherever"), Some("/dev/vdb"));
    assert_eq!(of((0, 77), "/b/subvolume"), Some("/dev/vdc"), "a subvolume has its own number");
    assert_eq!(of((0, 77), "/bb"), Some("/dev/vda"));
}

#[test]
fn without_the_first_process_ones_own_mounts_are_read() {
    let fixture = Fixture::new();
    fixture.file("proc/self/mountinfo", "27 1 254:0 / / rw - ext4 /dev/vda rw\n");
    assert_eq!(labels(&MountWatch::new(fixture.host()).now().unwrap()), [("/dev/vda", "/")]);
    assert!(MountWatch::new(HostRoot::new("/nowhere")).now().unwrap_err().is_gone());
}

#[test]
fn a_list_that_did_not_change_is_not_read_again() {
    let fixture = Fixture::new();
    fixture.file("proc/1/mountinfo", "27 1 254:0 / / rw - ext4 /dev/vda rw\n");
    let mut watch = MountWatch::new(fixture.host());
    let first = watch.now().unwrap();
    assert!(Arc::ptr_eq(&first, &watch.now().unwrap()));
    watch.open = None;
    fixture.file("proc/1/mountinfo", "garbage\n");
    assert!(Arc::ptr_eq(&first, &watch.now().unwrap()), "the last good one stays");
}

#[test]
fn the_number_of_file_systems_is_bounded() {
    let fixture = Fixture::new();
    let text: String =
        (0..1000).map(|n| format!("{n} 9999 8:{n} / /m{n} rw - ext4 /dev/x{n} rw\n")).collect();
    assert_eq!(table(&fixture, &text).served.len(), MAX_SERVED);
}
