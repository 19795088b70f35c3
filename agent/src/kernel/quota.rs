//! Project quotas: what a file system counts for a directory and all below it, without a walk.
//!
//! Kernel text: <https://docs.kernel.org/filesystems/quota.html>, `include/uapi/linux/fs.h`, `quota.h`.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::model::ProjectUsage;

/// `FS_IOC_FSGETXATTR`.
const GET_ATTRIBUTES: libc::Ioctl = libc::_IOR::<Attributes>(b'X' as u32, 31);
/// `QCMD(Q_GETQUOTA, PRJQUOTA)`.
const GET_PROJECT_QUOTA: libc::c_int = ((0x0080_0007_u32 << 8) | 2).cast_signed();
/// The files that inherit their directory's project: without it the quota counts that directory alone.
const INHERITS: u32 = 0x0000_0200;

/// `struct fsxattr`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

/// What the project quota of an open directory has counted. `None` when the directory has no project of its own, or the
/// file system does not count. `device` is asked by kernels before 5.14.
pub fn project_usage(dir: BorrowedFd<'_>, device: &Path) -> Option<ProjectUsage> {
    let project = project_of(dir).filter(|_| may_ask())?;
    let counted = by_directory(dir, project).or_else(|| by_device(device, project))?;
    Some(ProjectUsage { bytes: counted.dqb_curspace, inodes: counted.dqb_curinodes })
}

/// Only CAP_SYS_ADMIN may ask. Without it the calls may be forbidden altogether, and to make one is then the end.
fn may_ask() -> bool {
    let own = rustix::thread::capabilities(None);
    own.is_ok_and(|own| own.effective.contains(rustix::thread::CapabilitySet::SYS_ADMIN))
}

fn project_of(dir: BorrowedFd<'_>) -> Option<u32> {
    let mut found = Attributes::default();
    // SAFETY: the call fills a `struct fsxattr`, which `found` is; the descriptor is open while it is borrowed.
    let answer = unsafe { libc::ioctl(dir.as_raw_fd(), GET_ATTRIBUTES, &raw mut found) };
    (answer == 0 && found.project != 0 && found.flags & INHERITS != 0).then_some(found.project)
}

fn by_directory(dir: BorrowedFd<'_>, project: u32) -> Option<libc::dqblk> {
    let mut found = std::mem::MaybeUninit::<libc::dqblk>::zeroed();
    let number = libc::SYS_quotactl_fd;
    // SAFETY: the call fills a `struct if_dqblk`, which `dqblk` is; the descriptor is open while it is borrowed.
    let answer =
        unsafe { libc::syscall(number, dir.as_raw_fd(), GET_PROJECT_QUOTA, project, found.as_mut_ptr()) };
    // SAFETY: any bytes are a `dqblk`, and all were set to zero.
    (answer == 0).then(|| unsafe { found.assume_init() })
}

fn by_device(device: &Path, project: u32) -> Option<libc::dqblk> {
    let device = CString::new(device.as_os_str().as_bytes()).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::dqblk>::zeroed();
    let project = libc::c_int::from_ne_bytes(project.to_ne_bytes());
    // SAFETY: the call reads a C string, which lives through it, and fills a `struct if_dqblk`, which `dqblk` is.
    let answer =
        unsafe { libc::quotactl(GET_PROJECT_QUOTA, device.as_ptr(), project, found.as_mut_ptr().cast()) };
    // SAFETY: any bytes are a `dqblk`, and all were set to zero.
    (answer == 0).then(|| unsafe { found.assume_init() })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_directory_without_a_project_has_none() {
        assert_eq!(size_of::<Attributes>(), 28);
        let folder = tempfile::tempdir().unwrap();
        let dir = std::fs::File::open(folder.path()).unwrap();
        assert_eq!(project_usage(dir.as_fd(), Path::new("/dev/none")), None);
    }
}
