//! `/proc/<pid>/mountinfo`: where the cgroup hierarchies are mounted.
//!
//! Manual: <https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>
//!
//! ```text
//! 35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
//! 41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
//! ```
//! The fourth field is the directory of the file system that is mounted, the fifth the mount point, what follows the
//! dash the type, the source and the super block's options, which name a v1 hierarchy's controllers. Blanks,
//! newlines and backslashes in paths are octal escapes (`\040`).

use super::ParseError;
use super::scan::{Line, lines};
use crate::model::CgroupVersion;

/// A mounted cgroup hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupMount {
    /// v1 (`cgroup`) or v2 (`cgroup2`).
    pub version: CgroupVersion,
    /// The hierarchy's directory that is mounted; `/` when it is the whole.
    pub root: Vec<u8>,
    /// The mount point.
    pub mount_point: Vec<u8>,
    /// The super block's options: `rw`, and on v1 the controllers and `name=...`.
    pub options: Vec<String>,
}

/// The cgroup mounts of a mountinfo file, in its order.
///
/// # Errors
/// When a line lacks a field. Mounts of other types are skipped.
pub fn cgroup_mounts(input: &[u8]) -> Result<Vec<CgroupMount>, ParseError> {
    lines(input).filter_map(|line| cgroup_mount(&line).transpose()).collect()
}

fn cgroup_mount(line: &Line<'_>) -> Result<Option<CgroupMount>, ParseError> {
    const WANTED: &str = "the fields of a mount";
    // Exactly one blank stands between fields, so an empty source stays a field.
    let mut fields = line.text.split(|&b| b == b' ');
    let (Some(root), Some(mount_point)) = (fields.nth(3), fields.next()) else {
        return Err(line.refused(WANTED));
    };
    let mut rest = fields.skip_while(|&field| field != b"-").skip(1);
    let (Some(kind), Some(_source), Some(options)) = (rest.next(), rest.next(), rest.next()) else {
        return Err(line.refused(WANTED));
    };
    let version = match kind {
        b"cgroup" => CgroupVersion::V1,
        b"cgroup2" => CgroupVersion::V2,
        _ => return Ok(None),
    };
    let options = options.split(|&b| b == b',').map(super::scan::text).collect();
    Ok(Some(CgroupMount { version, root: unescape(root), mount_point: unescape(mount_point), options }))
}

/// Undoes `\040` and its like; a backslash that starts no octal number stays.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] = rest {
            plain.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
            rest = tail;
        } else {
            plain.push(*first);
            rest = after;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_mounts_among_others() {
        let text = b"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
            33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 master:3 - cgroup cgroup rw,cpu,cpuacct\n\
            41 31 0:38 /a\\040b /mnt/x\\134y rw - cgroup2  rw,nsdelegate\n";
        let mounts = cgroup_mounts(text).unwrap();
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].version, CgroupVersion::V1);
        assert_eq!(mounts[0].options, ["rw", "cpu", "cpuacct"]);
        assert_eq!(mounts[0].mount_point, b"/sys/fs/cgroup/cpu,cpuacct");
        assert_eq!(mounts[1].version, CgroupVersion::V2);
        assert_eq!(
            (mounts[1].root.as_slice(), mounts[1].mount_point.as_slice()),
            (&b"/a b"[..], &b"/mnt/x\\y"[..])
        );
    }

    #[test]
    fn garbage_is_refused() {
        for refused in [
            &b"31 23 0:28 /\n"[..],
            b"31 23 0:28 / /x rw cgroup cgroup rw\n",
            b"31 23 0:28 / /x rw - cgroup\n",
        ] {
            assert!(cgroup_mounts(refused).is_err(), "{refused:?}");
        }
        assert_eq!(cgroup_mounts(b""), Ok(vec![]));
    }
}
