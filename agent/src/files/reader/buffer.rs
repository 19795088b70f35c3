//! The one buffer that every file of every cgroup is read into.

use std::os::fd::AsFd;

use rustix::io::{Errno, pread, retry_on_intr};

/// Enough for `memory.stat` of any kernel so far.
const START_BYTES: usize = 16 << 10;

/// No cgroup file comes near this.
const MAX_BYTES: usize = 4 << 20;

/// A buffer that grows when a file does not fit.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; START_BYTES], filled: 0 }
    }

    /// Reads a whole file from its start. One system call: the kernel prints a cgroup file at once, and at offset 0
    /// anew, so a file that filled the buffer is read again rather than on.
    pub(super) fn fill(&mut self, file: impl AsFd) -> rustix::io::Result<()> {
        loop {
            self.filled = 0;
            let read = retry_on_intr(|| pread(&file, self.bytes.as_mut_slice(), 0))?;
            if read < self.bytes.len() {
                self.filled = read;
                return Ok(());
            }
            if self.bytes.len() >= MAX_BYTES {
                return Err(Errno::FBIG);
            }
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
    }

    /// The text that [`Buffer::fill`] read last.
    pub(super) fn text(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::files::fixture::Fixture;

    #[test]
    fn it_grows_with_the_file() {
        let fixture = Fixture::new();
        let mut buffer = Buffer::new();
        for size in [0, 1, START_BYTES - 1, START_BYTES, START_BYTES * 5, 3] {
            fixture.file("f", vec![b'x'; size]);
            buffer.fill(File::open(fixture.path("f")).unwrap()).unwrap();
            assert_eq!(buffer.text().len(), size);
        }
    }

    #[test]
    fn a_huge_file_is_refused_and_leaves_no_text() {
        let fixture = Fixture::new();
        let mut buffer = Buffer::new();
        fixture.file("f", vec![b'x'; MAX_BYTES + 1]);
        assert_eq!(buffer.fill(File::open(fixture.path("f")).unwrap()), Err(Errno::FBIG));
        assert_eq!(buffer.text(), b"");
    }
}
