//! The form in which a kernel takes its first file system: a `cpio` archive, "newc".
//!
//! Kernel text: <https://docs.kernel.org/driver-api/early-userspace/buffer-format.html>
//!
//! ```text
//! 070701 and 13 numbers of 8 hexadecimal digits, the name, NUL, padding to 4 bytes, the content, padding to 4 bytes
//! ```
//! The last entry is named `TRAILER!!!`. Names have no leading slash, and a folder stands before what is in it.

use std::io::Write;

use anyhow::{Context, Result};

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// An archive that is written entry by entry.
pub(super) struct Cpio<W: Write> {
    out: W,
    entries: u32,
}

impl<W: Write> Cpio<W> {
    /// An archive without entries.
    pub(super) fn new(out: W) -> Self {
        Self { out, entries: 0 }
    }

    /// A folder.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn folder(&mut self, name: &str) -> Result<()> {
        self.entry(name, FOLDER, (0, 0), &[])
    }

    /// A file that may be executed.
    ///
    /// # Errors
    /// It cannot be written, or is larger than the form allows.
    pub(super) fn program(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.entry(name, PROGRAM, (0, 0), content)
    }

    /// A character device.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn device(&mut self, name: &str, major: u32, minor: u32) -> Result<()> {
        self.entry(name, CHARACTER_DEVICE, (major, minor), &[])
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn finish(mut self) -> Result<W> {
        self.entry("TRAILER!!!", 0, (0, 0), &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) -> Result<()> {
        self.entries += 1;
        let size = u32::try_from(content.len()).with_context(|| format!("{name}: larger than 4 GiB"))?;
        let name_size = u32::try_from(name.len())? + 1;
        // Number, mode, user, group, links, time, size, the device it is on, the device it is, name, checksum.
        let head = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0];
        write!(self.out, "070701")?;
        for number in head {
            write!(self.out, "{number:08X}")?;
        }
        write!(self.out, "{name}\0")?;
        self.pad(110 + name.len() + 1)?;
        self.out.write_all(content)?;
        self.pad(content.len())
    }

    fn pad(&mut self, length: usize) -> Result<()> {
        let missing = length.next_multiple_of(4) - length;
        Ok(self.out.write_all([0; 3].get(..missing).unwrap_or_default())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_as_the_kernel_wants_it() {
        let mut cpio = Cpio::new(Vec::new());
        cpio.folder("bin").unwrap();
        cpio.program("bin/x", b"hello").unwrap();
        cpio.device("dev/console", 5, 1).unwrap();
        let bytes = cpio.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8(bytes).unwrap();
        // 110 of the head, `bin` and NUL are 114, padded to 116.
        assert_eq!(&text[..22], "07070100000001000041ED");
        assert_eq!(&text[110..116], "bin\0\0\0");
        let second = &text[116..];
        assert_eq!(&second[54..62], "00000005", "the size");
        assert_eq!(&second[110..124], "bin/x\0hello\0\0\0");
        let third = &second[124..];
        assert_eq!(&third[14..22], "00002180");
        assert_eq!(&third[78..94], "0000000500000001", "the device");
        assert!(text.ends_with("TRAILER!!!\0\0\0\0"), "{text:?}");
    }
}
