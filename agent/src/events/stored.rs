//! A record as it lies on disk: a line with its checksum, and in it the JSON that was served.
//!
//! ```text
//! 5d1f3a9c 214 {"seq":7,"time":"2026-11-24T06:12:44.000000001Z","type":"oom_kill",...}
//! ```
//! First the CRC-32 (IEEE) of all that follows its space, in hexadecimal. Then the length of the JSON in bytes, and the
//! JSON, which holds no newline. Checksum and length are in the line itself and not in an index beside it: two files would
//! have to agree after a crash. `cut -d' ' -f3-` gives plain JSON lines for any tool.

use std::io::Write;

use bytes::Bytes;

/// No record comes near this; a line that does is damage.
pub(super) const MAX_LINE_BYTES: usize = 1 << 20;

/// A record that was read from disk, as the bytes that were served before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_is_found() {
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
}
