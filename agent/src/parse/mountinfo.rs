//! `/proc/<pid>/mountinfo`: every mount of a process's namespace.
//!
//! Manual: <https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>
//!
//! ```text
//! 27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,discard
//! 90 27 0:52 / / rw,relatime - overlay overlay rw,lowerdir=/l1:/l2,upperdir=/var/lib/x/diff,workdir=/var/lib/x/work
//! ```
//! Mount, parent, device, directory of the file system that is mounted, mount point, options, any number of tags, a
//! dash, type, source, options of the super block. Blanks, newlines and backslashes are octal escapes, and so are
//! commas in the value of an option.

use super::ParseError;
use super::scan::{Line, decimal, device_number, lines, split_once, text, unescape};

const WANTED: &str = "the fields of a mount";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub id: u64,
    /// The mount that it is mounted on.
    pub parent: u64,
    /// Major and minor number of the file system's device.
    pub device: (u32, u32),
    /// The directory of the file system that is mounted; `/` when it is the whole.
    pub root: Vec<u8>,
    /// Where, for a process of that namespace.
    pub mount_point: Vec<u8>,
    /// The file system's type: `ext4`, `nfs4`, `fuse.x`.
    pub kind: String,
    /// What is mounted: `/dev/vda1`, `server:/export`, or any word.
    pub source: Vec<u8>,
    /// The super block's options, still escaped.
    options: Vec<u8>,
}

impl Mount {
    /// Whether the super block has this option; those of a v1 cgroup mount name its controllers.
    pub fn has_option(&self, name: &str) -> bool {
        self.options.split(|&b| b == b',').any(|option| text(option) == name)
    }

    /// The value of one of the super block's options.
    pub fn option(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut pairs = self.options.split(|&b| b == b',').filter_map(|option| split_once(option, b'='));
        pairs.find(|(name, _)| *name == key).map(|(_, value)| unescape(value, octal))
    }
}

/// All mounts, in the kernel's order.
pub fn mounts(input: &[u8]) -> Result<Vec<Mount>, ParseError> {
    lines(input).map(|line| mount(&line).ok_or_else(|| line.refused(WANTED))).collect()
}

fn mount(line: &Line<'_>) -> Option<Mount> {
    // Exactly one blank stands between fields, so an empty source stays a field.
    let mut fields = line.text.split(|&b| b == b' ');
    let (id, parent) = (decimal(fields.next()?)?, decimal(fields.next()?)?);
    let device = device_number(fields.next()?)?;
    let (root, mount_point) = (unescape(fields.next()?, octal), unescape(fields.next()?, octal));
    let mut rest = fields.skip_while(|&field| field != b"-").skip(1);
    let kind = text(rest.next()?);
    let source = unescape(rest.next()?, octal);
    let options = rest.next()?.to_vec();
    Some(Mount { id, parent, device, root, mount_point, kind, source, options })
}

/// `\040` and its like; a backslash that starts no octal number stays.
fn octal(rest: &[u8]) -> Option<(u8, &[u8])> {
    match rest {
        [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
            Some((((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'), tail))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fields_and_their_escapes() {
        let found = mounts(
            b"27 1 254:1 / / rw,relatime shared:1 master:2 - ext4 /dev/vda1 rw,discard\n\
              90 27 0:52 /a\\040b /mnt/x\\134y rw - overlay  rw,lowerdir=/l\\134:1:/l2,upperdir=/var/a\\054b\\040c=d\n",
        )
        .unwrap();
        let first = &found[0];
        assert_eq!((first.id, first.parent, first.device), (27, 1, (254, 1)));
        assert_eq!((first.kind.as_str(), first.source.as_slice()), ("ext4", &b"/dev/vda1"[..]));
        let second = &found[1];
        assert_eq!(second.root, b"/a b");
        assert_eq!(second.mount_point, b"/mnt/x\\y");
        assert_eq!(second.source, b"");
        assert_eq!(second.option(b"upperdir").unwrap(), b"/var/a,b c=d");
        assert_eq!(second.option(b"lowerdir").unwrap(), b"/l\\:1:/l2");
        assert_eq!(second.option(b"workdir"), None);
        assert!(first.has_option("discard") && !first.has_option("disc") && !second.has_option("upperdir"));
        assert_eq!(mounts(b""), Ok(vec![]));
    }

    #[test]
    fn garbage_is_refused() {
        for refused in [
            &b"27 1 254:1 / /\n"[..],
            b"27 1 254:1 / / rw ext4 /dev/vda1 rw\n",
            b"27 1 254:1 / / rw - ext4 /dev/vda1\n",
            b"x 1 254:1 / / rw - ext4 /dev/vda1 rw\n",
            b"27 x 254:1 / / rw - ext4 /dev/vda1 rw\n",
            b"27 1 254 / / rw - ext4 /dev/vda1 rw\n",
        ] {
            assert!(mounts(refused).is_err(), "{refused:?}");
        }
    }
}
