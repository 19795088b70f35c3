//! A record as it lies on disk: a line with its checksum, and in it the JSON that was served.
//!
//! ```text
//! 5d1f3a9c 214 {"seq":7,"time":"2026-11-24T06:12:44.000000001Z","type":"oom_kill",...}
//! ```
//! The CRC-32 (IEEE) of what follows the first space, in hexadecimal; the length of the JSON in bytes; the JSON, which holds
//! no newline. Checksum and length are in the line itself, not in an index beside it: two files would have to agree after
//! a crash, and `cut -d' ' -f3-` gives plain JSON lines for any tool.

use std::borrow::Cow;
use std::io::Write;
use std::time::SystemTime;

use bytes::Bytes;
use serde::Deserialize;

use crate::model::rfc3339;

/// No record comes near this; a line that does is damage.
pub(super) const MAX_LINE_BYTES: usize = 1 << 20;

/// A record that was read from disk, as the bytes that were served before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its number.
    pub seq: u64,
    /// One JSON object without a newline.
    pub json: Bytes,
}

/// Appends the line of a record, with its newline.
pub(super) fn write_line(out: &mut Vec<u8>, json: &[u8]) {
    let mut crc = crc32fast::Hasher::new();
    let length = format!("{} ", json.len());
    crc.update(length.as_bytes());
    crc.update(json);
    // Writing to memory cannot fail.
    let _ = write!(out, "{:08x} {length}", crc.finalize());
    out.extend_from_slice(json);
    out.push(b'\n');
}

/// The JSON of a line without its newline; `None` when any byte of it is not as it was written.
pub(super) fn read_line(line: &[u8]) -> Option<&[u8]> {
    let (crc, rest) = line.split_at_checked(8)?;
    let rest = rest.strip_prefix(b" ")?;
    let crc = std::str::from_utf8(crc).ok().and_then(|text| u32::from_str_radix(text, 16).ok())?;
    if crc32fast::hash(rest) != crc {
        return None;
    }
    let space = rest.iter().position(|&byte| byte == b' ')?;
    let (length, json) = rest.split_at_checked(space)?;
    let json = json.get(1..)?;
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    (length == json.len()).then_some(json)
}

/// What is looked at without knowing every type of record: a later agent may have written more.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) seq: u64,
    pub(super) time: SystemTime,
    pub(super) type_name: Cow<'a, str>,
    pub(super) renamed_from: Option<Cow<'a, str>>,
    cgroup: Option<CgroupHead<'a>>,
    container: Option<ContainerHead<'a>>,
}

#[derive(Debug, Deserialize)]
struct RawHead<'a> {
    seq: u64,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    renamed_from: Option<Cow<'a, str>>,
    #[serde(borrow)]
    cgroup: Option<CgroupHead<'a>>,
    #[serde(borrow)]
    container: Option<ContainerHead<'a>>,
}

#[derive(Debug, Deserialize)]
struct CgroupHead<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct ContainerHead<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pod: Option<PodHead<'a>>,
}

#[derive(Debug, Deserialize)]
struct PodHead<'a> {
    #[serde(borrow)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uid: Option<Cow<'a, str>>,
}

impl<'a> Head<'a> {
    /// `None` when it is no record of an event.
    pub(super) fn read(json: &'a [u8]) -> Option<Self> {
        let RawHead { seq, time, r#type, renamed_from, cgroup, container } =
            serde_json::from_slice(json).ok()?;
        let time = rfc3339::parse(&time).ok()?;
        Some(Self { seq, time, type_name: r#type, renamed_from, cgroup, container })
    }

    pub(super) fn path(&self) -> Option<&str> {
        Some(&self.cgroup.as_ref()?.path)
    }

    pub(super) fn pod_uid(&self) -> Option<&str> {
        self.container.as_ref()?.pod.as_ref()?.uid.as_deref()
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.container.as_ref()?.pod.as_ref()?.namespace.as_deref()
    }

    pub(super) fn container_id(&self) -> Option<&str> {
        self.container.as_ref()?.id.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_changed_byte_goes_unseen() {
        let json = br#"{"seq":7,"time":"2026-11-24T06:12:44Z","type":"lost","records":3}"#;
        let mut line = Vec::new();
        write_line(&mut line, json);
        assert_eq!(line.pop(), Some(b'\n'));
        assert_eq!(read_line(&line), Some(&json[..]));
        for at in 0..line.len() {
            for flip in 1..=255 {
                let mut damaged = line.clone();
                damaged[at] ^= flip;
                // Another way to write the same digits is no damage.
                assert!(read_line(&damaged).is_none_or(|read| read == json), "{at} {flip}");
            }
            assert_eq!(read_line(&line[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn a_head_has_what_filters_want() {
        let json = br#"{"seq":7,"time":"2026-11-24T06:12:44Z","type":"x","cgroup":{"path":"/\u0061"},
            "container":{"id":"c","pod":{"uid":"u","namespace":"n"}},"renamed_from":"/b","later":[1]}"#;
        let head = Head::read(json).unwrap();
        assert_eq!(
            (head.seq, head.path(), head.pod_uid(), head.container_id()),
            (7, Some("/a"), Some("u"), Some("c"))
        );
        assert_eq!(head.namespace(), Some("n"));
        assert_eq!((head.type_name.as_ref(), head.renamed_from.as_deref()), ("x", Some("/b")));
        assert!(Head::read(b"{}").is_none() && Head::read(b"[").is_none());
    }
}
