//! tracefs: layouts and ids of the classic tracepoints.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use super::KernelError;

pub(crate) struct Tracefs {
    dir: OwnedFd,
}

impl Tracefs {
    /// Where it is mounted below the host root or here; else a mount of our own.
    ///
    /// The own mount is never attached to the tree (`fsmount` gives a descriptor), so no other process sees it and it goes
    /// with the agent. Nodes without systemd do not mount tracefs at boot.
    pub(crate) fn open(host_root: &Path) -> Result<Self, KernelError> {
        let relative = ["sys/kernel/tracing", "sys/kernel/debug/tracing"];
        for mount in relative.iter().flat_map(|path| [host_root.join(path), Path::new("/").join(path)]) {
            let Ok(dir) = openat(CWD, &mount, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) else {
                continue;
            };
            let found = Self { dir };
            // An empty mount point opens too.
            if found.read("events/header_page").is_ok() {
                return Ok(found);
            }
        }
        let dir = mount_privately().map_err(|source| KernelError::io("tracefs", source))?;
        Ok(Self { dir })
    }

    /// The text of a tracepoint's `format`.
    pub(crate) fn format(&self, group: &str, name: &str) -> Result<String, KernelError> {
        self.read(&format!("events/{group}/{name}/format"))
    }

    /// A tracepoint's number, which `perf_event_open` wants.
    pub(crate) fn id(&self, group: &str, name: &str) -> Result<u64, KernelError> {
        let path = format!("events/{group}/{name}/id");
        let text = self.read(&path)?;
        let wrong = format!("\"{}\" is not a number", text.trim());
        let wrong = |_| KernelError::io(path, io::Error::new(io::ErrorKind::InvalidData, wrong));
        text.trim().parse().map_err(wrong)
    }

    fn read(&self, path: &str) -> Result<String, KernelError> {
        let read = || -> io::Result<String> {
            let file = openat(&self.dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            let mut text = String::new();
            std::fs::File::from(file).read_to_string(&mut text)?;
            Ok(text)
        };
        read().map_err(|source| KernelError::io(format_args!("tracefs {path}"), source))
    }
}

fn mount_privately() -> io::Result<OwnedFd> {
    let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let flags = MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags)?)
}
